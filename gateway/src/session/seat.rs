//! One agent as this node's desk knows it.

use std::sync::Arc;

use muster_control::{Epoch, Label, LogIndex};

use super::pulse::Pulse;
use super::sink::{LineId, Sink, Ticket};
use super::statement::{Opening, Sight};

/// What the desk remembers of one agent while it has a connection here, a session, or something to state.
pub(crate) struct Seat {
    /// The live connection.
    pub(crate) line: Option<Line>,
    /// The newest connection, live or gone, and where it came from.
    pub(crate) newest: (LineId, Label),
    /// The newest session that the log opened for this node, until it is known to be over.
    pub(crate) epoch: Option<Epoch>,
    /// Where that session was opened.
    pub(crate) opened_at: LogIndex,
    /// When the agent was last heard here.
    pub(crate) pulse: Arc<Pulse>,
    /// The right to send that was asked for, until it was used or given up.
    pub(crate) asked: Option<Ticket>,
    /// Keepalives that wait for the next interval.
    pub(crate) sight: Option<Sight>,
}

/// A live connection.
pub(crate) struct Line {
    pub(crate) id: LineId,
    pub(crate) sink: Arc<dyn Sink>,
    /// The session the log opened for this very connection, until it is known to be over.
    pub(crate) epoch: Option<Epoch>,
    /// Whether it was stated that the agent spoke.
    pub(crate) announced: bool,
    /// Whether the agent was asked for its state in this session.
    pub(crate) questioned: bool,
}

impl Seat {
    /// A seat of an agent that connects for the first time.
    pub(crate) fn new(line: LineId, peer: Label, pulse: Arc<Pulse>) -> Self {
        let opened_at = LogIndex::default();
        Self { line: None, newest: (line, peer), epoch: None, opened_at, pulse, asked: None, sight: None }
    }

    /// Whether this is the live connection.
    pub(crate) fn is_on(&self, line: LineId) -> bool {
        self.line.as_ref().is_some_and(|live| live.id == line)
    }

    /// The live connection, if the log opened this session for it.
    pub(crate) fn line_in(&mut self, epoch: Epoch) -> Option<&mut Line> {
        self.line.as_mut().filter(|line| line.epoch == Some(epoch))
    }

    /// The session is over.
    pub(crate) fn forget(&mut self, epoch: Epoch) {
        if self.epoch == Some(epoch) {
            self.epoch = None;
        }
        if let Some(line) = self.line_in(epoch) {
            line.epoch = None;
        }
    }

    /// Closes the live connection, if there is one.
    pub(crate) fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.sink.close();
        }
    }

    /// Whether nothing is left to remember.
    pub(crate) fn is_vacant(&self) -> bool {
        self.line.is_none() && self.epoch.is_none() && self.asked.is_none() && self.sight.is_none()
    }

    /// How to go on, under a new epoch, with the session that a lapsed lease ended.
    pub(crate) fn resumption(&self, ended: Epoch) -> Opening {
        let (line, peer) = self.newest.clone();
        Opening { line, peer, version: None, spoke: true, resume: Some(ended), startup_at: None }
    }
}
