//! An agent that says what the test wants it to say.

use std::net::SocketAddr;

use bytes::BytesMut;
use muster_control::AgentId;
use muster_gateway::codec::envelope::Envelope;
use muster_gateway::codec::{
    AgentState, ClientKeyLine, Event, FromAgent, Method, RequestNumber, SecureChannel, SenderCounter, Startup, ToAgent,
    frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// One connection of an agent.
pub(crate) struct Agent {
    pub(crate) identity: ClientKeyLine,
    pub(crate) stream: TcpStream,
    keys: SecureChannel,
    counter: SenderCounter,
    inbox: BytesMut,
}

impl Agent {
    /// Connects and says nothing yet.
    pub(crate) async fn connect(address: SocketAddr, identity: &ClientKeyLine) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), identity)
    }

    /// Speaks over an open connection.
    pub(crate) fn over(stream: TcpStream, identity: &ClientKeyLine) -> Self {
        Self {
            identity: identity.clone(),
            stream,
            keys: SecureChannel::for_key(&identity.id, identity.name.as_str(), identity.key.as_str()),
            counter: SenderCounter::starting_at(1),
            inbox: BytesMut::new(),
        }
    }

    pub(crate) fn id(&self) -> AgentId {
        self.identity.id.parse().unwrap()
    }

    pub(crate) fn frame(&self, message: &FromAgent<'_>) -> Vec<u8> {
        let id = if self.identity.address.sends_id() { &self.identity.id } else { "" };
        self.keys.seal_frame_as(id, Method::Aes, self.counter.next(), &message.encode()).unwrap()
    }

    pub(crate) async fn say(&mut self, message: &FromAgent<'_>) {
        let frame = self.frame(message);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next payload; `None` when the connection was closed.
    pub(crate) async fn hear(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(envelope) = frame::take(&mut self.inbox).unwrap() {
                let Ok(Envelope::Sealed(sealed)) = Envelope::parse(&envelope) else { panic!("{envelope:?}") };
                assert_eq!(sealed.id, None);
                return Some(self.keys.open(&sealed).unwrap().payload);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.inbox)).await.expect("an answer in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn expect_ack(&mut self) {
        let payload = self.hear().await.expect("an ack");
        assert_eq!(ToAgent::decode(&payload), ToAgent::Ack, "{}", String::from_utf8_lossy(&payload));
    }

    pub(crate) async fn expect_close(&mut self) {
        let payload = self.hear().await.map(|payload| String::from_utf8_lossy(&payload).into_owned());
        assert_eq!(payload, None);
    }

    /// The startup and its ack, which has to be the first frame.
    pub(crate) async fn startup(&mut self) {
        self.say(&FromAgent::Startup(Startup::Version("v4.14.7".into()))).await;
        self.expect_ack().await;
    }

    pub(crate) async fn keepalive(&mut self) {
        let body =
            b"Linux |vm |6.1 |#1 SMP |x86_64 [Debian GNU/Linux|debian: 12 (bookworm)] - Wazuh v4.14.7\nx merged.mg\n";
        self.say(&FromAgent::Keepalive(body)).await;
        self.expect_ack().await;
    }

    pub(crate) async fn event(&mut self, text: &[u8]) {
        self.say(&FromAgent::Event(Event { queue: b'1', text })).await;
    }

    /// What only a new process says.
    pub(crate) async fn started(&mut self) {
        let payload = Event::started_payload(self.identity.name.as_str(), "any");
        self.say(&FromAgent::decode(&payload)).await;
    }

    pub(crate) async fn shutdown(&mut self) {
        self.say(&FromAgent::Shutdown).await;
    }

    /// The number of the next request, which has to be this one.
    pub(crate) async fn expect_request(&mut self, component: &str, command: &str) -> String {
        let payload = self.hear().await.expect("a request");
        match ToAgent::decode(&payload) {
            ToAgent::Request { number, component: asked, command: order }
                if asked == component && order == command.as_bytes() =>
            {
                number.to_string()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn expect_restart(&mut self) -> String {
        self.expect_request("com", "restart").await
    }

    pub(crate) async fn answer(&mut self, number: &str, body: &[u8]) {
        self.say(&FromAgent::Answer { number: RequestNumber::new(number).unwrap(), body }).await;
    }

    /// Answers `agent getstate` as a process that sent a keepalive, or as one that did not yet.
    pub(crate) async fn answer_state(&mut self, number: &str, has_sent_keepalive: bool) {
        let last_keepalive = if has_sent_keepalive { "2026-11-22 08:15:55" } else { "" };
        let state = AgentState { last_keepalive: last_keepalive.into(), ..AgentState::default() };
        self.answer(number, &state.to_answer()).await;
    }
}
