//! The open deliveries of one agent, in the order they will be sent.
//!
//! Each restart an agent receives is a restart of its own; they queue up inside it (agent protocol, section 4.7).
//! So only the head of a lane is sent, the next one waits until it is settled, and a command that comes while
//! one of the same kind still waits is carried by that one.

use minicbor::{Decode, Encode};

use crate::command::CommandKind;
use crate::ids::{CommandId, Epoch, LogIndex};
use crate::stamp::Stamp;

/// Open deliveries of one agent; never empty while it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Lane {
    /// The head first.
    #[n(0)]
    pub(crate) items: Vec<LaneItem>,
}

/// One thing to be sent to an agent, for one or more commands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LaneItem {
    /// The command under whose id it is sent.
    #[n(0)]
    pub command: CommandId,
    /// What the agent is to do.
    #[n(1)]
    pub kind: CommandKind,
    /// Later commands that it carries too.
    #[n(2)]
    pub(crate) sharers: Vec<CommandId>,
    /// How far its current sending came.
    #[n(3)]
    pub(crate) sending: Sending,
    /// When the agent first said `err`, over all sendings.
    #[n(4)]
    pub(crate) first_refused_at: Option<Stamp>,
}

/// How far the sending of a [`LaneItem`] came.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Sending {
    /// It may be sent from this moment on.
    #[n(0)]
    Waiting(#[n(0)] Stamp),
    /// Its owner has the right to write it.
    #[n(1)]
    Sent(#[n(0)] Sent),
}

/// What is known of a sending that may have reached the agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Sent {
    /// Epoch of the session it went through.
    #[n(0)]
    pub epoch: Epoch,
    /// By when it has to be proven.
    #[n(1)]
    pub prove_by: Stamp,
    /// Whether the process it went to is known to have sent a keepalive.
    #[n(2)]
    pub kept_alive: bool,
    /// Whether the agent announced its shutdown since.
    #[n(3)]
    pub shutdown_seen: bool,
    /// Log index of the right to send it.
    #[n(4)]
    pub index: LogIndex,
    /// Whether the agent spoke in the session it went through. What its process says but once, that it started, is then
    /// behind it: it follows right upon the ack, however late and by whichever node that was given.
    #[n(5)]
    pub spoke: bool,
}

impl Lane {
    /// What is under way or next.
    pub fn head(&self) -> Option<&LaneItem> {
        self.items.first()
    }

    pub(crate) fn head_mut(&mut self) -> Option<&mut LaneItem> {
        self.items.first_mut()
    }
}

impl LaneItem {
    /// What is known of its sending, if it was sent.
    pub fn sent(&self) -> Option<&Sent> {
        match &self.sending {
            Sending::Waiting(_) => None,
            Sending::Sent(sent) => Some(sent),
        }
    }

    pub(crate) fn sent_mut(&mut self) -> Option<&mut Sent> {
        match &mut self.sending {
            Sending::Waiting(_) => None,
            Sending::Sent(sent) => Some(sent),
        }
    }

    /// All commands it stands for, that under whose id it is sent first.
    pub(crate) fn commands(&self) -> impl Iterator<Item = CommandId> {
        std::iter::once(self.command).chain(self.sharers.iter().copied())
    }

    /// When the clock has something to do for it.
    pub(crate) fn due(&self) -> Stamp {
        match &self.sending {
            Sending::Waiting(from) => *from,
            Sending::Sent(sent) => sent.prove_by,
        }
    }
}
