//! What the clock has to do, and when.

use imbl::OrdSet;

use crate::ids::{AgentId, CommandId, NodeId};
use crate::stamp::Stamp;

/// Moments at which something is due. Derived: rebuilt when a snapshot is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers(OrdSet<(Stamp, Timer)>);

/// Something that is due at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A node's lease lapses.
    Lease(NodeId),
    /// A command is not sent to further agents.
    SendBefore(CommandId),
    /// The head of an agent's lane may be sent again, or can be proven no more.
    Lane(AgentId),
}

impl Timers {
    pub(crate) fn set(&mut self, due: Stamp, timer: Timer) {
        self.0.insert((due, timer));
    }

    pub(crate) fn clear(&mut self, due: Stamp, timer: Timer) {
        self.0.remove(&(due, timer));
    }

    /// Takes the first timer that is due at `now`.
    pub(crate) fn take_due(&mut self, now: Stamp) -> Option<Timer> {
        let first = *self.0.get_min()?;
        if first.0 > now {
            return None;
        }
        self.0.remove(&first);
        Some(first.1)
    }

    /// When the next timer is due.
    pub(crate) fn next(&self) -> Option<Stamp> {
        self.0.get_min().map(|(due, _)| *due)
    }
}
