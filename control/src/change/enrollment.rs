//! Agents that are registered and removed.

use minicbor::{Decode, Encode};

use crate::agent::Status;
use crate::ids::LogIndex;
use crate::selector::AgentSet;
use crate::stamp::Millis;
use crate::text::{AgentName, ClientKey, GroupName, Label, RegisteredAddress};

/// See [`Change::EnrollAgent`](crate::Change::EnrollAgent).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnrollAgent {
    /// Its name.
    #[n(0)]
    pub name: AgentName,
    /// The secret the proposer made for it.
    #[n(1)]
    pub key: ClientKey,
    /// Where it may come from.
    #[n(2)]
    pub address: RegisteredAddress,
    /// Its groups in order of priority; all must exist.
    #[n(3)]
    pub groups: Vec<GroupName>,
    /// The address that asks; `None` for an operator.
    #[n(4)]
    pub registered_from: Option<Label>,
    /// When an agent of the same name or address gives way.
    #[n(5)]
    pub force: Force,
    /// Hash of the key that the asking agent holds, if it told: lower-case hex SHA-1 of id, name and key.
    #[n(6)]
    pub key_hash: Option<Label>,
    /// What the node knew to be applied when it was asked. An agent that changed since then does not give way, however
    /// late this change enters the log. `None` is after everything.
    #[n(7)]
    pub asked_at: Option<LogIndex>,
}

impl EnrollAgent {
    /// Registers an agent that may come from anywhere, as an operator does it: whoever has the name keeps it.
    pub fn new(name: AgentName, key: ClientKey) -> Self {
        Self {
            name,
            key,
            address: RegisteredAddress::any(),
            groups: Vec::new(),
            registered_from: None,
            force: Force::never(),
            key_hash: None,
            asked_at: None,
        }
    }
}

/// See [`Change::EnrollAgents`](crate::Change::EnrollAgents).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnrollAgents {
    /// The agents; the outcome answers in this order.
    #[n(0)]
    pub enrollments: Vec<EnrollAgent>,
}

/// When a registered agent gives way to a new one of the same name or address.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Force {
    /// Whether it ever does.
    #[n(0)]
    pub enabled: bool,
    /// It has to be disconnected for so long, or never connected; `None` disables this test.
    #[n(1)]
    pub disconnected_for: Option<Millis>,
    /// It has to be registered for so long; zero disables this test.
    #[n(2)]
    pub registered_for: Millis,
    /// A key hash that comes with the request has to differ from that of its key.
    #[n(3)]
    pub key_mismatch: bool,
}

impl Force {
    /// Never gives way.
    pub const fn never() -> Self {
        Self { enabled: false, disconnected_for: None, registered_for: Millis::new(0), key_mismatch: false }
    }

    /// The reference's defaults for enrollment: an hour for both spans, and the hash must differ.
    pub const fn enrollment_default() -> Self {
        let hour = Millis::from_secs(3600);
        Self { enabled: true, disconnected_for: Some(hour), registered_for: hour, key_mismatch: true }
    }
}

/// See [`Change::RemoveAgents`](crate::Change::RemoveAgents).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RemoveAgents {
    /// Which agents.
    #[n(0)]
    pub agents: AgentSet,
    /// Only in one of these states, as of when it is applied; `None`: in any.
    #[n(1)]
    pub statuses: Option<Vec<Status>>,
    /// Only if the last keepalive (the registration, if it never connected) is at least so old.
    #[n(2)]
    pub older_than: Millis,
}
