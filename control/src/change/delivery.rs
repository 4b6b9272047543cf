//! Commands, their deliveries, and evidence for them.

use minicbor::{Decode, Encode};

use crate::command::CommandKind;
use crate::ids::{AgentId, CommandId, Epoch};
use crate::selector::Selector;
use crate::stamp::Millis;
use crate::text::{Label, UserName};

/// See [`Change::IssueCommand`](crate::Change::IssueCommand).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IssueCommand {
    /// What is to be done.
    #[n(0)]
    pub kind: CommandKind,
    /// To which agents.
    #[n(1)]
    pub selector: Selector,
    /// Who asks for it; `None` if the cluster itself does.
    #[n(2)]
    pub issuer: Option<UserName>,
    /// What is not sent within this span is not sent any more.
    #[n(3)]
    pub send_within: Millis,
}

/// See [`Change::MarkSent`](crate::Change::MarkSent).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MarkSent {
    /// One for each delivery that is about to be written.
    #[n(0)]
    pub sends: Vec<Send>,
}

/// One delivery about to be written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Send {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session it will be written in.
    #[n(1)]
    pub epoch: Epoch,
    /// The command.
    #[n(2)]
    pub command: CommandId,
}

/// See [`Change::Receipts`](crate::Change::Receipts).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipts {
    /// What came, in the order it came.
    #[n(0)]
    pub receipts: Vec<Receipt>,
}

/// Evidence for a step of the delivery that is under way for one agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session the evidence came in; for [`Evidence::Unwritten`] of that it was to be sent in.
    #[n(1)]
    pub epoch: Epoch,
    /// The command it is about, where the evidence itself names one.
    #[n(2)]
    pub command: Option<CommandId>,
    /// What came.
    #[n(3)]
    pub evidence: Evidence,
}

/// What an agent, or its owner, gave to know. A shutdown and a startup travel as changes of their own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Evidence {
    /// The agent answered `ok`: it took the command, which proves nothing.
    #[n(0)]
    Answered,
    /// The agent answered `err` and this text: it did nothing.
    #[n(1)]
    Refused(#[n(0)] Label),
    /// A new process of the agent said "Agent started".
    #[n(2)]
    Started,
    /// The agent told its state when asked.
    #[n(3)]
    State(#[n(0)] ProcessState),
    /// The owner got nothing of it onto the connection.
    #[n(4)]
    Unwritten,
}

/// What `agent getstate` tells of the agent's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProcessState {
    /// Whether this process has sent a keepalive.
    #[n(0)]
    pub has_sent_keepalive: bool,
}
