//! What an agent and this node say to each other, whatever carries it: messages in, an answer and inputs for the desk out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use muster_control::{Agent, AgentId, Epoch, Label, StatusCode};

use super::caller::Caller;
use super::ending::Ending;
use super::heard::{answer, now, product_version, report};
use super::holders::{Claimant, Presence};
use super::{Channel, since_epoch};
use crate::codec::{AgentVersion, FromAgent, Keepalive, Place, Startup, ToAgent};
use crate::session::{Beginning, Connected, Heard, Input, LineId, Sink};

/// Answers that come before the startup and are kept for the session: they are to requests of the connection before.
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
    presence: Arc<Presence>,
    sink: Arc<dyn Sink>,
    /// Whether the desk knows that the agent spoke after the ack.
    spoke: bool,
}

/// What a message came by.
pub(super) struct Via {
    /// From where.
    pub(super) peer: SocketAddr,
    /// Where its sender's counters stand.
    pub(super) place: Place,
    /// Whether that is a connection, in which a further startup changes nothing. Without one each startup stands for a new
    /// connection.
    pub(super) is_connection: bool,
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

    /// The connection is over; the conversation may go on with another one.
    pub(super) fn hang_up(&mut self) {
        self.line = None;
        self.caller.keepalive = None;
    }

    /// Takes a message that was shown to be from the agent. With the first valid startup `connect` makes the way back.
    pub(super) fn take(
        &mut self,
        channel: &Channel,
        message: FromAgent<'_>,
        via: &Via,
        connect: impl FnOnce(LineId) -> Arc<dyn Sink>,
    ) -> Reaction {
        let mut reaction = Reaction::default();
        let (kind, heard) = match message {
            FromAgent::Startup(startup) => {
                channel.metrics.message("startup");
                return self.startup(channel, startup, via, connect);
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
            FromAgent::Event(event) => {
                if self.line.is_some() {
                    channel.events.offer(&self.caller.source, &event);
                }
                if event.is_agent_started() { ("started", Heard::Started) } else { ("event", Heard::Spoke) }
            }
            FromAgent::RequestAck(_) | FromAgent::Other(_) => ("other", Heard::Spoke),
        };
        channel.metrics.message(kind);
        reaction.inputs.extend(self.hear(heard, via.place));
        reaction
    }

    fn startup(
        &mut self,
        channel: &Channel,
        startup: Startup<'_>,
        via: &Via,
        connect: impl FnOnce(LineId) -> Arc<dyn Sink>,
    ) -> Reaction {
        let version = match channel.admit(&startup) {
            Ok(version) => version,
            Err((code, refusal)) => return self.refuse(channel, code, &refusal),
        };
        let began = Beginning::Startup { version, at: channel.replica.view().index };
        if let Err(ending) = self.open(channel, via, connect) {
            return Reaction { ending: Some(ending), ..Reaction::default() };
        }
        let inputs = self.connected(channel, began, via);
        Reaction { answer: Some(ToAgent::Ack.encode()), inputs, ending: None }
    }

    /// The agent tries again for ever, so the cluster is told only what it does not know.
    fn refuse(&self, channel: &Channel, code: StatusCode, refusal: &ToAgent<'_>) -> Reaction {
        let (agent, view) = (self.caller.agent, channel.replica.view());
        let is_news = |agent: &Agent| agent.session.is_none() && agent.status_code != code;
        let is_news = view.control.agents().get(agent).is_some_and(|agent| is_news(agent));
        Reaction {
            answer: Some(refusal.encode()),
            inputs: is_news.then_some(Input::Refused { agent, code }).into_iter().collect(),
            ending: Some(Ending::VersionRefused),
        }
    }

    /// Goes on without a startup where the session with this epoch was ended by a lapsed lease.
    ///
    /// # Errors
    /// [`Ending::InUse`].
    pub(super) fn resume(
        &mut self,
        channel: &Channel,
        ended: Epoch,
        via: &Via,
        connect: impl FnOnce(LineId) -> Arc<dyn Sink>,
    ) -> Result<Vec<Input>, Ending> {
        self.open(channel, via, connect)?;
        Ok(self.connected(channel, Beginning::Resumed(ended), via))
    }

    /// Takes the agent's key for a line: a new one, unless this connection has one already.
    fn open(
        &mut self,
        channel: &Channel,
        via: &Via,
        connect: impl FnOnce(LineId) -> Arc<dyn Sink>,
    ) -> Result<(), Ending> {
        let (agent, peer, place) = (self.caller.agent, via.peer, via.place);
        let current = self.line.as_ref().filter(|_| via.is_connection);
        let (line, presence) = match current {
            Some(line) => (line.id, line.presence.clone()),
            None => (channel.desk.new_line(), Presence::new(channel.desk.pulses().start())),
        };
        let is_new = current.is_none();
        let claimant = Claimant { agent, line, peer, place, presence: presence.clone() };
        channel.claim(&channel.replica.view().control, claimant)?;
        presence.beat(place);
        if is_new {
            self.line = Some(Line { id: line, presence, sink: connect(line), spoke: false });
        }
        Ok(())
    }

    fn connected(&mut self, channel: &Channel, began: Beginning, via: &Via) -> Vec<Input> {
        // The node that the agent comes from may have started later than this one, and its counters were ahead.
        channel.counter.catch_up(since_epoch());
        self.caller.keepalive = None;
        let Some(line) = self.line.as_mut() else { return Vec::new() };
        line.spoke = false;
        let connected = Connected {
            agent: self.caller.agent,
            line: line.id,
            peer: Label::truncated(&via.peer.to_string()),
            began,
            pulse: line.presence.pulse.clone(),
            sink: line.sink.clone(),
        };
        let mut inputs = vec![Input::Connected(connected)];
        for heard in std::mem::take(&mut self.held) {
            inputs.extend(self.hear(heard, via.place));
        }
        inputs
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

    fn hear(&mut self, heard: Heard, place: Place) -> Option<Input> {
        let Some(line) = self.line.as_mut() else {
            let is_answer = matches!(heard, Heard::Answered(_) | Heard::Refused(..) | Heard::State(..));
            if is_answer && self.held.len() < HELD_LIMIT {
                self.held.push(heard);
            }
            return None;
        };
        line.presence.beat(place);
        if heard == Heard::Spoke && line.spoke {
            return None;
        }
        line.spoke = true;
        Some(Input::Heard { agent: self.caller.agent, line: line.id, heard })
    }
}

impl Channel {
    /// The version that a startup tells, as reports have it.
    ///
    /// # Errors
    /// Why it is refused, for people, and what the agent is to hear in place of the ack.
    pub(super) fn admit(&self, startup: &Startup<'_>) -> Result<Option<Label>, (StatusCode, ToAgent<'static>)> {
        match startup {
            Startup::Unreadable => Err((StatusCode::NoVersion, ToAgent::refused_as_unreadable())),
            Startup::Version(version) if self.is_too_new(version) => {
                Err((StatusCode::TooNew, ToAgent::refused_as_too_new()))
            }
            Startup::Version(version) => Ok(Some(product_version(version))),
            Startup::Silent => Ok(None),
        }
    }

    fn is_too_new(&self, version: &str) -> bool {
        let newer = |version: AgentVersion| version.is_newer_line_than(self.config.manager_version);
        !self.config.allow_higher_versions && version.parse().is_ok_and(newer)
    }
}
