//! Which agents something is about.

use minicbor::{Decode, Encode};

use crate::ids::AgentId;
use crate::text::{GroupName, NodeName};

/// The agents a command is for; resolved when the command is applied, never earlier.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Selector {
    /// Every active agent.
    #[n(0)]
    All,
    /// These agents; each one that cannot be commanded is reported.
    #[n(1)]
    Agents(#[n(0)] Vec<AgentId>),
    /// The active members of a group.
    #[n(2)]
    Group(#[n(0)] GroupName),
    /// The active agents that a node owns.
    #[n(3)]
    Node(#[n(0)] NodeName),
}

/// The agents a change of registration or membership is for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AgentSet {
    /// Every registered agent.
    #[n(0)]
    All,
    /// These agents; each one it does not hold for is reported.
    #[n(1)]
    Only(#[n(0)] Vec<AgentId>),
}
