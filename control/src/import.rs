//! What is taken over from another manager: see [`Change::ImportAgents`](crate::Change::ImportAgents).

use minicbor::{Decode, Encode};

use crate::agent::StatusCode;
use crate::ids::AgentId;
use crate::outcome::Refusal;
use crate::report::Report;
use crate::stamp::Stamp;
use crate::text::{AgentName, ClientKey, GroupName, RegisteredAddress};

/// One batch of an import.
///
/// A batch is taken whole or not at all, unless it says otherwise; so an import that was cut off is completed by
/// proposing all of it again: agents that are registered already, as they are in the batch, stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ImportAgents {
    /// The highest id of the whole import, removed agents included. None up to it is given to an agent that enrolls
    /// from now on, so that nobody gets an id that a later batch brings.
    #[n(0)]
    pub through: AgentId,
    /// Groups to create if they are not there.
    #[n(1)]
    pub groups: Vec<GroupName>,
    /// Agents to register.
    #[n(2)]
    pub agents: Vec<ImportedAgent>,
    /// Ids that the other manager gave to agents it removed since: they are used up.
    #[n(3)]
    pub removed: Vec<AgentId>,
    /// Whether to register the other agents of the batch although some cannot be.
    #[n(4)]
    pub skip_conflicts: bool,
}

/// One agent as the other manager had it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ImportedAgent {
    /// Its id there, and here.
    #[n(0)]
    pub id: AgentId,
    /// Its name.
    #[n(1)]
    pub name: AgentName,
    /// The secret of its channel.
    #[n(2)]
    pub key: ClientKey,
    /// Where it may come from.
    #[n(3)]
    pub address: RegisteredAddress,
    /// Its groups in order of priority; of the batch or of the state.
    #[n(4)]
    pub groups: Vec<GroupName>,
    /// When it was registered there; `None` takes the moment of the import.
    #[n(5)]
    pub registered_at: Option<Stamp>,
    /// `None` if it never connected there.
    #[n(6)]
    pub past: Option<Past>,
    /// What it told about itself there.
    #[n(7)]
    pub report: Report,
}

/// What the other manager knew of the connection of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Past {
    /// When it last sent a startup or a keepalive.
    #[n(0)]
    pub last_keepalive: Option<Stamp>,
    /// When its last connection ended; `None` takes the moment of the import.
    #[n(1)]
    pub disconnected_at: Option<Stamp>,
    /// Why it ended.
    #[n(2)]
    pub status_code: StatusCode,
}

/// What becomes of one agent of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportVerdict {
    /// It is registered.
    New,
    /// It is registered already with this id, name, key and address, and stays as it is.
    Known,
    /// It cannot be registered.
    Conflict(Refusal),
}
