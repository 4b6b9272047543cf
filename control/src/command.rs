//! Commands to agents and their deliveries.

use imbl::OrdMap;
use minicbor::{Decode, Encode};

use crate::ids::{AgentId, CommandId, Epoch, LogIndex};
use crate::selector::Selector;
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::text::{Label, UserName};

/// What an agent is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum CommandKind {
    /// Restart the agent's processes.
    #[n(0)]
    Restart,
    /// Drop the connection and connect again.
    #[n(1)]
    Reconnect,
}

impl CommandKind {
    /// The word clients know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reconnect => "reconnect",
        }
    }
}

/// An order to agents, from its issue until it is forgotten.
#[derive(Clone, Debug)]
pub struct Command {
    /// What everybody may know of it without looking at its deliveries.
    pub head: CommandHead,
    /// Its deliveries by agent.
    pub deliveries: OrdMap<AgentId, Delivery>,
    /// How many deliveries are in each stage, by [`Stage::index`].
    pub(crate) counts: [u32; Stage::ALL.len()],
}

/// A command without its deliveries.
#[derive(Clone, Debug, Encode, Decode)]
pub struct CommandHead {
    /// The log index of its issue.
    #[n(0)]
    pub id: CommandId,
    /// What is to be done.
    #[n(1)]
    pub kind: CommandKind,
    /// To which agents.
    #[n(2)]
    pub selector: Shared<Selector>,
    /// Who asked for it; `None` if the cluster itself did.
    #[n(3)]
    pub issuer: Option<UserName>,
    /// When.
    #[n(4)]
    pub issued_at: Stamp,
    /// What is not sent by then is not sent any more.
    #[n(5)]
    pub send_before: Stamp,
    /// Where one of its deliveries last changed.
    #[n(6)]
    pub revision: LogIndex,
}

impl Command {
    pub(crate) fn new(head: CommandHead, deliveries: OrdMap<AgentId, Delivery>) -> Self {
        let mut counts = [0; Stage::ALL.len()];
        deliveries.values().for_each(|delivery| counts[delivery.stage.index()] += 1);
        Self { head, deliveries, counts }
    }

    /// Changes one delivery; `None` if the command has none for this agent.
    pub(crate) fn update<R>(
        &mut self,
        agent: AgentId,
        revision: LogIndex,
        change: impl FnOnce(&mut Delivery) -> R,
    ) -> Option<R> {
        let delivery = self.deliveries.get_mut(&agent)?;
        self.counts[delivery.stage.index()] -= 1;
        let result = change(delivery);
        delivery.revision = revision;
        self.counts[delivery.stage.index()] += 1;
        self.head.revision = revision;
        Some(result)
    }

    /// How many deliveries are in `stage`.
    pub fn count(&self, stage: Stage) -> u32 {
        self.counts[stage.index()]
    }

    /// Whether no delivery can change any more.
    pub fn is_finished(&self) -> bool {
        Stage::ALL.iter().all(|stage| stage.is_final() || self.count(*stage) == 0)
    }
}

/// The life of one command for one agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Delivery {
    /// How far it came.
    #[n(0)]
    pub stage: Stage,
    /// What ended it, or what it waits for after a refusal by the agent.
    #[n(1)]
    pub reason: Option<Reason>,
    /// The command whose sending also carries this one, since the agent had not been sent that one yet.
    #[n(2)]
    pub shares: Option<CommandId>,
    /// Epoch of the session it was sent in.
    #[n(3)]
    pub epoch: Option<Epoch>,
    /// When it was last allowed to be sent.
    #[n(4)]
    pub sent_at: Option<Stamp>,
    /// How often it was allowed to be sent.
    #[n(5)]
    pub attempts: u32,
    /// When the stage was entered.
    #[n(6)]
    pub since: Stamp,
    /// Where it last changed.
    #[n(7)]
    pub revision: LogIndex,
}

/// How far a delivery came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Stage {
    /// Waits for the agent's owner.
    #[n(0)]
    Queued,
    /// The owner may write it, or has written it, to the agent.
    #[n(1)]
    Sent,
    /// The agent answered that it took it, which proves nothing.
    #[n(2)]
    Acknowledged,
    /// The agent has done it: proven.
    #[n(3)]
    Confirmed,
    /// The agent said that it did not, and goes on saying so.
    #[n(4)]
    Failed,
    /// Sent, but neither done nor refused as far as anybody can tell.
    #[n(5)]
    Unproven,
    /// Never sent: the agent did not come in time.
    #[n(6)]
    Expired,
    /// Ended because the agent was removed.
    #[n(7)]
    Cancelled,
}

impl Stage {
    /// All stages, in order of [`Stage::index`].
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Sent,
        Self::Acknowledged,
        Self::Confirmed,
        Self::Failed,
        Self::Unproven,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Position in [`Stage::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the delivery stays in this stage.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sent | Self::Acknowledged)
    }

    /// The word clients know it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Unproven => "unproven",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a delivery is in its stage.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Reason {
    /// Confirmed: a new process of the agent said that it started.
    #[n(0)]
    Started,
    /// Confirmed: the agent said that it shuts down, then came back with a startup.
    #[n(1)]
    ShutdownThenStartup,
    /// Confirmed: the state the agent told is that of a new process.
    #[n(2)]
    NewProcess,
    /// Confirmed: the agent connected again (reconnect only).
    #[n(3)]
    Reconnected,
    /// The agent answered `err` with this text: nothing was done.
    #[n(4)]
    Refused(#[n(0)] Label),
    /// The owner did not get it to the connection: nothing was sent.
    #[n(5)]
    Unwritten,
    /// Nothing proved it within the time to prove it.
    #[n(6)]
    NoEvidence,
    /// The agent was not there, or busy with an earlier command, until it was too late to send.
    #[n(7)]
    NotSentInTime,
    /// The agent was removed.
    #[n(8)]
    AgentRemoved,
}

impl Delivery {
    pub(crate) fn queued(at: Stamp, revision: LogIndex, shares: Option<CommandId>) -> Self {
        Self {
            stage: Stage::Queued,
            reason: None,
            shares,
            epoch: None,
            sent_at: None,
            attempts: 0,
            since: at,
            revision,
        }
    }
}
