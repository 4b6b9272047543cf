//! One connection of an agent, one task: reads frames, acks from memory, writes what the desk hands over.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use muster_control::{Agent, AgentId, Label};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Channel;
use super::ending::Ending;
use super::heard::{answer, now, product_version, report};
use super::identify::identify;
use super::line::LineSink;
use super::outbox::Outbox;
use crate::codec::envelope::{Envelope, PONG, Sealed};
use crate::codec::{AgentVersion, FromAgent, Keepalive, Method, SecureChannel, Startup, ToAgent, frame};
use crate::session::{Connected, Heard, Input, LineId, Outgoing, Pulse, Sink, Ticket};

/// Room for one read; larger frames bring their own.
const READ_BYTES: usize = 4_096;

/// Messages before the startup that are kept for the session; answers of the connection before may be among them.
const HELD_LIMIT: usize = 16;

/// A connection and what is known of the agent at its other end.
pub(crate) struct Connection {
    channel: Arc<Channel>,
    stream: TcpStream,
    peer: SocketAddr,
    began: Instant,
    inbox: BytesMut,
    outbox: Outbox,
    caller: Option<Box<Caller>>,
    line: Option<OpenLine>,
    held: Vec<Heard>,
    hang_up: CancellationToken,
    /// Held until a valid startup came.
    stranger: Option<OwnedSemaphorePermit>,
}

/// Who speaks here, and with which key. One connection is one agent's.
struct Caller {
    agent: AgentId,
    /// The id in front of its messages, if there is one.
    id: Option<String>,
    keys: SecureChannel,
    /// How its latest message was encrypted: it is answered the same way.
    method: Method,
    /// Hash of its latest keepalive, so that only one that differs is read and told on.
    keepalive: Option<u64>,
}

/// What exists from the first valid startup on.
struct OpenLine {
    id: LineId,
    agent: AgentId,
    pulse: Arc<Pulse>,
    sink: Arc<dyn Sink>,
    orders: mpsc::Receiver<Outgoing>,
    /// Whether the desk knows that the agent spoke after the ack.
    spoke: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(
        channel: Arc<Channel>,
        stream: TcpStream,
        peer: SocketAddr,
        stranger: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            hang_up: channel.hang_up.child_token(),
            channel,
            stream,
            peer,
            began: Instant::now(),
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            caller: None,
            line: None,
            held: Vec::new(),
            stranger: Some(stranger),
        }
    }

    /// Serves it to its end.
    pub(crate) async fn run(mut self) -> Ending {
        let Err(ending) = self.converse().await;
        let Some(mut line) = self.line.take() else { return ending };
        line.orders.close();
        let mut unwritten: Vec<Ticket> = self.outbox.unwritten().collect();
        while let Ok(order) = line.orders.try_recv() {
            unwritten.extend(order.ticket);
        }
        drop(self.stream); // before the desk is told, which may take a moment when it is busy
        let (agent, line) = (line.agent, line.id);
        self.channel.desk.tell(Input::Disconnected { agent, line, unwritten }).await;
        ending
    }

    async fn converse(&mut self) -> Result<Infallible, Ending> {
        // Answers are small and waited for; the kernel has nothing to gain by holding them back.
        self.stream.set_nodelay(true)?;
        loop {
            while let Some(envelope) = frame::take(&mut self.inbox)? {
                self.envelope(&envelope).await?;
            }
            if self.inbox.is_empty() {
                self.inbox = BytesMut::new(); // an idle connection holds no buffer
            }
            self.flush()?;
            let interest = match self.outbox.len() {
                0 => Interest::READABLE,
                _ => Interest::READABLE | Interest::WRITABLE,
            };
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = self.hang_up.cancelled() => return Err(self.hung_up()),
                order = next_order(&mut self.line) => self.order(&order),
                ready = self.stream.ready(interest) => {
                    if ready?.is_readable() {
                        self.read()?;
                    }
                }
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    return Err(if self.line.is_some() { Ending::Stalled } else { Ending::NoStartup });
                }
            }
        }
    }

    /// By when something has to happen.
    fn deadline(&self) -> Option<Instant> {
        let config = &self.channel.config.channel;
        let startup = self.line.is_none().then(|| self.began + config.startup_within);
        let write = self.outbox.stalled_since().map(|since| since + config.write_within);
        startup.into_iter().chain(write).min()
    }

    fn hung_up(&self) -> Ending {
        if self.channel.hang_up.is_cancelled() { Ending::Stopping } else { Ending::SessionOver }
    }

    fn read(&mut self) -> Result<(), Ending> {
        if self.inbox.capacity() == self.inbox.len() {
            self.inbox.reserve(READ_BYTES);
        }
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Err(Ending::ByPeer),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Ending> {
        let started = self.outbox.flush(&self.stream)?;
        self.channel.metrics.written.inc_by(started as u64);
        if self.outbox.len() > self.channel.config.channel.write_backlog { Err(Ending::Stalled) } else { Ok(()) }
    }

    async fn envelope(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        match Envelope::parse(bytes)? {
            Envelope::Ping => {
                let mut pong = Vec::new();
                frame::put(PONG, &mut pong);
                self.outbox.push(&pong, None);
                Ok(())
            }
            Envelope::Sealed(sealed) => {
                let mut caller = self.recognise(&sealed).await?;
                let opened = caller.keys.open(&sealed)?;
                caller.method = opened.method;
                self.caller = Some(caller);
                self.message(FromAgent::decode(&opened.payload)).await
            }
        }
    }

    /// The agent that a message claims to be from; that it has the key is seen when the message opens.
    async fn recognise(&mut self, sealed: &Sealed<'_>) -> Result<Box<Caller>, Ending> {
        match self.caller.take() {
            Some(known) if known.id.as_deref() == sealed.id => return Ok(known),
            Some(_) => return Err(Ending::OtherAgent),
            None => {}
        }
        let peer = self.peer.ip();
        let view = self.channel.replica.view();
        match identify(&view.control, sealed.id, peer) {
            // It may have been enrolled on another node a moment ago.
            Err(Ending::UnknownAgent) => {
                let within = self.channel.config.channel.identify_within;
                let fresh = timeout(within, self.channel.freshness.view()).await;
                let Ok(Ok(view)) = fresh else { return Err(Ending::CannotTell) };
                identify(&view.control, sealed.id, peer).map(|agent| Caller::new(agent, sealed))
            }
            found => found.map(|agent| Caller::new(agent, sealed)),
        }
    }

    async fn message(&mut self, message: FromAgent<'_>) -> Result<(), Ending> {
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

    fn order(&mut self, order: &Outgoing) {
        self.push(&order.payload, order.ticket);
    }

    /// Seals a payload for the agent and puts its frame in line.
    fn push(&mut self, payload: &[u8], ticket: Option<Ticket>) {
        let Some(caller) = &self.caller else { return };
        let numbering = self.channel.counter.next();
        let frame = caller.keys.seal_frame(caller.method, numbering, payload);
        self.outbox.push(&frame.expect("what this node sends is far below the limit of a message"), ticket);
    }
}

impl Caller {
    fn new(agent: &Agent, sealed: &Sealed<'_>) -> Box<Self> {
        let id = agent.id.to_string();
        Box::new(Self {
            agent: agent.id,
            keys: SecureChannel::for_key(&id, agent.name.as_str(), agent.key.as_str()),
            id: sealed.id.map(str::to_owned),
            method: sealed.method,
            keepalive: None,
        })
    }
}

/// The next message from the desk; never, before there is a line.
async fn next_order(line: &mut Option<OpenLine>) -> Outgoing {
    match line {
        Some(line) => match line.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
