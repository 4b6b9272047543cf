//! Gateways on some nodes of a cluster.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use muster_control::{
    AgentId, Change, CommandId, CommandKind, Delivery, Generation, IssueCommand, Label, Millis, Outcome, RenewLease,
    Selector, Stage,
};
use muster_gateway::codec::ClientKeyLine;
use muster_gateway::codec::enrollment::{Answer, RequestLine};
use muster_gateway::{Gateway, GatewayConfig};
use muster_raft::Replica;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::agent::{Agent, Dialect};
use super::replicas::Replicas;
use super::{PATIENCE, until};

/// A cluster with a gateway on each of its first nodes.
pub(crate) struct Site {
    pub(crate) replicas: Replicas,
    gateways: Vec<(Gateway, Registry)>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Site {
    /// One node, one gateway.
    pub(crate) async fn start() -> Self {
        Self::start_with(1, 1, |_| {}).await
    }

    pub(crate) async fn start_with(nodes: u64, gateways: usize, adapt: impl Fn(&mut GatewayConfig)) -> Self {
        let (server, client) = tls();
        let mut site = Self { replicas: Replicas::start(nodes).await, gateways: Vec::new(), server, client };
        for number in 1..=gateways {
            site.start_gateway(number, &adapt).await;
        }
        site
    }

    /// Starts the gateway of a node that has none.
    pub(crate) async fn start_gateway(&mut self, number: usize, adapt: impl Fn(&mut GatewayConfig)) {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = GatewayConfig::new(format!("node-{number}").parse().unwrap(), any, any);
        adapt(&mut config);
        let mut registry = Registry::default();
        let replica = self.replicas.node(number).clone();
        let gateway = Gateway::start(config, replica, &mut registry, self.server.clone()).await.unwrap();
        self.gateways.insert(number - 1, (gateway, registry));
        self.renew_lease(number, Duration::from_secs(3600)).await;
    }

    pub(crate) async fn renew_lease(&self, number: usize, lease: Duration) {
        let replica = self.replicas.node(number);
        let renewal = RenewLease {
            node: replica.node_id(),
            name: format!("node-{number}").parse().unwrap(),
            generation: Generation::new(replica.generation().get()),
            lease: lease.into(),
            address: Label::truncated("127.0.0.1"),
            version: Label::truncated("0.1.0"),
        };
        assert_eq!(self.propose(Change::RenewLease(renewal)).await, Outcome::Done);
    }

    pub(crate) fn replica(&self) -> &Replica {
        self.replicas.node(1)
    }

    pub(crate) fn gateway(&self, number: usize) -> &Gateway {
        &self.gateways[number - 1].0
    }

    /// Where the secure channel is reached from there, if it listens everywhere.
    pub(crate) fn address_from(&self, number: usize, from: IpAddr) -> SocketAddr {
        let bound = self.gateway(number).channel_address();
        match bound.ip() {
            ip if !ip.is_unspecified() => bound,
            _ if from.is_ipv4() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()),
            _ => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound.port()),
        }
    }

    pub(crate) async fn stop_gateway(&mut self, number: usize) {
        self.gateways.remove(number - 1).0.stop(PATIENCE).await;
    }

    pub(crate) async fn propose(&self, change: Change) -> Outcome {
        self.replicas.running().next().unwrap().propose(change).await.unwrap().outcome
    }

    /// A TLS connection to the enrollment port, without SNI as agents make it.
    pub(crate) async fn enrollment(&self, number: usize) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.gateway(number).enrollment_address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(self.client.clone()).connect(name, stream).await.unwrap()
    }

    /// Sends a request line and reads the whole answer, as the agent would see it.
    pub(crate) async fn request(&self, number: usize, line: &str) -> Option<Answer> {
        let mut stream = self.enrollment(number).await;
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answer::parse(&answer).unwrap()
    }

    pub(crate) async fn enroll_on(&self, number: usize, name: &str) -> ClientKeyLine {
        let line = RequestLine { name, version: Some("v4.14.7"), ..RequestLine::default() }.to_string();
        match self.request(number, &line).await {
            Some(Answer::Enrolled(identity)) => identity,
            other => panic!("{other:?}"),
        }
    }

    /// An agent that may use its key only from there.
    pub(crate) async fn enroll_at(&self, name: &str, address: &str) -> ClientKeyLine {
        match self.request(1, &format!("OSSEC A:'{name}' IP:'{address}'\n")).await {
            Some(Answer::Enrolled(identity)) => identity,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn enroll(&self, name: &str) -> ClientKeyLine {
        self.enroll_on(1, name).await
    }

    /// An agent that has enrolled, connected and spoken.
    pub(crate) async fn active(&self, name: &str) -> Agent {
        self.active_as(name, Dialect::default()).await
    }

    pub(crate) async fn active_as(&self, name: &str, dialect: Dialect) -> Agent {
        let identity = self.enroll(name).await;
        let mut agent = Agent::dial(self.address_from(1, dialect.from), &identity, dialect).await;
        agent.startup().await;
        agent.keepalive().await;
        self.until_agent(agent.id(), "it is active", |agent| agent.status == muster_control::Status::Active).await;
        agent
    }

    /// The agent comes back on a new connection, without a word.
    pub(crate) async fn reconnect(&self, agent: Agent) -> Agent {
        let address = self.address_from(1, agent.dialect.from);
        agent.dial_again(address).await
    }

    pub(crate) async fn until_agent(
        &self,
        id: AgentId,
        what: &str,
        is_so: impl Fn(&muster_control::Agent) -> bool,
    ) -> Arc<muster_control::Agent> {
        let look = || async {
            let control = self.replica().view().control;
            control.agents().get(id).filter(|agent| is_so(agent)).cloned()
        };
        until(what, look).await
    }

    pub(crate) async fn issue(&self, kind: CommandKind, agent: AgentId) -> CommandId {
        let selector = Selector::Agents(vec![agent]);
        let issue = IssueCommand { kind, selector, issuer: None, send_within: Millis::from_secs(600) };
        match self.propose(Change::IssueCommand(issue)).await {
            Outcome::Issued(issued) if issued.targets == [agent] => issued.command,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn delivery(&self, agent: AgentId, command: CommandId) -> Delivery {
        self.replica().view().control.command(command).unwrap().deliveries[&agent].clone()
    }

    pub(crate) async fn until_stage(&self, agent: AgentId, command: CommandId, stage: Stage) -> Delivery {
        let look = || async {
            let delivery = self.delivery(agent, command);
            (delivery.stage == stage).then_some(delivery)
        };
        until(stage.as_str(), look).await
    }

    /// A counter of a gateway, by name and label.
    pub(crate) fn count(&self, number: usize, metric: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.gateways[number - 1].1).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0)
    }

    pub(crate) async fn until_count(&self, metric: &str, at_least: u64) {
        until(metric, || async { (self.count(1, metric) >= at_least).then_some(()) }).await;
    }
}

fn tls() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = identity.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_sni = false;
    (Arc::new(server), Arc::new(client))
}
