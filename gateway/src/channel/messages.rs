//! What a connection does with the messages of its agent.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use muster_control::Label;

use super::connection::{Connection, OpenLine};
use super::ending::Ending;
use super::heard::{answer, now, product_version, report};
use super::line::LineSink;
use crate::codec::{AgentVersion, FromAgent, Keepalive, Startup, ToAgent};
use crate::session::{Connected, Heard, Input};

/// Messages before the startup that are kept for the session; answers of the connection before may be among them.
const HELD_LIMIT: usize = 16;

impl Connection {
    /// Takes a message that was shown to be from the agent.
    pub(super) async fn message(&mut self, message: FromAgent<'_>) -> Result<(), Ending> {
        let (kind, heard) = match message {
            FromAgent::Startup(startup) => {
                self.channel.metrics.message("startup");
                return self.startup(startup).await;
            }
            FromAgent::Keepalive(body) => match self.keepalive(body) {
                Some(heard) => ("keepalive", heard),
                None => ("other", Heard::Spoke),
            },
            FromAgent::Shutdown => ("shutdown", Heard::Shutdown),
            FromAgent::Answer { number, body } => ("answer", answer(number, body)),
            FromAgent::Event(event) if event.is_agent_started() => ("started", Heard::Started),
            FromAgent::Event(_) => ("event", Heard::Spoke),
            FromAgent::RequestAck(_) | FromAgent::Other(_) => ("other", Heard::Spoke),
        };
        self.channel.metrics.message(kind);
        self.hear(heard).await;
        Ok(())
    }

    /// Acks at once, whatever the cluster is doing, and only then tells of it: agents give up on a manager that is slow.
    async fn startup(&mut self, startup: Startup<'_>) -> Result<(), Ending> {
        let version = match startup {
            Startup::Unreadable => return Err(self.refuse(&ToAgent::refused_as_unreadable())),
            Startup::Version(version) if self.is_too_new(&version) => {
                return Err(self.refuse(&ToAgent::refused_as_too_new()));
            }
            Startup::Version(version) => Some(product_version(&version)),
            Startup::Silent => None,
        };
        let startup_at = self.channel.replica.view().index;
        self.push(&ToAgent::Ack.encode(), None);
        self.flush()?;
        self.stranger = None;
        let Some(caller) = self.caller.as_mut() else { return Ok(()) };
        caller.keepalive = None;
        let desk = &self.channel.desk;
        let line = self.line.get_or_insert_with(|| {
            let (sink, orders) = LineSink::new(self.hang_up.clone());
            let (id, agent, pulse) = (desk.new_line(), caller.agent, desk.pulses().start());
            OpenLine { id, agent, pulse, sink: Arc::new(sink), orders, spoke: false }
        });
        line.pulse.beat();
        line.spoke = false;
        let connected = Connected {
            agent: caller.agent,
            line: line.id,
            peer: Label::truncated(&self.peer.to_string()),
            version,
            startup_at,
            pulse: line.pulse.clone(),
            sink: line.sink.clone(),
        };
        desk.tell(Input::Connected(connected)).await;
        for heard in std::mem::take(&mut self.held) {
            self.hear(heard).await;
        }
        Ok(())
    }

    fn is_too_new(&self, version: &str) -> bool {
        let config = &self.channel.config;
        let newer = |version: AgentVersion| version.is_newer_line_than(config.manager_version);
        !config.allow_higher_versions && version.parse().is_ok_and(newer)
    }

    fn refuse(&mut self, refusal: &ToAgent<'_>) -> Ending {
        self.push(&refusal.encode(), None);
        match self.flush() {
            Ok(()) => Ending::VersionRefused,
            Err(ending) => ending,
        }
    }

    /// Acks a valid keepalive; what it reports is told on only if it is not what the one before said.
    fn keepalive(&mut self, body: &[u8]) -> Option<Heard> {
        let end = body.iter().rposition(|byte| *byte == b'\n')?;
        let mut hasher = DefaultHasher::new();
        body[..end].hash(&mut hasher);
        let hash = Some(hasher.finish());
        let caller = self.caller.as_mut()?;
        let mut news = None;
        if caller.keepalive != hash {
            caller.keepalive = hash;
            let keepalive = Keepalive::parse(body).ok()?;
            news = Some(Box::new(report(&keepalive)));
        }
        if self.line.is_some() {
            self.push(&ToAgent::Ack.encode(), None);
        }
        Some(Heard::Keepalive { at: now(), report: news })
    }

    async fn hear(&mut self, heard: Heard) {
        let Some(line) = self.line.as_mut() else {
            if self.held.len() < HELD_LIMIT {
                self.held.push(heard);
            }
            return;
        };
        line.pulse.beat();
        if heard == Heard::Spoke && line.spoke {
            return;
        }
        line.spoke = true;
        let (agent, line) = (line.agent, line.id);
        self.channel.desk.tell(Input::Heard { agent, line, heard }).await;
    }
}
