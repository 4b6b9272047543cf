//! Sealing and opening: everything between a payload and its envelope.

use std::cell::RefCell;

use super::cipher::{Ciphers, Method};
use super::compression::{Deflater, Inflater};
use super::counter::Numbering;
use super::envelope::Sealed;
use super::error::CodecError;
use super::frame::{self, LENGTH_BYTES};
use super::inner::{self, MAX_PAYLOAD};

/// Padding block in front of the compressed text: one to eight `!` up to a multiple of this.
const BANG_BLOCK: usize = 8;

/// One agent's key, prepared for any number of messages in both directions.
///
/// Cheap to share (`Arc`), safe to use from many threads. It keeps about half a KiB of expanded AES keys, and 4 KiB
/// more once a Blowfish message passed. The id in front of an agent's messages is no part of it: see
/// [`SecureChannel::seal_as`].
pub struct SecureChannel {
    ciphers: Ciphers,
}

/// A message that decrypted and passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was said; not empty in practice, which is left to the message decoder.
    pub payload: Vec<u8>,
    /// The sender's counters, which nobody checks by default.
    pub numbering: Numbering,
    /// How it was encrypted: answer the same way.
    pub method: Method,
}

impl SecureChannel {
    /// Derives the keys of an agent. Id and name matter to Blowfish alone.
    pub fn for_key(id: &str, name: &str, client_key: &str) -> Self {
        Self { ciphers: Ciphers::derive(id, name, client_key) }
    }

    /// Seals `payload` as a manager does, or an agent registered with a single IPv4 address: no id in front.
    ///
    /// The result is one envelope: a datagram as it is, on TCP to be put behind its length
    /// ([`SecureChannel::seal_frame`] does both at once).
    ///
    /// # Errors
    /// [`CodecError::PayloadTooLong`], and nothing else.
    pub fn seal(&self, method: Method, numbering: Numbering, payload: &[u8]) -> Result<Vec<u8>, CodecError> {
        self.compose(0, "", method, numbering, payload)
    }

    /// Like [`SecureChannel::seal`], with the length of TCP in front: write it whole or close the connection.
    ///
    /// # Errors
    /// [`CodecError::PayloadTooLong`], and nothing else.
    pub fn seal_frame(&self, method: Method, numbering: Numbering, payload: &[u8]) -> Result<Vec<u8>, CodecError> {
        self.seal_frame_as("", method, numbering, payload)
    }

    /// Seals `payload` as an agent does that names itself: `!ID!` in front, nothing if `id` is empty.
    ///
    /// # Errors
    /// [`CodecError::PayloadTooLong`], and nothing else.
    pub fn seal_as(
        &self,
        id: &str,
        method: Method,
        numbering: Numbering,
        payload: &[u8],
    ) -> Result<Vec<u8>, CodecError> {
        self.compose(0, id, method, numbering, payload)
    }

    /// Like [`SecureChannel::seal_as`], with the length of TCP in front.
    ///
    /// # Errors
    /// [`CodecError::PayloadTooLong`], and nothing else.
    pub fn seal_frame_as(
        &self,
        id: &str,
        method: Method,
        numbering: Numbering,
        payload: &[u8],
    ) -> Result<Vec<u8>, CodecError> {
        let mut framed = self.compose(LENGTH_BYTES, id, method, numbering, payload)?;
        let length = frame::length_of(framed.len() - LENGTH_BYTES);
        framed[..LENGTH_BYTES].copy_from_slice(&length);
        Ok(framed)
    }

    /// Decrypts and checks a message.
    ///
    /// # Errors
    /// Whatever is wrong with it; on TCP the connection is then to be closed.
    pub fn open(&self, sealed: &Sealed<'_>) -> Result<Opened, CodecError> {
        SCRATCH.with_borrow_mut(|Scratch { inflater, plain, inflated, .. }| {
            plain.clear();
            plain.extend_from_slice(sealed.ciphertext);
            let plain = self.ciphers.decrypt(sealed.method, plain)?;
            let stream = strip_bangs(plain)?;
            let (numbering, payload) = inner::split(inflater.inflate(stream, inflated)?)?;
            Ok(Opened { payload: payload.to_vec(), numbering, method: sealed.method })
        })
    }

