//! Identifiers and counters. Each crosses functions as its own type, so that none is taken for another.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] u64);

        impl $name {
            /// Wraps a number read from disk, wire or configuration.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The bare number, for display, storage and arithmetic at the border.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this; saturates, which no cluster lives long enough to see.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// A muster process in the Raft group. Never reused, not even after the node was removed.
    NodeId
}
counter! {
    /// Position in the replicated log. As a record's *revision*: where it last changed.
    LogIndex
}
counter! {
    /// Incarnation of a node: grows each time the node starts on its disk.
    Generation
}
counter! {
    /// Fencing token of one agent's session.
    ///
    /// Each session takes the next epoch, so two owners never share one and a late writer is recognised by
    /// comparison alone. Zero means that the agent never had a session.
    Epoch
}
counter! {
    /// A command: the log index of the change that issued it.
    CommandId
}
counter! {
    /// A user of the API, counted from 1; those below 100 are reserved.
    UserId
}

impl FromStr for CommandId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// An agent: decimal, padded to three digits in text (`007`, `1234`). Zero stands for the manager itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct AgentId(#[n(0)] u32);

impl AgentId {
    /// The manager, which clients see as agent `000`. It is never stored and takes no command.
    pub const MANAGER: Self = Self(0);

    /// Wraps a number read from disk, wire or an import.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The bare number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The id after this one, or `None` when the 32 bits are used up.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

/// Text that is not an agent id: digits only, at most 4294967295.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an agent id: digits only, at most 4294967295")]
pub struct NotAnAgentId;

impl FromStr for AgentId {
    type Err = NotAnAgentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAnAgentId);
        }
        text.parse().map(Self).map_err(|_| NotAnAgentId)
    }
}

/// Names one proposal, so that a retry of it is recognised: 16 bytes, random, chosen by the proposer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ChangeId(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl ChangeId {
    /// Wraps 16 bytes of the proposer's randomness.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes as they were chosen.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangeId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_ids_are_padded_to_three_digits() {
        assert_eq!(AgentId::new(7).to_string(), "007");
        assert_eq!(AgentId::new(1234).to_string(), "1234");
    }

    #[test]
    fn agent_ids_take_digits_only() {
        assert_eq!("007".parse(), Ok(AgentId::new(7)));
        for text in ["", "-1", "+7", "7a", " 7", "4294967296"] {
            assert_eq!(text.parse::<AgentId>(), Err(NotAnAgentId), "{text:?}");
        }
    }
}
