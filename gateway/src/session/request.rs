//! Request numbers that any node can match: they carry what the request was for.

use std::fmt;
use std::str::FromStr;

use muster_control::CommandId;

/// Why a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To carry out a command.
    Deliver,
    /// To learn whether the agent's process is a new one, because a command is unproven.
    AskState,
}

/// Text of a request number: `d` or `s`, the command in hex, `-`, and noise in hex; at most 26 characters.
///
/// The noise makes each sending's number its own, as agents need it; matching looks at the rest only, so an answer
/// finds its delivery on whatever node and connection it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestTag {
    /// Why it was sent.
    pub(crate) purpose: Purpose,
    /// The command it is about.
    pub(crate) command: CommandId,
    noise: u32,
}

/// A number that this control plane did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotOurs;

impl RequestTag {
    /// A number for one sending.
    pub(crate) fn new(purpose: Purpose, command: CommandId) -> Self {
        Self { purpose, command, noise: rand::random() }
    }
}

impl fmt::Display for RequestTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = match self.purpose {
            Purpose::Deliver => 'd',
            Purpose::AskState => 's',
        };
        write!(f, "{purpose}{:x}-{:08x}", self.command.get(), self.noise)
    }
}

impl FromStr for RequestTag {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (purpose, rest) = match text.as_bytes().first() {
            Some(b'd') => (Purpose::Deliver, &text[1..]),
            Some(b's') => (Purpose::AskState, &text[1..]),
            _ => return Err(NotOurs),
        };
        let (command, noise) = rest.split_once('-').ok_or(NotOurs)?;
        let command = u64::from_str_radix(command, 16).map_err(|_| NotOurs)?;
        let noise = u32::from_str_radix(noise, 16).map_err(|_| NotOurs)?;
        Ok(Self { purpose, command: CommandId::new(command), noise })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::RequestNumber;

    #[test]
    fn a_number_reads_as_it_was_written() {
        for purpose in [Purpose::Deliver, Purpose::AskState] {
            for command in [0, 7, u64::MAX] {
                let tag = RequestTag::new(purpose, CommandId::new(command));
                let text = tag.to_string();
                assert!(RequestNumber::new(&text).is_ok(), "{text}");
                assert_eq!(text.parse(), Ok(tag));
            }
        }
    }

    #[test]
    fn two_sendings_of_one_command_have_different_numbers() {
        let number = || RequestTag::new(Purpose::Deliver, CommandId::new(7)).to_string();
        let numbers: std::collections::HashSet<String> = (0..8).map(|_| number()).collect();
        assert!(numbers.len() > 1, "{numbers:?}");
    }

    #[test]
    fn foreign_numbers_are_not_taken_for_ours() {
        for text in ["", "d", "5f3a9c01", "d-1", "dx-1", "d1", "d1-", "é1-1", "s1-123456789"] {
            assert_eq!(text.parse::<RequestTag>(), Err(NotOurs), "{text:?}");
        }
    }
}
