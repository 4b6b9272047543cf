//! The way to one connected agent.

use muster_control::{CommandId, Epoch};

/// Names one connection of this process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LineId(pub(crate) u64);

/// The committed right to send a delivery once, through one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The command it delivers.
    pub command: CommandId,
    /// The session.
    pub epoch: Epoch,
}

/// A message for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// What to seal and write.
    pub payload: Vec<u8>,
    /// What it delivers; `None` for a question of our own.
    pub ticket: Option<Ticket>,
}

/// The connection is gone or does not take any more: certainly nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection takes nothing")]
pub struct NotTaken;

/// Where messages for one agent go: the writing half of its connection, or what a benchmark puts in its place.
///
/// Neither method may block.
pub trait Sink: Send + Sync + 'static {
    /// Takes a message for the connection. The ack of the startup has been written before.
    ///
    /// # Errors
    /// When nothing of it will ever be written.
    fn send(&self, outgoing: Outgoing) -> Result<(), NotTaken>;

    /// Closes the connection at once.
    fn close(&self);
}