    /// One allocation of the exact size: `room` bytes, id, method, and the ciphertext made in place.
    fn compose(
        &self,
        room: usize,
        id: &str,
        method: Method,
        numbering: Numbering,
        payload: &[u8],
    ) -> Result<Vec<u8>, CodecError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(CodecError::PayloadTooLong);
        }
        SCRATCH.with_borrow_mut(|Scratch { deflater, plain, inner, .. }| {
            inner::compose(numbering, payload, inner);
            deflater.deflate(inner, plain);
            Ok(self.encrypt_stream(room, id, method, plain))
        })
    }

    /// Pads and encrypts a finished zlib stream behind its prefix.
    pub(super) fn encrypt_stream(&self, room: usize, id: &str, method: Method, stream: &[u8]) -> Vec<u8> {
        let bangs = BANG_BLOCK - stream.len() % BANG_BLOCK;
        let plain_bytes = bangs + stream.len();
        let id_bytes = if id.is_empty() { 0 } else { id.len() + 2 };
        let start = room + id_bytes + method.token().len();
        let mut out = Vec::with_capacity(start + method.encrypted_len(plain_bytes));
        out.resize(room, 0);
        if !id.is_empty() {
            out.push(b'!');
            out.extend_from_slice(id.as_bytes());
            out.push(b'!');
        }
        out.extend_from_slice(method.token());
        out.resize(start + bangs, b'!');
        out.extend_from_slice(stream);
        out.resize(start + method.encrypted_len(plain_bytes), 0);
        self.ciphers.encrypt(method, &mut out[start..], plain_bytes);
        out
    }
}

/// Removes the padding in front; a zlib stream never begins with `!`.
fn strip_bangs(plain: &[u8]) -> Result<&[u8], CodecError> {
    match plain.iter().position(|byte| *byte != b'!') {
        Some(0) | None => Err(CodecError::Undecryptable),
        Some(bangs) => Ok(&plain[bangs..]),
    }
}

/// Engines and buffers that every message of a thread passes through: per thread, because a process holds far more
/// channels than threads and each engine is larger than a channel.
struct Scratch {
    deflater: Deflater,
    inflater: Inflater,
    plain: Vec<u8>,
    inner: Vec<u8>,
    /// Apart from `inner`, which shrinks: this one stays at its full length, so that it is filled with zeros once.
    inflated: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        deflater: Deflater::default(),
        inflater: Inflater::new(),
        plain: Vec::new(),
        inner: Vec::new(),
        inflated: Vec::new(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope::Envelope;
    use proptest::prelude::*;

    const NUMBERING: Numbering = Numbering { global: 1_700_000_000, local: 42, noise: 7 };

    fn channel() -> SecureChannel {
        SecureChannel::for_key("001", "web-01", "6f1c2b7a9d3e4f508172635445362718")
    }

    fn open(channel: &SecureChannel, envelope: &[u8]) -> Result<Opened, CodecError> {
        match Envelope::parse(envelope)? {
            Envelope::Sealed(sealed) => channel.open(&sealed),
            Envelope::Ping => panic!("a sealed message begins with its method"),
        }
    }

    #[test]
    fn the_longest_payload_fits_a_frame_and_one_more_byte_is_refused() {
        let noise: Vec<u8> =
            (0..MAX_PAYLOAD as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let framed = channel().seal_frame_as("12345678", Method::Aes, NUMBERING, &noise).unwrap();
        assert!(framed.len() <= LENGTH_BYTES + frame::MAX_FRAME, "{}", framed.len());
        assert_eq!(open(&channel(), &framed[LENGTH_BYTES..]).unwrap().payload, noise);
        let too_long = vec![0; MAX_PAYLOAD + 1];
        assert_eq!(channel().seal(Method::Aes, NUMBERING, &too_long), Err(CodecError::PayloadTooLong));
    }

    #[test]
    fn a_bomb_inside_the_channel_is_refused() {
        let mut bomb = Vec::new();
        Deflater::default().deflate(&vec![b'x'; 1_000_000], &mut bomb);
        let envelope = channel().encrypt_stream(0, "", Method::Aes, &bomb);
        assert_eq!(open(&channel(), &envelope), Err(CodecError::TooLarge));
    }

    #[test]
    fn another_key_does_not_open_a_message() {
        let other = SecureChannel::for_key("001", "web-01", "another");
        for method in [Method::Aes, Method::Blowfish] {
            let envelope = channel().seal(method, NUMBERING, b"#!-agent ack ").unwrap();
            assert!(open(&other, &envelope).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(
            payload in proptest::collection::vec(any::<u8>(), 0..2_000),
            local in 0u16..=9_999,
            noise in any::<u16>(),
            blowfish in any::<bool>(),
            id in proptest::sample::select(vec!["", "001", "12345678"]),
        ) {
            let method = if blowfish { Method::Blowfish } else { Method::Aes };
            let numbering = Numbering { local, noise, ..NUMBERING };
            let envelope = channel().seal_as(id, method, numbering, &payload).unwrap();
            prop_assert_eq!(open(&channel(), &envelope), Ok(Opened { payload, numbering, method }));
        }

        #[test]
        fn arbitrary_envelopes_never_panic(
            prefix in proptest::sample::select(vec!["", "#AES:", ":", "!001!#AES:"]),
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(Envelope::Sealed(sealed)) = Envelope::parse(&[prefix.as_bytes(), &bytes].concat()) {
                let _ = channel().open(&sealed);
            }
        }

        #[test]
        fn arbitrary_plaintext_under_the_right_key_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let envelope = channel().encrypt_stream(0, "", Method::Aes, &bytes);
            let _ = open(&channel(), &envelope);
        }
    }
}
