//! What a node may propose to the log.
//!
//! Stored in CBOR with numbered fields and variants, for ever: a number is never reused, a new field is an
//! `Option` or has a default, and an unknown variant does not decode, which stops the node.

mod cluster;
mod delivery;
mod enrollment;
mod group;
mod node;
mod session;

use minicbor::{Decode, Encode};

use crate::author::Authored;
use crate::import::ImportAgents;
use crate::outcome::Outcome;
use crate::text::{GroupName, UserName};

pub use cluster::{FoundCluster, NewUser};
pub use delivery::{Evidence, IssueCommand, MarkSent, ProcessState, Receipt, Receipts, Send};
pub use enrollment::{EnrollAgent, EnrollAgents, Force, RemoveAgents};
pub use group::{AssignGroup, LeaveGroups, RemoveGroups, UnassignGroup};
pub use node::{ReleaseLease, RenewLease};
pub use session::{CloseCause, CloseSession, CloseSessions, OpenSession, OpenSessions, RefusedStartup, Seen, Sighting};

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Change {
    /// Lets the clock pass a moment at which something is due.
    #[n(0)]
    Tick,
    /// Gives a new cluster its users and its signing key.
    #[n(1)]
    FoundCluster(#[n(0)] FoundCluster),
    /// Registers an incarnation of a node, or renews the lease of its sessions.
    #[n(2)]
    RenewLease(#[n(0)] RenewLease),
    /// Gives the lease back: a node stops in good order.
    #[n(3)]
    ReleaseLease(#[n(0)] ReleaseLease),
    /// Registers an agent.
    #[n(4)]
    EnrollAgent(#[n(0)] EnrollAgent),
    /// Removes agents.
    #[n(5)]
    RemoveAgents(#[n(0)] RemoveAgents),
    /// Opens sessions of agents that connected to one node at the same moment.
    #[n(6)]
    OpenSessions(#[n(0)] OpenSessions),
    /// Ends sessions of one node.
    #[n(7)]
    CloseSessions(#[n(0)] CloseSessions),
    /// Tells what one node heard of its agents in one interval.
    #[n(8)]
    Seen(#[n(0)] Seen),
    /// Creates a group.
    #[n(9)]
    CreateGroup(#[n(0)] GroupName),
    /// Removes groups.
    #[n(10)]
    RemoveGroups(#[n(0)] RemoveGroups),
    /// Adds agents to a group.
    #[n(11)]
    AssignGroup(#[n(0)] AssignGroup),
    /// Takes agents out of a group.
    #[n(12)]
    UnassignGroup(#[n(0)] UnassignGroup),
    /// Takes one agent out of several groups.
    #[n(13)]
    LeaveGroups(#[n(0)] LeaveGroups),
    /// Orders agents to do something.
    #[n(14)]
    IssueCommand(#[n(0)] IssueCommand),
    /// Asks for the right to write deliveries to agents, once each.
    #[n(15)]
    MarkSent(#[n(0)] MarkSent),
    /// Tells what agents gave as evidence.
    #[n(16)]
    Receipts(#[n(0)] Receipts),
    /// Makes the tokens of a user invalid that were issued so far.
    #[n(17)]
    RevokeTokens(#[n(0)] UserName),
    /// Does what a user of the API asks for, if the user still may.
    #[n(18)]
    Authored(#[n(0)] Authored),
    /// Registers agents that asked one node at the same moment.
    #[n(19)]
    EnrollAgents(#[n(0)] EnrollAgents),
    /// Takes over agents of another manager, under the ids and keys they have.
    #[n(20)]
    ImportAgents(#[n(0)] ImportAgents),
}

impl Change {
    /// The bytes that enter the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Reads what [`Change::to_bytes`] of this or an earlier version wrote.
    ///
    /// # Errors
    /// When the bytes are damaged, or of a change this version does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }

    /// A constant word for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::FoundCluster(_) => "found_cluster",
            Self::RenewLease(_) => "renew_lease",
            Self::ReleaseLease(_) => "release_lease",
            Self::EnrollAgent(_) => "enroll_agent",
            Self::RemoveAgents(_) => "remove_agents",
            Self::OpenSessions(_) => "open_sessions",
            Self::CloseSessions(_) => "close_sessions",
            Self::Seen(_) => "seen",
            Self::CreateGroup(_) => "create_group",
            Self::RemoveGroups(_) => "remove_groups",
            Self::AssignGroup(_) => "assign_group",
            Self::UnassignGroup(_) => "unassign_group",
            Self::LeaveGroups(_) => "leave_groups",
            Self::IssueCommand(_) => "issue_command",
            Self::MarkSent(_) => "mark_sent",
            Self::Receipts(_) => "receipts",
            Self::RevokeTokens(_) => "revoke_tokens",
            Self::Authored(_) => "authored",
            Self::EnrollAgents(_) => "enroll_agents",
            Self::ImportAgents(_) => "import_agents",
        }
    }
}

impl Outcome {
    /// The bytes in which an outcome travels between nodes and rests in snapshots.
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Reads what [`Outcome::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged, or of an outcome this version does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}
