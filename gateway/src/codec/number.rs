//! The token that ties an answer to its request (4.6).

use std::fmt;

/// Longest token used, in bytes: agents cut the prefix they build from it at 64.
const MAX_BYTES: usize = 32;

/// Number of a request: an opaque word that the agent echoes.
///
/// It is matched per agent and never per connection, since an answer may come on the next one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestNumber<'a>(&'a str);

/// A word that is empty, longer than 32 bytes, or has other characters than `A-Z a-z 0-9 - . _`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a request number: 1 to 32 of A-Z a-z 0-9 - . _")]
pub struct InvalidRequestNumber;

impl<'a> RequestNumber<'a> {
    /// Takes a word as a request number.
    ///
    /// # Errors
    /// If the word would not come back as it was sent.
    pub fn new(word: &'a str) -> Result<Self, InvalidRequestNumber> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let valid = (1..=MAX_BYTES).contains(&word.len()) && word.bytes().all(is_plain);
        valid.then_some(Self(word)).ok_or(InvalidRequestNumber)
    }

    pub(super) fn from_bytes(word: &'a [u8]) -> Option<Self> {
        Self::new(str::from_utf8(word).ok()?).ok()
    }

    /// The word itself.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for RequestNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for RequestNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_short_word() {
        for good in ["0", "5f3a9c01", "d-17.2", &"f".repeat(32)] {
            assert_eq!(RequestNumber::new(good).map(RequestNumber::as_str), Ok(good));
        }
        for bad in ["", "a b", "a\n", "ä", &"f".repeat(33)] {
            assert_eq!(RequestNumber::new(bad), Err(InvalidRequestNumber), "{bad:?}");
        }
    }
}
