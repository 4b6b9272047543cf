//! What an agent and this node say to each other, whatever carries it: messages in, an answer and inputs for the desk out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use muster_control::{AgentId, Label};

use super::Channel;
use super::caller::Caller;
use super::ending::Ending;
use super::heard::{answer, now, product_version, report};
use crate::codec::{AgentVersion, FromAgent, Keepalive, Startup, ToAgent};
use crate::session::{Connected, Heard, Input, LineId, Pulse, Sink};

/// Messages before the startup that are kept for the session; answers of the connection before may be among them.
const HELD_LIMIT: usize = 16;

/// One agent, its key, and how far the conversation with it has come.
pub(super) struct Conversation {
    pub(super) caller: Caller,
    line: Option<Line>,
    held: Vec<Heard>,
}

/// What exists from the first valid startup on.
struct Line {
    id: LineId,
    pulse: Arc<Pulse>,
    sink: Arc<dyn Sink>,
    /// Whether the desk knows that the agent spoke after the ack.
    spoke: bool,
}

/// What is to be done about a message, in the order of the fields.
#[derive(Default)]
pub(super) struct Reaction {
    /// What the agent is answered. Agents give up on a manager that is slow, so this waits for nothing.
    pub(super) answer: Option<Vec<u8>>,
    /// What the desk is told.
    pub(super) inputs: Vec<Input>,
    /// Why the conversation is over.
    pub(super) ending: Option<Ending>,
}

impl Conversation {
    /// A conversation in which nothing was said yet.
    pub(super) fn with(caller: Caller) -> Self {
        Self { caller, line: None, held: Vec::new() }
    }

    /// The connection as the desk knows it, from the first valid startup on.
    pub(super) fn line(&self) -> Option<LineId> {
        self.line.as_ref().map(|line| line.id)
    }

    /// The agent.
    pub(super) fn agent(&self) -> AgentId {
        self.caller.agent
    }

    /// Takes a message that was shown to be from the agent. With the first valid startup `connect` makes the way back.
    pub(super) fn take(
        &mut self,
        channel: &Channel,
        message: FromAgent<'_>,
        peer: SocketAddr,
        connect: impl FnOnce() -> Arc<dyn Sink>,
    ) -> Reaction {
        let mut reaction = Reaction::default();
        let (kind, heard) = match message {
            FromAgent::Startup(startup) => {
                channel.metrics.message("startup");
                return self.startup(channel, startup, peer, connect);
            }
            FromAgent::Keepalive(body) => match self.keepalive(body) {
                Some(heard) => {
                    reaction.answer = self.line.is_some().then(|| ToAgent::Ack.encode());
                    ("keepalive", heard)
                }
                None => ("other", Heard::Spoke),
            },
            FromAgent::Shutdown => ("shutdown", Heard::Shutdown),
            FromAgent::Answer { number, body } => ("answer", answer(number, body)),
            FromAgent::Event(event) if event.is_agent_started() => ("started", Heard::Started),
            FromAgent::Event(_) => ("event", Heard::Spoke),
            FromAgent::RequestAck(_) | FromAgent::Other(_) => ("other", Heard::Spoke),
        };
        channel.metrics.message(kind);
        reaction.inputs.extend(self.hear(heard));
        reaction
    }

    fn startup(
        &mut self,
        channel: &Channel,
        startup: Startup<'_>,
        peer: SocketAddr,
        connect: impl FnOnce() -> Arc<dyn Sink>,
    ) -> Reaction {
        let version = match startup {
            Startup::Unreadable => return Reaction::refuse(&ToAgent::refused_as_unreadable()),
            Startup::Version(version) if channel.is_too_new(&version) => {
                return Reaction::refuse(&ToAgent::refused_as_too_new());
            }
            Startup::Version(version) => Some(product_version(&version)),
            Startup::Silent => None,
        };
        let startup_at = channel.replica.view().index;
        self.caller.keepalive = None;
        let line = self.line.get_or_insert_with(|| {
            let (id, pulse) = (channel.desk.new_line(), channel.desk.pulses().start());
            Line { id, pulse, sink: connect(), spoke: false }
        });
        line.pulse.beat();
        line.spoke = false;
        let connected = Connected {
            agent: self.caller.agent,
            line: line.id,
            peer: Label::truncated(&peer.to_string()),
            version,
            startup_at,
            pulse: line.pulse.clone(),
            sink: line.sink.clone(),
        };
        let mut inputs = vec![Input::Connected(connected)];
        for heard in std::mem::take(&mut self.held) {
            inputs.extend(self.hear(heard));
        }
        Reaction { answer: Some(ToAgent::Ack.encode()), inputs, ending: None }
    }

    /// What a valid keepalive tells; what it reports is told on only if it is not what the one before said.
    fn keepalive(&mut self, body: &[u8]) -> Option<Heard> {
        let end = body.iter().rposition(|byte| *byte == b'\n')?;
        let mut hasher = DefaultHasher::new();
        body[..end].hash(&mut hasher);
        let hash = Some(hasher.finish());
        let mut news = None;
        if self.caller.keepalive != hash {
            self.caller.keepalive = hash;
            let keepalive = Keepalive::parse(body).ok()?;
            news = Some(Box::new(report(&keepalive)));
        }
        Some(Heard::Keepalive { at: now(), report: news })
    }

    fn hear(&mut self, heard: Heard) -> Option<Input> {
        let Some(line) = self.line.as_mut() else {
            if self.held.len() < HELD_LIMIT {
                self.held.push(heard);
            }
            return None;
        };
        line.pulse.beat();
        if heard == Heard::Spoke && line.spoke {
            return None;
        }
        line.spoke = true;
        Some(Input::Heard { agent: self.caller.agent, line: line.id, heard })
    }
}

impl Reaction {
    fn refuse(refusal: &ToAgent<'_>) -> Self {
        Self { answer: Some(refusal.encode()), ending: Some(Ending::VersionRefused), ..Self::default() }
    }
}

impl Channel {
    fn is_too_new(&self, version: &str) -> bool {
        let newer = |version: AgentVersion| version.is_newer_line_than(self.config.manager_version);
        !self.config.allow_higher_versions && version.parse().is_ok_and(newer)
    }
}
