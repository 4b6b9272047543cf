//! One agent that speaks over UDP: where its answers go, what of it came before, and the conversation with it.
//!
//! There is no connection, so nothing is taken for granted that only a connection would show: a datagram moves the route or
//! begins a session only if its counters are newer than all before, or if its sender has just echoed a number that nobody
//! could know beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_control::{Agent, ClientKey, Epoch, StatusCode};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::dropped::Dropped;
use super::replay::{Order, ReplayWindow};
use super::sink::{DatagramSink, LineOrder};
use crate::channel::Channel;
use crate::channel::caller::Caller;
use crate::channel::conversation::{Conversation, Via};
use crate::codec::{AgentVersion, FromAgent, Method, Place, RequestNumber, ToAgent};
use crate::session::{Input, LineId, Sink};

/// The first version that obeys `force_reconnect`. Older ones would only take it for a sign that they are connected.
const OBEYS_RECONNECT: AgentVersion = AgentVersion::new(4, 3, 0);

/// Least time between two messages to one agent that it did not ask for: who repeats datagrams gets no flood for it.
const UNASKED_EVERY: Duration = Duration::from_secs(1);

/// An agent, its key, and what came from it.
pub(super) struct Association {
    key: ClientKey,
    pub(super) conversation: Conversation,
    /// Where answers and commands go: the source of the newest control message.
    route: SocketAddr,
    window: ReplayWindow,
    /// The startup that the line began with; what is older belongs to the one before.
    since: Place,
    challenge: Option<Challenge>,
    unasked_at: Option<Instant>,
    heard_at: Instant,
}

/// A startup that may be a repeated one, until its sender has shown that it is not.
///
/// The counters of an agent may go back: its files were lost, or restored. Who repeats an old startup is asked the same
/// question as such an agent, but has no key to answer it.
struct Challenge {
    number: String,
    from: SocketAddr,
    place: Place,
    startup: Vec<u8>,
}

/// Something for the agent.
pub(super) struct Answer {
    pub(super) to: SocketAddr,
    pub(super) method: Method,
    pub(super) payload: Vec<u8>,
}

/// What is to be done about a datagram, in the order of the fields.
#[derive(Default)]
pub(super) struct Reaction {
    pub(super) answers: Vec<Answer>,
    /// What the desk is told.
    pub(super) inputs: Vec<Input>,
    /// Why it is not taken.
    pub(super) dropped: Option<Dropped>,
}

/// What a datagram is judged by beside what it says.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) channel: &'a Arc<Channel>,
    /// What the cluster knows of the agent.
    pub(super) record: &'a Agent,
    /// Whoever takes the desk's orders for this agent.
    pub(super) orders: &'a UnboundedSender<LineOrder>,
    pub(super) from: SocketAddr,
    pub(super) method: Method,
    /// Where the sender's counters stand.
    pub(super) place: Place,
}

impl Context<'_> {
    fn via(&self) -> Via {
        let peer = SocketAddr::new(self.from.ip().to_canonical(), self.from.port());
        Via { peer, place: self.place, is_connection: false }
    }

    fn connect(&self, line: LineId) -> Arc<dyn Sink> {
        Arc::new(DatagramSink::new(self.orders.clone(), self.record.id, line))
    }

    /// Something for whoever sent the datagram.
    fn answer(&self, message: &ToAgent<'_>) -> Answer {
        Answer { to: self.from, method: self.method, payload: message.encode() }
    }
}

impl Association {
    /// An agent of which nothing came yet.
    pub(super) fn new(record: &Agent, id: Option<&str>, method: Method, from: SocketAddr) -> Self {
        Self {
            key: record.key.clone(),
            conversation: Conversation::with(Caller::new(record, id, method)),
            route: from,
            window: ReplayWindow::default(),
            since: Place::default(),
            challenge: None,
            unasked_at: None,
            heard_at: Instant::now(),
        }
    }

    /// Whether it is with this agent under the key that the agent has now.
    pub(super) fn is_with(&self, record: &Agent) -> bool {
        self.key == record.key
    }

    /// Whether there is nothing to keep it for.
    pub(super) fn is_idle(&self, now: Instant, for_at_least: Duration) -> bool {
        self.conversation.line().is_none() && now.saturating_duration_since(self.heard_at) >= for_at_least
    }

    /// A message of the desk on its way to the agent.
    pub(super) fn order(&self, payload: Vec<u8>) -> Answer {
        Answer { to: self.route, method: self.conversation.caller.method, payload }
    }

    /// Takes what decrypted under the agent's key.
    pub(super) fn take(&mut self, context: &Context<'_>, payload: &[u8]) -> Reaction {
        self.heard_at = Instant::now();
        let message = FromAgent::decode(payload);
        if self.is_passed_by(&message, context.from) {
            return self.passed(context, &message);
        }
        let order = match context.channel.config.channel.verify_msg_id {
            true => self.window.judge(context.place),
            false => Order::Fresh,
        };
        match (&message, order) {
            (FromAgent::Startup(startup), Order::Late | Order::Repeated) if context.channel.admit(startup).is_ok() => {
                self.challenge(context, payload)
            }
            (FromAgent::Startup(_), _) => self.startup(context, message),
            (_, Order::Repeated) => Reaction::dropped(Dropped::Repeated),
            (FromAgent::Answer { .. }, _) => self.converse(context, message, order),
            _ if self.conversation.line().is_none() => self.stray(context, message, order),
            // Of a process or a connection that is over, whatever it says.
            (_, Order::Late) if context.place < self.since => Reaction::dropped(Dropped::Outdated),
            _ => self.converse(context, message, order),
        }
    }

