//! What this node has to state about one agent.

use muster_control::{CloseCause, CommandId, Epoch, Evidence, Label, LogIndex, Report, Stamp};

use super::sink::{LineId, Ticket};

/// One statement. Unless it holds a ticket, it is made under the epoch that the session has when its turn comes, so it
/// can wait in the queue before that epoch is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// The agent connected.
    Open(Opening),
    /// A delivery is about to be written.
    Send(Ticket),
    /// The agent gave evidence.
    Evidence(Option<CommandId>, Evidence),
    /// Nothing of a delivery got onto the connection of this session.
    Unwritten(Ticket),
    /// The agent was heard.
    Sighting(Sight),
    /// The session is over.
    Close(CloseCause),
}

/// A session to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The connection.
    pub(crate) line: LineId,
    /// Address and port of the agent.
    pub(crate) peer: Label,
    /// `Wazuh vX.Y.Z`, if the startup told it.
    pub(crate) version: Option<Label>,
    /// Whether a valid message came after the ack.
    pub(crate) spoke: bool,
    /// Not a startup: goes on where the session with this epoch was ended by a lapsed lease.
    pub(crate) resume: Option<Epoch>,
    /// What this node had applied when the startup came; of a resumption nothing.
    pub(crate) startup_at: Option<LogIndex>,
}

/// What was heard of an agent since it was last stated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// The last keepalive.
    pub(crate) keepalive_at: Option<Stamp>,
    /// What it told that is new.
    pub(crate) report: Option<Box<Report>>,
}

impl Sight {
    /// Takes what `later` adds.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.keepalive_at = self.keepalive_at.max(later.keepalive_at);
        if later.report.is_some() {
            self.report = later.report;
        }
    }
}

/// Statements of one kind travel in one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `OpenSessions`.
    Open,
    /// `MarkSent`.
    Send,
    /// `Receipts`.
    Receipt,
    /// `Seen`.
    Sighting,
    /// `CloseSessions`.
    Close,
}

impl Kind {
    /// All kinds, in order of [`Kind::index`].
    pub(crate) const ALL: [Self; 5] = [Self::Open, Self::Send, Self::Receipt, Self::Sighting, Self::Close];

    /// Position in [`Kind::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl Statement {
    /// The change it travels in.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Open(_) => Kind::Open,
            Self::Send(_) => Kind::Send,
            Self::Evidence(..) | Self::Unwritten(..) => Kind::Receipt,
            Self::Sighting(_) => Kind::Sighting,
            Self::Close(_) => Kind::Close,
        }
    }
}
