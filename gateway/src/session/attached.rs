//! An agent without a socket: everything behind it is real. For benchmarks and simulations at large numbers.

use std::sync::Arc;

use muster_control::{AgentId, Label, LogIndex};

use super::input::{Beginning, Connected, Heard, Input};
use super::pulse::Pulse;
use super::sink::{LineId, Sink};
use super::task::DeskHandle;

/// A connected agent whose messages come from the caller.
pub struct Attached {
    desk: DeskHandle,
    agent: AgentId,
    line: LineId,
    pulse: Arc<Pulse>,
}

impl Attached {
    /// Connects `agent` as if its startup had come from `peer` and been acked.
    pub(crate) async fn connect(
        desk: DeskHandle,
        agent: AgentId,
        peer: &str,
        startup_at: LogIndex,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let (line, pulse) = (desk.new_line(), desk.pulses().start());
        let peer = Label::truncated(peer);
        let began = Beginning::Startup { version: None, at: startup_at };
        let connected = Connected { agent, line, peer, began, pulse: pulse.clone(), sink };
        desk.tell(Input::Connected(connected)).await;
        Self { desk, agent, line, pulse }
    }

    /// The agent says something.
    pub async fn say(&self, heard: Heard) {
        self.pulse.beat();
        self.desk.tell(Input::Heard { agent: self.agent, line: self.line, heard }).await;
    }

    /// The connection breaks.
    pub async fn disconnect(self) {
        let input = Input::Disconnected { agent: self.agent, line: self.line, unwritten: Vec::new() };
        self.desk.tell(input).await;
    }
}
