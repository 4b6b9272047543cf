//! Why an enrollment is refused, in the words of the reference (1.8).

use std::fmt;

/// Longest piece of a request that is echoed in an answer, in bytes: the answer stays far below the 2 KiB agents read.
const MAX_ECHO: usize = 300;

/// A refusal. `Display` gives the error text; [`Rejection::answer`] what goes on the wire.
///
/// Agents interpret only the `ERROR: ` in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Missing or wrong password.
    #[error("ERROR: Invalid password")]
    InvalidPassword,
    /// No `OSSEC A:'...'`, or a password although none is configured.
    #[error("ERROR: Invalid request for new agent")]
    InvalidRequest,
    /// The name breaks the rules, or is that of the manager's host.
    #[error("ERROR: Invalid agent name: {}", Echo(.0))]
    InvalidName(String),
    /// A field without its closing quote.
    #[error("ERROR: Unterminated {0} field")]
    Unterminated(Field),
    /// The agent is of a newer line than the manager.
    #[error("ERROR: Agent version must be lower or equal to manager version")]
    TooNew,
    /// The groups can not be read.
    #[error("ERROR: Invalid group name: {}{fault}", Echo(.groups))]
    InvalidGroups {
        /// The list as it was sent.
        groups: String,
        /// What is wrong with it.
        fault: GroupFault,
    },
    /// A group that does not exist.
    #[error("ERROR: Invalid group: {}", Echo(.0))]
    UnknownGroup(String),
    /// More groups than an agent can have.
    #[error("ERROR: Maximum multigroup reached: Limit is 128")]
    TooManyGroups,
    /// Not an address.
    #[error("ERROR: Invalid IP: {}", Echo(.0))]
    InvalidAddress(String),
    /// Another agent has the address and can not be replaced.
    #[error("ERROR: Duplicate IP: {0}")]
    DuplicateAddress(String),
    /// Another agent has the name and can not be replaced.
    #[error("ERROR: Duplicate agent name: {0}")]
    DuplicateName(String),
    /// The manager failed.
    #[error("ERROR: Internal manager error adding agent: {0}")]
    Internal(String),
    /// This node can not reach a quorum. The spelling is the reference's.
    #[error("ERROR: Cannot comunicate with master")]
    NoLeader,
}

/// A field of a request that can be left unterminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `V:`
    Version,
    /// `G:`
    Groups,
    /// `IP:`
    Address,
    /// `K:`
    KeyHash,
}

/// What is wrong with a list of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupFault {
    /// Nothing between the quotes.
    Empty,
    /// A character no group may have, or nothing but commas.
    Characters,
    /// A comma at either end.
    OuterComma,
    /// Two commas in a row.
    DoubleComma,
    /// A group of more than 255 characters.
    TooLong,
}

impl Rejection {
    /// The bytes of the answer, to be written with one TLS write; then close.
    pub fn answer(&self) -> Vec<u8> {
        format!("{self}. Unable to add agent").into_bytes()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "version",
            Self::Groups => "group",
            Self::Address => "IP",
            Self::KeyHash => "key",
        })
    }
}

impl fmt::Display for GroupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty Group",
            Self::Characters => r#"... characters '\/:*?"<>|,' are prohibited"#,
            Self::OuterComma => "... cannot start or end with ','",
            Self::DoubleComma => "... consecutive ',' are not allowed",
            Self::TooLong => "... group names are limited to 255 characters",
        })
    }
}

/// A piece of the request, cut at [`MAX_ECHO`].
struct Echo<'a>(&'a str);

impl fmt::Display for Echo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..self.0.floor_char_boundary(MAX_ECHO)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stays_short_whatever_was_asked() {
        let long = "é".repeat(60_000);
        for rejection in [
            Rejection::InvalidName(long.clone()),
            Rejection::UnknownGroup(long.clone()),
            Rejection::InvalidAddress(long.clone()),
            Rejection::InvalidGroups { groups: long, fault: GroupFault::Characters },
        ] {
            let answer = rejection.answer();
            assert!(answer.len() < 2_048 && answer.starts_with(b"ERROR: "), "{} bytes", answer.len());
        }
    }
}
