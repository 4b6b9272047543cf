//! Framing on TCP (3.1): a little-endian `u32` that counts what follows, then that many bytes.

use bytes::{Buf, BytesMut};

/// Largest envelope either side accepts, in bytes.
pub const MAX_FRAME: usize = 65_536;

/// Bytes of the length in front of each envelope.
pub const LENGTH_BYTES: usize = 4;

/// Why a stream of frames has come to its end. Nothing behind it can be read: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame of length zero, by which peers say that they close.
    #[error("frame of length zero: the peer closes")]
    Close,
    /// A length that nobody sends: the stream is corrupt or speaks another protocol.
    #[error("frame of {length} bytes, more than 65536")]
    TooLong {
        /// What the length field said.
        length: u32,
    },
}

/// Takes the next whole envelope off the front of `buffer`, without its length and without copying it.
///
/// `None` means that more bytes are needed. A length is judged as soon as its four bytes are there, so `buffer`
/// never has to grow beyond [`LENGTH_BYTES`] + [`MAX_FRAME`] for one frame.
///
/// # Errors
/// The stream is over; `buffer` is left as it was.
pub fn take(buffer: &mut BytesMut) -> Result<Option<BytesMut>, FrameError> {
    let Some(length) = buffer.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else {
        return Ok(None);
    };
    if length == 0 {
        return Err(FrameError::Close);
    }
    let envelope_bytes = length as usize;
    if envelope_bytes > MAX_FRAME {
        return Err(FrameError::TooLong { length });
    }
    if buffer.len() < LENGTH_BYTES + envelope_bytes {
        buffer.reserve(LENGTH_BYTES + envelope_bytes - buffer.len());
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    Ok(Some(buffer.split_to(envelope_bytes)))
}

/// Appends `envelope` with its length to `out`.
///
/// # Panics
/// If the envelope is longer than [`MAX_FRAME`], which no sealed one is.
pub fn put(envelope: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&length_of(envelope.len()));
    out.extend_from_slice(envelope);
}

/// The length field for an envelope of so many bytes.
pub(super) fn length_of(envelope_bytes: usize) -> [u8; LENGTH_BYTES] {
    assert!(envelope_bytes <= MAX_FRAME, "an envelope of {envelope_bytes} bytes");
    (envelope_bytes as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(envelope: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(envelope, &mut out);
        out
    }

    #[test]
    fn a_frame_arriving_byte_by_byte_comes_out_once_and_whole() {
        let mut buffer = BytesMut::new();
        let bytes = framed(b"#ping");
        for byte in &bytes[..bytes.len() - 1] {
            buffer.extend_from_slice(&[*byte]);
            assert_eq!(take(&mut buffer), Ok(None));
        }
        buffer.extend_from_slice(&bytes[bytes.len() - 1..]);
        assert_eq!(take(&mut buffer).unwrap().unwrap(), &b"#ping"[..]);
        assert_eq!(take(&mut buffer), Ok(None));
    }

    #[test]
    fn zero_length_is_a_close_and_a_lying_length_an_error() {
        assert_eq!(take(&mut BytesMut::from(&[0, 0, 0, 0][..])), Err(FrameError::Close));
        for length in [65_537, u32::MAX] {
            let mut buffer = BytesMut::from(&length.to_le_bytes()[..]);
            assert_eq!(take(&mut buffer), Err(FrameError::TooLong { length }));
        }
        assert_eq!(take(&mut BytesMut::from(&65_536u32.to_le_bytes()[..])), Ok(None));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting_of_the_stream(
            envelopes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            cut in 1usize..97,
        ) {
            let stream: Vec<u8> = envelopes.iter().flat_map(|envelope| framed(envelope)).collect();
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(envelope) = take(&mut buffer).unwrap() {
                    seen.push(envelope.to_vec());
                }
            }
            prop_assert_eq!(seen, envelopes);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_stay_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(envelope)) = take(&mut buffer) {
                prop_assert!(!envelope.is_empty() && envelope.len() <= bytes.len());
            }
            prop_assert!(buffer.capacity() <= 2 * (LENGTH_BYTES + MAX_FRAME));
        }
    }
}
