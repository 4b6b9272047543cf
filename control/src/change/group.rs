//! Groups and their members.

use minicbor::{Decode, Encode};

use crate::ids::AgentId;
use crate::selector::AgentSet;
use crate::text::GroupName;

/// See [`Change::RemoveGroups`](crate::Change::RemoveGroups).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RemoveGroups {
    /// These groups; `None`: all but the default group.
    #[n(0)]
    pub groups: Option<Vec<GroupName>>,
}

/// See [`Change::AssignGroup`](crate::Change::AssignGroup).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AssignGroup {
    /// Which agents.
    #[n(0)]
    pub agents: AgentSet,
    /// The group.
    #[n(1)]
    pub group: GroupName,
    /// Whether it replaces all groups they are in.
    #[n(2)]
    pub replace: bool,
}

/// See [`Change::UnassignGroup`](crate::Change::UnassignGroup).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct UnassignGroup {
    /// Which agents.
    #[n(0)]
    pub agents: AgentSet,
    /// The group.
    #[n(1)]
    pub group: GroupName,
}

/// See [`Change::LeaveGroups`](crate::Change::LeaveGroups).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaveGroups {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// These groups; `None`: all it is in.
    #[n(1)]
    pub groups: Option<Vec<GroupName>>,
}
