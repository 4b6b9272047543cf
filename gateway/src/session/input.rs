//! What connections tell the desk.

use std::sync::Arc;

use muster_control::{AgentId, CommandId, Epoch, Label, LogIndex, ProcessState, Report, Stamp, StatusCode};

use super::pulse::Pulse;
use super::sink::{LineId, Sink, Ticket};

/// Something that happened at a connection. One connection's inputs arrive in the order they happened.
pub(crate) enum Input {
    /// A valid startup came and was acked.
    Connected(Connected),
    /// A valid message came.
    Heard {
        /// The agent.
        agent: AgentId,
        /// Its connection.
        line: LineId,
        /// The message.
        heard: Heard,
    },
    /// A startup was refused, so there is no session.
    Refused {
        /// The agent.
        agent: AgentId,
        /// Why.
        code: StatusCode,
    },
    /// The connection is gone.
    Disconnected {
        /// The agent.
        agent: AgentId,
        /// Its connection.
        line: LineId,
        /// Deliveries of which no byte went to the socket.
        unwritten: Vec<Ticket>,
    },
}

/// A connection whose startup was acked, or that goes on without one.
pub(crate) struct Connected {
    /// The agent.
    pub(crate) agent: AgentId,
    /// Names the connection.
    pub(crate) line: LineId,
    /// Address and port it came from.
    pub(crate) peer: Label,
    /// How it began.
    pub(crate) began: Beginning,
    /// Beats with each valid message.
    pub(crate) pulse: Arc<Pulse>,
    /// The way to the agent.
    pub(crate) sink: Arc<dyn Sink>,
}

/// How a connection began.
pub(crate) enum Beginning {
    /// With a startup.
    Startup {
        /// `Wazuh vX.Y.Z`, if it told that.
        version: Option<Label>,
        /// What this node had applied when it came.
        at: LogIndex,
    },
    /// With any other message, where the session with this epoch was ended by a lapsed lease: without connections, agents
    /// do not notice that their node starts anew.
    Resumed(Epoch),
}

/// What an agent said after its startup, as far as it matters to its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Anything valid: the agent is there.
    Spoke,
    /// A keepalive.
    Keepalive {
        /// When it came.
        at: Stamp,
        /// What it told, if that differs from the one before on this connection.
        report: Option<Box<Report>>,
    },
    /// A new process of the agent said that it started.
    Started,
    /// It took a command.
    Answered(CommandId),
    /// It refused a command, for this reason.
    Refused(CommandId, Label),
    /// It told its state, asked because of this command.
    State(CommandId, ProcessState),
    /// Its process ends in good order.
    Shutdown,
}
