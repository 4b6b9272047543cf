//! One managed endpoint: who it is, who holds its connection, and what it last said about itself.

use minicbor::{Decode, Encode};

use crate::history::{History, Transition};
use crate::ids::{AgentId, Epoch, LogIndex, NodeId};
use crate::report::Report;
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::text::{AgentName, ClientKey, GroupName, Label, RegisteredAddress};

/// The record of one agent.
///
/// Copied whenever it changes, so every text in it is shared.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Agent {
    /// Its id; never given to another agent.
    #[n(0)]
    pub id: AgentId,
    /// Its name; unique among the registered agents.
    #[n(1)]
    pub name: AgentName,
    /// The secret of its channel.
    #[n(2)]
    pub key: ClientKey,
    /// Where it may come from.
    #[n(3)]
    pub address: RegisteredAddress,
    /// Its groups in order of priority: of equal files that of the last group wins. Empty before first contact.
    #[n(4)]
    pub groups: Shared<Vec<GroupName>>,
    /// When it was registered.
    #[n(5)]
    pub registered_at: Stamp,
    /// The address that asked for its registration; `None` if an operator registered it.
    #[n(6)]
    pub registered_from: Option<Label>,
    /// Epoch of its newest session, open or not.
    #[n(7)]
    pub epoch: Epoch,
    /// Its open session.
    #[n(8)]
    pub session: Option<Shared<Session>>,
    /// Whether it can be reached.
    #[n(9)]
    pub status: Status,
    /// Why it has that status.
    #[n(10)]
    pub status_code: StatusCode,
    /// The node of its newest session; stays after disconnection.
    #[n(11)]
    pub owner: Option<NodeId>,
    /// When it last sent a startup or a keepalive.
    #[n(12)]
    pub last_keepalive: Option<Stamp>,
    /// What it told about itself so far.
    #[n(13)]
    pub report: Shared<Report>,
    /// The latest changes of owner and status, oldest first, at most [`History::LIMIT`].
    #[n(14)]
    pub history: History,
    /// Where this record last changed.
    #[n(15)]
    pub revision: LogIndex,
    /// What the owner had applied when the newest startup came: see [`OpenSession`](crate::OpenSession).
    #[n(16)]
    pub startup_at: LogIndex,
}

/// Who an agent is.
pub(crate) struct Identity {
    pub(crate) id: AgentId,
    pub(crate) name: AgentName,
    pub(crate) key: ClientKey,
    pub(crate) address: RegisteredAddress,
}

/// Life of one connection of an agent to one node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Session {
    /// What the owner has to show with each statement about the agent.
    #[n(0)]
    pub epoch: Epoch,
    /// The owner.
    #[n(1)]
    pub node: NodeId,
    /// When the session was opened.
    #[n(2)]
    pub opened_at: Stamp,
    /// Address and port the agent came from.
    #[n(3)]
    pub peer: Label,
    /// Whether the agent's process is known to have sent a keepalive in this session. Needed to judge what `agent
    /// getstate` answers.
    #[n(4)]
    pub kept_alive: bool,
}

/// Whether an agent can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Status {
    /// Registered, without a session so far.
    #[n(0)]
    NeverConnected,
    /// A session is open; nothing was heard in it after the ack.
    #[n(1)]
    Pending,
    /// A session is open and the agent spoke in it.
    #[n(2)]
    Active,
    /// No session is open.
    #[n(3)]
    Disconnected,
}

impl Status {
    /// All of them, in the order of the reference's counters.
    pub const ALL: [Self; 4] = [Self::Active, Self::Disconnected, Self::NeverConnected, Self::Pending];

    /// The word clients know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverConnected => "never_connected",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Why an agent has its status (REST contract, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum StatusCode {
    /// Nothing to tell.
    #[n(0)]
    None,
    /// Its newest startup was refused: its version is too new.
    #[n(1)]
    TooNew,
    /// Its newest startup was refused: its version could not be read.
    #[n(2)]
    NoVersion,
    /// It announced its shutdown.
    #[n(3)]
    Shutdown,
    /// It fell silent.
    #[n(4)]
    Silent,
    /// Its node was lost or restarted.
    #[n(5)]
    NodeLost,
}

impl StatusCode {
    /// The number clients know it by.
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::TooNew => 1,
            Self::NoVersion => 2,
            Self::Shutdown => 3,
            Self::Silent => 4,
            Self::NodeLost => 5,
        }
    }
}

impl Agent {
    /// An agent that is registered and never connected; of `groups` each counts once.
    pub(crate) fn registered(identity: Identity, groups: &[GroupName], at: Stamp, index: LogIndex) -> Self {
        let Identity { id, name, key, address } = identity;
        let mut distinct: Vec<GroupName> = Vec::with_capacity(groups.len());
        for group in groups {
            if !distinct.contains(group) {
                distinct.push(group.clone());
            }
        }
        Self {
            id,
            name,
            key,
            address,
            groups: Shared::new(distinct),
            registered_at: at,
            registered_from: None,
            epoch: Epoch::default(),
            session: None,
            status: Status::NeverConnected,
            status_code: StatusCode::None,
            owner: None,
            last_keepalive: None,
            report: Shared::new(Report::default()),
            history: History::default(),
            revision: index,
            startup_at: LogIndex::default(),
        }
    }

    /// Whether a session with this epoch is open.
    pub fn holds(&self, epoch: Epoch) -> bool {
        self.session.as_ref().is_some_and(|session| session.epoch == epoch)
    }

    /// The node that holds the agent's connection, while a session is open.
    pub fn session_node(&self) -> Option<NodeId> {
        self.session.as_ref().map(|session| session.node)
    }

    /// When its last session ended, while no other is open.
    pub fn disconnected_at(&self) -> Option<Stamp> {
        self.history.last().filter(|last| last.status == Status::Disconnected).map(|last| last.at)
    }

    /// Sets owner and status as of now, and remembers the change if it is one.
    pub(crate) fn transition(&mut self, index: LogIndex, at: Stamp, status: Status, code: StatusCode) {
        self.status = status;
        self.status_code = code;
        self.history.remember(Transition { index, at, status, owner: self.owner, epoch: self.epoch });
    }
}
