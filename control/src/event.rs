//! What applying a change made happen. Derived, never stored: each node's gateway and caches live from them.

use crate::command::{CommandKind, Stage};
use crate::ids::{AgentId, CommandId, Epoch, Generation, NodeId};

/// Something that happened in the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An agent was registered.
    AgentEnrolled {
        /// The agent.
        agent: AgentId,
    },
    /// An agent was removed: its connection is to be closed.
    AgentRemoved {
        /// The agent.
        agent: AgentId,
    },
    /// A session was opened.
    SessionOpened {
        /// The agent.
        agent: AgentId,
        /// Its owner from now on.
        node: NodeId,
        /// The session's epoch.
        epoch: Epoch,
    },
    /// A session ended; its owner may state nothing under this epoch any more.
    SessionEnded {
        /// The agent.
        agent: AgentId,
        /// Who owned it.
        node: NodeId,
        /// The session's epoch.
        epoch: Epoch,
        /// Why.
        cause: EndCause,
    },
    /// The lease of a node lapsed or was given back, or a new incarnation appeared.
    NodeLost {
        /// The node.
        node: NodeId,
        /// The incarnation that is gone.
        generation: Generation,
    },
    /// A delivery waits for the agent's owner to ask for the right to send it.
    DeliveryQueued(Dispatch),
    /// The owner has the right to send a delivery, once.
    DeliverySent(Dispatch),
    /// An agent came back while a restart of it is unproven: its owner is to ask it for its state.
    StateWanted(Dispatch),
    /// A delivery came to its end.
    DeliveryEnded {
        /// The agent.
        agent: AgentId,
        /// The command.
        command: CommandId,
        /// A final stage.
        stage: Stage,
    },
}

/// A delivery and the session it goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// The agent.
    pub agent: AgentId,
    /// Its owner.
    pub node: NodeId,
    /// The session.
    pub epoch: Epoch,
    /// The command.
    pub command: CommandId,
    /// What the agent is to do.
    pub kind: CommandKind,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The agent opened another one.
    Superseded,
    /// The agent announced its shutdown.
    Shutdown,
    /// Nothing was heard of the agent.
    Silent,
    /// The owner's lease lapsed, or the owner started anew.
    NodeLost,
    /// The agent was removed.
    AgentRemoved,
}
