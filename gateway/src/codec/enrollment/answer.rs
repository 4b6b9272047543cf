//! The answer to a request (1.8), as the manager writes it and as the agent reads it.

use crate::codec::keys::{ClientKeyLine, InvalidKeyLine};

const KEY: &[u8] = b"OSSEC K:'";
const ERROR: &[u8] = b"ERROR: ";

/// What an agent learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its new identity.
    Enrolled(ClientKeyLine),
    /// The reason of a refusal, without `ERROR: `.
    Refused(String),
}

impl Answer {
    /// The answer that hands out an identity; to be written with one TLS write, or the agent can not read it.
    pub fn enrolled(identity: &ClientKeyLine) -> Vec<u8> {
        format!("OSSEC K:'{identity}'").into_bytes()
    }

    /// Reads one TLS record as agents do; `None` if it is no answer and the next one is to be awaited.
    ///
    /// # Errors
    /// The answer grants a key that can not be used, because it is cut off or not four valid words.
    pub fn parse(record: &[u8]) -> Result<Option<Self>, InvalidKeyLine> {
        if let Some(rest) = record.strip_prefix(KEY) {
            let end = rest.iter().position(|byte| *byte == b'\'').ok_or(InvalidKeyLine)?;
            let line = str::from_utf8(&rest[..end]).map_err(|_| InvalidKeyLine)?;
            return line.parse().map(|identity| Some(Self::Enrolled(identity)));
        }
        let reason = record.strip_prefix(ERROR).filter(|reason| !reason.is_empty());
        Ok(reason.map(|reason| Self::Refused(String::from_utf8_lossy(reason).into_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::enrollment::Rejection;

    #[test]
    fn an_identity_reaches_the_agent() {
        let identity: ClientKeyLine = "001 web-01 any 6f1c".parse().unwrap();
        let answer = Answer::enrolled(&identity);
        assert_eq!(answer, b"OSSEC K:'001 web-01 any 6f1c'");
        assert_eq!(Answer::parse(&answer), Ok(Some(Answer::Enrolled(identity.clone()))));
        assert_eq!(Answer::parse(&[&answer[..], b"\n"].concat()), Ok(Some(Answer::Enrolled(identity))));
        for cut in KEY.len()..answer.len() {
            assert_eq!(Answer::parse(&answer[..cut]), Err(InvalidKeyLine), "cut at {cut}");
        }
    }

    #[test]
    fn a_refusal_reaches_the_agent_as_text() {
        let answer = Rejection::InvalidPassword.answer();
        let text = "Invalid password. Unable to add agent".to_owned();
        assert_eq!(Answer::parse(&answer), Ok(Some(Answer::Refused(text))));
        for other in [&b"ERROR: "[..], b"hello", b""] {
            assert_eq!(Answer::parse(other), Ok(None));
        }
    }
}
