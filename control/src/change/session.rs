//! Sessions, and what their owners state.

use minicbor::{Decode, Encode};

use crate::agent::StatusCode;
use crate::ids::{AgentId, Epoch, Generation, LogIndex, NodeId};
use crate::report::Report;
use crate::stamp::Stamp;
use crate::text::Label;

/// See [`Change::OpenSessions`](crate::Change::OpenSessions).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpenSessions {
    /// The node they connected to.
    #[n(0)]
    pub node: NodeId,
    /// Its incarnation.
    #[n(1)]
    pub generation: Generation,
    /// The sessions; the outcome answers in this order.
    #[n(2)]
    pub sessions: Vec<OpenSession>,
}

/// One session to open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpenSession {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Address and port it came from.
    #[n(1)]
    pub peer: Label,
    /// `Wazuh vX.Y.Z`, if the startup told it.
    #[n(2)]
    pub version: Option<Label>,
    /// Whether a valid message arrived on the connection after its ack already.
    #[n(3)]
    pub spoke: bool,
    /// Not a startup: the connection had a session with this epoch that ended with the node's lease. Refused if
    /// the agent had another session since.
    #[n(4)]
    pub resume: Option<Epoch>,
    /// What the node had applied when the startup came. Only what was sent before that can have caused it, however
    /// late this change enters the log. `None` is before everything.
    #[n(5)]
    pub startup_at: Option<LogIndex>,
}

/// See [`Change::CloseSessions`](crate::Change::CloseSessions).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CloseSessions {
    /// The sessions.
    #[n(0)]
    pub closes: Vec<CloseSession>,
}

/// One session to end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CloseSession {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session.
    #[n(1)]
    pub epoch: Epoch,
    /// Why.
    #[n(2)]
    pub cause: CloseCause,
}

/// Why an owner ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum CloseCause {
    /// The agent announced its shutdown.
    #[n(0)]
    Shutdown,
    /// Nothing was heard of it for the disconnection time.
    #[n(1)]
    Silent,
}

/// See [`Change::Seen`](crate::Change::Seen).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// One for each agent that was heard of.
    #[n(0)]
    pub sightings: Vec<Sighting>,
    /// Startups that were refused; `None` in entries of versions that did not tell.
    #[n(1)]
    pub refused: Option<Vec<RefusedStartup>>,
}

/// A startup that was refused. It opened no session, so it stands under no epoch and says nothing against one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefusedStartup {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// [`StatusCode::TooNew`] or [`StatusCode::NoVersion`].
    #[n(1)]
    pub code: StatusCode,
}

/// What was heard of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Sighting {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session it was heard in.
    #[n(1)]
    pub epoch: Epoch,
    /// When its last keepalive came; `None` if only other messages did.
    #[n(2)]
    pub keepalive_at: Option<Stamp>,
    /// What it told about itself, if that differs from what it told before in this session.
    #[n(3)]
    pub report: Option<Report>,
}
