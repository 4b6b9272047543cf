//! A tiny manager for tests: it says what the test tells it to say, and shows what agents say.

use std::sync::Arc;
use std::time::Duration;

use muster_gateway::codec::envelope::Envelope;
use muster_gateway::codec::{
    ClientKeyLine, FromAgent, Numbering, RequestNumber, SecureChannel, SenderCounter, ToAgent, frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::bytes::BytesMut;

use super::config::{AgentConfig, Pace};

/// Bound of everything a test waits for.
const DEADLINE: Duration = Duration::from_secs(30);

/// A pace at which a restart takes a few hundredths of a second, and nothing else happens by itself.
pub(super) const QUICK: Pace = Pace {
    notify: Duration::from_secs(3_600),
    silence: Duration::from_secs(7_200),
    retry: Duration::from_millis(30),
    attempts: 2,
    handshake: Duration::from_secs(5),
    reaction: Duration::from_millis(2),
    gap: Duration::from_millis(20),
    settle: Duration::from_millis(20),
};

/// The configuration of agents of these managers.
pub(super) fn config(managers: &[&FakeManager], pace: Pace) -> Arc<AgentConfig> {
    let servers = managers.iter().map(|manager| manager.address.clone()).collect();
    Arc::new(AgentConfig { pace, ..AgentConfig::new(servers) })
}

/// The one agent most tests use.
pub(super) fn identity() -> ClientKeyLine {
    "001 web-01 any 6f1c2b7a9d3e4f508172635445362718".parse().unwrap()
}

/// Waits for `future`, but not longer than tests wait.
#[track_caller]
pub(super) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("nothing happened in time at {caller}"))
    }
}

/// A listening manager.
pub(super) struct FakeManager {
    listener: TcpListener,
    pub(super) address: String,
}

impl FakeManager {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    /// The next connection, by the agent of [`identity`].
    pub(super) async fn accept(&self) -> Peer {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        Peer::new(stream, &identity())
    }

    /// The next connection, with its startup taken and acked.
    pub(super) async fn session(&self) -> Peer {
        let mut peer = self.accept().await;
        assert!(matches!(FromAgent::decode(&peer.receive().await.unwrap()), FromAgent::Startup(_)));
        peer.send(&ToAgent::Ack).await;
        peer
    }

    /// The next connection, acked, of a process that says that it has just started.
    pub(super) async fn new_process(&self) -> Peer {
        let mut peer = self.session().await;
        peer.expect_started().await;
        peer
    }

    /// Acks whatever the agents of `identities` send, for as long as it is polled.
    pub(super) async fn serve(&self, identities: &[ClientKeyLine]) {
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            let identities = identities.to_vec();
            tokio::spawn(async move {
                let mut peer = Peer::anonymous(stream);
                while let Some(envelope) = peer.envelope().await {
                    let Ok(Envelope::Sealed(sealed)) = Envelope::parse(&envelope) else { return };
                    let identity = identities.iter().find(|identity| Some(&*identity.id) == sealed.id).unwrap();
                    peer.channel = channel_of(identity);
                    let payload = peer.channel.open(&sealed).unwrap().payload;
                    if FromAgent::decode(&payload).wants_ack() {
                        peer.send(&ToAgent::Ack).await;
                    }
                }
            });
        }
    }
}

/// The manager's end of one connection.
pub(super) struct Peer {
    stream: TcpStream,
    buffer: BytesMut,
    channel: SecureChannel,
    counter: SenderCounter,
    /// Numbers of the message received last.
    pub(super) numbering: Option<Numbering>,
}

fn channel_of(identity: &ClientKeyLine) -> SecureChannel {
    SecureChannel::for_key(&identity.id, identity.name.as_str(), identity.key.as_str())
}

impl Peer {
    fn new(stream: TcpStream, identity: &ClientKeyLine) -> Self {
        let counter = SenderCounter::starting_at(1_700_000_000);
        Self { stream, buffer: BytesMut::new(), channel: channel_of(identity), counter, numbering: None }
    }

    fn anonymous(stream: TcpStream) -> Self {
        Self::new(stream, &identity())
    }

    /// The next envelope; `None` once the agent has closed.
    async fn envelope(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(envelope) = frame::take(&mut self.buffer).unwrap() {
                return Some(envelope);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next payload; `None` once the agent has closed.
    pub(super) async fn receive(&mut self) -> Option<Vec<u8>> {
        let envelope = within(self.envelope()).await?;
        let Ok(Envelope::Sealed(sealed)) = Envelope::parse(&envelope) else { panic!("{envelope:?}") };
        assert_eq!(sealed.id, Some("001"));
        let opened = self.channel.open(&sealed).unwrap();
        self.numbering = Some(opened.numbering);
        Some(opened.payload)
    }

    pub(super) async fn send(&mut self, message: &ToAgent<'_>) {
        let frame = self.channel.seal_frame(Default::default(), self.counter.next(), &message.encode()).unwrap();
        // The agent may have closed already; what matters is what it did then.
        let _ = self.stream.write_all(&frame).await;
    }

    /// Sends a request and takes its answer, which has to be the next message.
    pub(super) async fn ask(&mut self, request: ToAgent<'_>) -> Vec<u8> {
        self.send(&request).await;
        let payload = self.receive().await.expect("an answer");
        match FromAgent::decode(&payload) {
            FromAgent::Answer { number, body } if matches!(request, ToAgent::Request { number: asked, .. } if asked == number) => {
                body.to_vec()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn expect_started(&mut self) {
        let payload = self.receive().await.expect("an event");
        assert_eq!(payload, b"1:wazuh-agent:ossec: Agent started: 'web-01->any'.");
    }

    pub(super) async fn expect_shutdown(&mut self) {
        assert_eq!(self.receive().await.as_deref(), Some(&b"#!-agent shutdown "[..]));
        self.expect_close().await;
    }

    pub(super) async fn expect_close(&mut self) {
        let payload = self.receive().await;
        assert_eq!(payload.as_deref().map(String::from_utf8_lossy), None);
    }
}

/// A request number.
pub(super) fn number(word: &str) -> RequestNumber<'_> {
    RequestNumber::new(word).unwrap()
}
