//! An agent that says what the test wants it to say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use muster_control::AgentId;
use muster_gateway::codec::envelope::Envelope;
use muster_gateway::codec::{
    AgentState, ClientKeyLine, Event, FromAgent, Method, Numbering, Opened, RequestNumber, SecureChannel,
    SenderCounter, ToAgent, frame,
};
use tokio::net::TcpStream;

use super::release::Release;
use super::wire::{Transport, Wire};

/// How an agent speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) transport: Transport,
    pub(crate) method: Method,
    pub(crate) release: Release,
    /// Where it is.
    pub(crate) from: IpAddr,
}

impl Default for Dialect {
    fn default() -> Self {
        let from = Ipv4Addr::LOCALHOST.into();
        Self { transport: Transport::Tcp, method: Method::Aes, release: Release::LATEST, from }
    }
}

impl Dialect {
    pub(crate) fn udp() -> Self {
        Self { transport: Transport::Udp, ..Self::default() }
    }
}

/// One connection of an agent.
pub(crate) struct Agent {
    pub(crate) identity: ClientKeyLine,
    pub(crate) wire: Wire,
    pub(crate) dialect: Dialect,
    keys: SecureChannel,
    counter: Arc<SenderCounter>,
    /// Numbers of the last message that was heard.
    pub(crate) heard: Option<Numbering>,
}

impl Agent {
    /// Connects and says nothing yet.
    pub(crate) async fn connect(address: SocketAddr, identity: &ClientKeyLine) -> Self {
        Self::dial(address, identity, Dialect::default()).await
    }

    /// Connects as an agent of that kind.
    pub(crate) async fn dial(address: SocketAddr, identity: &ClientKeyLine, dialect: Dialect) -> Self {
        Self::with(Wire::connect(dialect.transport, dialect.from, address).await, identity, dialect)
    }

    /// Speaks over an open connection.
    pub(crate) fn over(stream: TcpStream, identity: &ClientKeyLine) -> Self {
        Self::with(Wire::over(stream), identity, Dialect::default())
    }

    fn with(wire: Wire, identity: &ClientKeyLine, dialect: Dialect) -> Self {
        Self {
            identity: identity.clone(),
            wire,
            dialect,
            keys: SecureChannel::for_key(&identity.id, identity.name.as_str(), identity.key.as_str()),
            counter: Arc::new(SenderCounter::starting_at(1)),
            heard: None,
        }
    }

    /// Gives up the connection and makes another one, maybe elsewhere; its counters go on.
    pub(crate) async fn dial_again(self, address: SocketAddr) -> Self {
        let Self { identity, wire, dialect, counter, heard, .. } = self;
        drop(wire);
        Self { counter, heard, ..Self::dial(address, &identity, dialect).await }
    }

    pub(crate) fn id(&self) -> AgentId {
        self.identity.id.parse().unwrap()
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.wire.stream()
    }

    pub(crate) fn is_udp(&self) -> bool {
        self.dialect.transport == Transport::Udp
    }

    /// A message, sealed.
    pub(crate) fn envelope(&self, message: &FromAgent<'_>) -> Vec<u8> {
        let id = if self.identity.address.sends_id() { &self.identity.id } else { "" };
        self.keys.seal_as(id, self.dialect.method, self.counter.next(), &message.encode()).unwrap()
    }

    /// The same with its length in front, as TCP has it.
    pub(crate) fn frame(&self, message: &FromAgent<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::put(&self.envelope(message), &mut bytes);
        bytes
    }

    pub(crate) async fn say(&mut self, message: &FromAgent<'_>) {
        let envelope = self.envelope(message);
        self.wire.send(&envelope).await;
    }

    /// The next message; `None` when the connection was closed.
    pub(crate) async fn hear_opened(&mut self) -> Option<Opened> {
        let envelope = self.wire.receive().await?;
        let Ok(Envelope::Sealed(sealed)) = Envelope::parse(&envelope) else { panic!("{envelope:?}") };
        assert_eq!((sealed.id, sealed.method), (None, self.dialect.method), "agents read their own cipher only");
        let opened = self.keys.open(&sealed).unwrap();
        assert!(self.heard < Some(opened.numbering), "counters grow: {:?}, {:?}", self.heard, opened.numbering);
        self.heard = Some(opened.numbering);
        Some(opened)
    }

    /// The next payload; `None` when the connection was closed.
    pub(crate) async fn hear(&mut self) -> Option<Vec<u8>> {
        self.hear_opened().await.map(|opened| opened.payload)
    }

    pub(crate) async fn expect(&mut self, expected: &ToAgent<'_>) {
        let payload = self.hear().await.expect("a message");
        assert_eq!(ToAgent::decode(&payload), *expected, "{}", String::from_utf8_lossy(&payload));
    }

    pub(crate) async fn expect_ack(&mut self) {
        self.expect(&ToAgent::Ack).await;
    }

    pub(crate) async fn expect_close(&mut self) {
        let payload = self.hear().await.map(|payload| String::from_utf8_lossy(&payload).into_owned());
        assert_eq!(payload, None);
    }

    /// The startup and its ack, which has to be the first frame.
    pub(crate) async fn startup(&mut self) {
        self.say(&FromAgent::Startup(self.dialect.release.startup())).await;
        self.expect_ack().await;
    }

    pub(crate) async fn keepalive(&mut self) {
        let body = self.dialect.release.keepalive();
        self.say(&FromAgent::Keepalive(&body)).await;
        self.expect_ack().await;
    }

    pub(crate) async fn event(&mut self, text: &[u8]) {
        self.say(&FromAgent::Event(Event { queue: b'1', text })).await;
    }

    /// What only a new process says.
    pub(crate) async fn started(&mut self) {
        let payload = self.dialect.release.started(self.identity.name.as_str(), &self.identity.address.without_mask());
        self.say(&FromAgent::decode(&payload)).await;
    }

    pub(crate) async fn shutdown(&mut self) {
        self.say(&FromAgent::Shutdown).await;
    }

    /// The number of the next request, which has to be this one. Over UDP it is acked, as agents do.
    pub(crate) async fn expect_request(&mut self, component: &str, command: &str) -> String {
        let payload = self.hear().await.expect("a request");
        let number = match ToAgent::decode(&payload) {
            ToAgent::Request { number, component: asked, command: order }
                if asked == component && order == command.as_bytes() =>
            {
                number.to_string()
            }
            other => panic!("{other:?}"),
        };
        if self.is_udp() {
            self.say(&FromAgent::RequestAck(RequestNumber::new(&number).unwrap())).await;
        }
        number
    }

    pub(crate) async fn expect_restart(&mut self) -> String {
        self.expect_request("com", "restart").await
    }

    /// Answers a request. Over UDP it is repeated until an ack comes, so there has to be one.
    pub(crate) async fn answer(&mut self, number: &str, body: &[u8]) {
        let number = RequestNumber::new(number).unwrap();
        self.say(&FromAgent::Answer { number, body }).await;
        if self.is_udp() {
            self.expect(&ToAgent::RequestAck(number)).await;
        }
    }

    /// Answers `agent getstate` as a process that sent a keepalive, or as one that did not yet.
    pub(crate) async fn answer_state(&mut self, number: &str, has_sent_keepalive: bool) {
        let last_keepalive = if has_sent_keepalive { "2026-11-22 08:15:55" } else { "" };
        let state = AgentState { last_keepalive: last_keepalive.into(), ..AgentState::default() };
        self.answer(number, &state.to_answer()).await;
    }
}
