//! The envelope (3.2): `[!ID!] METHOD CIPHERTEXT`, or the plaintext probe `#ping`.

use super::cipher::Method;
use super::error::CodecError;

/// What a probe sends, in the framing of its transport.
pub const PING: &[u8] = b"#ping";

/// The answer to [`PING`], in the same framing.
pub const PONG: &[u8] = b"#pong";

/// Longest agent id on the wire, in digits.
const MAX_ID_DIGITS: usize = 8;

/// An envelope that arrived, cut into its parts; nothing is decrypted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope<'a> {
    /// Begins with `#ping`: answer [`PONG`]; no key is involved.
    Ping,
    /// An encrypted message.
    Sealed(Sealed<'a>),
}

/// An encrypted message and how to find its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The agent's id as written (`001`); without one the key belongs to the peer's address.
    ///
    /// Compare it as text: `1` and `001` are different keys.
    pub id: Option<&'a str>,
    /// How it is encrypted, and how to answer.
    pub method: Method,
    /// The rest.
    pub ciphertext: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Cuts an envelope.
    ///
    /// # Errors
    /// [`CodecError::MalformedId`] and [`CodecError::UnknownMethod`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CodecError> {
        if let Some(rest) = bytes.strip_prefix(b"!") {
            let (id, rest) = split_id(rest)?;
            return Sealed::parse(Some(id), rest).map(Self::Sealed);
        }
        if bytes.starts_with(PING) {
            return Ok(Self::Ping);
        }
        Sealed::parse(None, bytes).map(Self::Sealed)
    }
}

impl<'a> Sealed<'a> {
    fn parse(id: Option<&'a str>, bytes: &'a [u8]) -> Result<Self, CodecError> {
        let method = Method::leading(bytes).ok_or(CodecError::UnknownMethod)?;
        Ok(Self { id, method, ciphertext: &bytes[method.token().len()..] })
    }
}

fn split_id(bytes: &[u8]) -> Result<(&str, &[u8]), CodecError> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > MAX_ID_DIGITS || bytes.get(digits) != Some(&b'!') {
        return Err(CodecError::MalformedId);
    }
    let id = str::from_utf8(&bytes[..digits]).map_err(|_| CodecError::MalformedId)?;
    Ok((id, &bytes[digits + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_id_is_digits_between_exclamation_marks() {
        let sealed = |id, method, ciphertext| Ok(Envelope::Sealed(Sealed { id, method, ciphertext }));
        assert_eq!(Envelope::parse(b"!001!#AES:xyz"), sealed(Some("001"), Method::Aes, b"xyz"));
        assert_eq!(Envelope::parse(b"!12345678!:xyz"), sealed(Some("12345678"), Method::Blowfish, b"xyz"));
        assert_eq!(Envelope::parse(b":!1!"), sealed(None, Method::Blowfish, b"!1!"));
        for bad in [&b"!"[..], b"!!:x", b"!1", b"!1a!:x", b"!123456789!:x", b"!-1!:x"] {
            assert_eq!(Envelope::parse(bad), Err(CodecError::MalformedId), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_method_is_refused() {
        for bad in [&b""[..], b"#AES", b"#aes:x", b"!001!", b"GET / HTTP/1.1"] {
            assert_eq!(Envelope::parse(bad), Err(CodecError::UnknownMethod), "{bad:?}");
        }
    }

    #[test]
    fn a_probe_is_known_by_its_beginning() {
        assert_eq!(Envelope::parse(b"#ping"), Ok(Envelope::Ping));
        assert_eq!(Envelope::parse(b"#ping\n"), Ok(Envelope::Ping));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Envelope::parse(&bytes);
        }
    }
}