    /// A startup is a new connection, whatever was before it.
    fn startup(&mut self, context: &Context<'_>, message: FromAgent<'_>) -> Reaction {
        let before = self.conversation.line();
        let reaction = self.talk(context, context.from, context.method, message);
        if reaction.dropped.is_some() {
            return reaction;
        }
        self.moves_to(context);
        self.since = context.place;
        self.challenge = None;
        let over = before.map(|line| Input::Disconnected { agent: context.record.id, line, unwritten: Vec::new() });
        Reaction { inputs: over.into_iter().chain(reaction.inputs).collect(), ..reaction }
    }

    /// Acks a startup that may be a repeated one, as its sender waits for that first, and asks what only the agent can
    /// answer. Nothing else comes of it until then.
    fn challenge(&mut self, context: &Context<'_>, payload: &[u8]) -> Reaction {
        let mut reaction = Reaction::dropped(Dropped::Repeated);
        if self.may_speak_unasked() {
            let number = format!("c{:016x}", rand::random::<u64>());
            let question = ToAgent::state_query(RequestNumber::new(&number).expect("a short word"));
            reaction.answers = vec![context.answer(&ToAgent::Ack), context.answer(&question)];
            let (from, place) = (context.from, context.place);
            self.challenge = Some(Challenge { number, from, place, startup: payload.to_vec() });
        }
        reaction
    }

    /// Whether this is what the sender of a doubtful startup was asked for.
    fn is_passed_by(&self, message: &FromAgent<'_>, from: SocketAddr) -> bool {
        let (FromAgent::Answer { number, .. } | FromAgent::RequestAck(number)) = message else { return false };
        self.challenge.as_ref().is_some_and(|asked| asked.from == from && asked.number == number.as_str())
    }

    /// The doubtful startup was the agent's own: its counters go on from there.
    fn passed(&mut self, context: &Context<'_>, message: &FromAgent<'_>) -> Reaction {
        let Some(asked) = self.challenge.take() else { return Reaction::default() };
        let begun = Context { place: asked.place, ..*context };
        let mut reaction = self.startup(&begun, FromAgent::decode(&asked.startup));
        reaction.answers.clear(); // it was acked already
        if let FromAgent::Answer { number, .. } = message {
            reaction.answers.push(context.answer(&ToAgent::RequestAck(*number)));
        }
        if reaction.dropped.is_none() {
            self.window = ReplayWindow::default();
            self.window.judge(asked.place);
            self.window.judge(context.place);
        }
        reaction
    }

    /// A message without a session here: the node has started anew, or the session went elsewhere or ended.
    fn stray(&mut self, context: &Context<'_>, message: FromAgent<'_>, order: Order) -> Reaction {
        if order != Order::Fresh || matches!(message, FromAgent::Shutdown | FromAgent::RequestAck(_)) {
            return Reaction::dropped(Dropped::NoSession);
        }
        if let Some(epoch) = resumable(context.record) {
            let connect = |line| context.connect(line);
            return match self.conversation.resume(context.channel, epoch, &context.via(), connect) {
                Err(ending) => Reaction::dropped(ending.into()),
                Ok(mut inputs) => {
                    self.moves_to(context);
                    let reaction = self.converse(context, message, order);
                    inputs.extend(reaction.inputs);
                    Reaction { inputs, ..reaction }
                }
            };
        }
        let mut reaction = Reaction::dropped(Dropped::NoSession);
        let version = context.record.report.version.as_ref().and_then(|text| text.as_str().parse().ok());
        if version.is_some_and(|version: AgentVersion| version >= OBEYS_RECONNECT) && self.may_speak_unasked() {
            reaction.answers.push(context.answer(&ToAgent::ForceReconnect));
        }
        reaction
    }

    /// A message of the agent as it goes on.
    fn converse(&mut self, context: &Context<'_>, message: FromAgent<'_>, order: Order) -> Reaction {
        if order == Order::Fresh && !matches!(message, FromAgent::Event(_) | FromAgent::Other(_)) {
            if let Err(ending) = context.channel.move_to(context.record.id, context.via().peer) {
                return Reaction::dropped(ending.into());
            }
            self.moves_to(context);
        }
        // The agent repeats an answer until it knows that it came, and answers nothing else before.
        let received = match &message {
            FromAgent::Answer { number, .. } => Some(self.order(ToAgent::RequestAck(*number).encode())),
            _ => None,
        };
        let mut reaction = self.talk(context, self.route, self.conversation.caller.method, message);
        reaction.answers.extend(received);
        reaction
    }

    fn talk(&mut self, context: &Context<'_>, to: SocketAddr, method: Method, message: FromAgent<'_>) -> Reaction {
        let connect = |line| context.connect(line);
        let said = self.conversation.take(context.channel, message, &context.via(), connect);
        Reaction {
            answers: said.answer.map(|payload| Answer { to, method, payload }).into_iter().collect(),
            inputs: said.inputs,
            dropped: said.ending.map(Dropped::from),
        }
    }

    /// From now on the agent is where this came from.
    fn moves_to(&mut self, context: &Context<'_>) {
        self.route = context.from;
        self.conversation.caller.method = context.method;
    }

    fn may_speak_unasked(&mut self) -> bool {
        let now = Instant::now();
        let may = self.unasked_at.is_none_or(|at| now.saturating_duration_since(at) >= UNASKED_EVERY);
        if may {
            self.unasked_at = Some(now);
        }
        may
    }
}

impl Reaction {
    fn dropped(cause: Dropped) -> Self {
        Self { dropped: Some(cause), ..Self::default() }
    }
}

/// The session that goes on although its node lost its lease or started anew: the agent noticed nothing of it.
fn resumable(record: &Agent) -> Option<Epoch> {
    let lost = record.session.is_none() && record.status_code == StatusCode::NodeLost;
    lost.then_some(record.epoch)
}
