//! A real node to talk to: one replica with its disk in a temporary directory, and the API on loopback.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use muster_control::{
    AgentId, Change, CloseCause, CloseSession, CloseSessions, Epoch, FoundCluster, Generation, Label, Millis, NewUser,
    NodeId, OpenSession, OpenSessions, OperatingSystem, Outcome, RenewLease, Report, Seen, SessionAnswer, Shared,
    Sighting, Stamp,
};
use muster_http::{Api, ApiConfig, TlsIdentity, generate_signing_key, hash_password};
use muster_raft::{MemberConfig, PeerTls, Replica, ReplicaConfig, Tuning};
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// Name and password of the user of most tests.
pub(crate) const USER: (&str, &str) = ("wazuh", "Secret.Password.1");

/// Both users have the same password: hashing takes its time.
static HASH: LazyLock<Label> = LazyLock::new(|| hash_password(USER.1).unwrap());

/// One node, and a client of it that is logged in.
pub(crate) struct Server {
    pub(crate) api: Option<Api>,
    pub(crate) replica: Replica,
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    certificate_pem: String,
    _dir: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Self { status, headers, text: response.text().await.unwrap() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The ids of the agents, or whatever else, that the answer lists.
    #[track_caller]
    pub(crate) fn items(&self) -> Vec<Value> {
        self.json()["data"]["affected_items"].as_array().unwrap_or_else(|| panic!("{self:?}")).clone()
    }

    /// Pairs of code and ids of what failed.
    #[track_caller]
    pub(crate) fn failed(&self) -> Vec<(u64, Vec<String>)> {
        let json = self.json();
        let group = |group: &Value| {
            let ids = group["id"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
            (group["error"]["code"].as_u64().unwrap(), ids)
        };
        json["data"]["failed_items"].as_array().unwrap_or_else(|| panic!("{self:?}")).iter().map(group).collect()
    }

    #[track_caller]
    pub(crate) fn error(&self) -> u64 {
        self.json()["error"].as_u64().unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// A client that takes the generated certificate.
pub(crate) fn client() -> Client {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap()
}

/// Settings under which no test runs into a limit.
pub(crate) fn config() -> ApiConfig {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    ApiConfig {
        requests_per_minute: 0,
        failed_logins: 0,
        ..ApiConfig::new(listen, "node01".parse().unwrap(), "wazuh".to_owned())
    }
}

impl Server {
    /// A founded cluster of one, with two nodes known to the state: `node01`, which it is, and `node02`.
    pub(crate) async fn start() -> Self {
        Self::start_with(config()).await
    }

    pub(crate) async fn start_with(config: ApiConfig) -> Self {
        let mut server = Self::unfounded(config, 1).await;
        let user = |name: &str| NewUser { name: name.parse().unwrap(), password_hash: HASH.clone() };
        let found =
            FoundCluster { users: vec![user(USER.0), user("other")], signing_key: generate_signing_key().unwrap() };
        assert_eq!(server.propose(Change::FoundCluster(found)).await, Outcome::Done);
        for node in [1, 2] {
            server.lease(node).await;
        }
        server.token = server.log_in(USER.0).await;
        server
    }

    /// A node of a cluster with so many members, of which only this one runs.
    pub(crate) async fn unfounded(config: ApiConfig, members: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let replica = Replica::start(replica_config(&dir, members)).await.unwrap();
        let identity = TlsIdentity::self_signed(vec!["localhost".into()]).unwrap();
        let api = Api::start(config, replica.clone(), &identity, Registry::default()).await.unwrap();
        let address = api.addresses().next().unwrap();
        Self {
            api: Some(api),
            replica,
            client: client(),
            address,
            token: String::new(),
            certificate_pem: identity.certificate_pem,
            _dir: dir,
        }
    }

    pub(crate) async fn propose(&self, change: Change) -> Outcome {
        self.replica.propose(change).await.unwrap().outcome
    }

    async fn lease(&self, node: u64) {
        let renew = RenewLease {
            node: NodeId::new(node),
            name: format!("node0{node}").parse().unwrap(),
            generation: Generation::new(1),
            lease: Millis::from_secs(3600),
            address: "127.0.0.1".parse().unwrap(),
            version: "0.1.0".parse().unwrap(),
        };
        assert_eq!(self.propose(Change::RenewLease(renew)).await, Outcome::Done);
    }

    /// Ends everything: a process must not exit while RocksDB still works in the background.
    pub(crate) async fn stop(mut self) {
        if let Some(api) = self.api.take() {
            api.stop(Duration::from_millis(500)).await;
        }
        self.replica.stop().await;
    }

    /// The certificate the API shows.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), self.url(path))
    }

    /// A request with the token.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token)
    }

    /// Sends what the first line of a request says, with the token.
    pub(crate) async fn send(&self, line: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        Answer::of(self.request(method, path)).await
    }

    pub(crate) async fn send_json(&self, line: &str, body: Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        Answer::of(self.request(method, path).json(&body)).await
    }

    pub(crate) async fn log_in(&self, user: &str) -> String {
        let request = self.bare("POST", "/security/user/authenticate?raw=true").basic_auth(user, Some(USER.1));
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text
    }

    /// Registers an agent that never connected.
    pub(crate) async fn never_connected(&self, name: &str) -> AgentId {
        let answer = self.send_json("POST /agents", serde_json::json!({"name": name})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["data"]["id"].as_str().unwrap().parse().unwrap()
    }

    /// Opens a session; the agent is active if it `spoke` after the ack.
    pub(crate) async fn open(&self, agent: AgentId, node: u64, spoke: bool) -> Epoch {
        let peer = "127.0.0.9:40000".parse().unwrap();
        let session = OpenSession { agent, peer, version: None, spoke, resume: None, startup_at: None };
        let open = OpenSessions { node: NodeId::new(node), generation: Generation::new(1), sessions: vec![session] };
        match self.propose(Change::OpenSessions(open)).await {
            Outcome::Sessions(answers) => match answers[..] {
                [SessionAnswer::Opened(epoch)] => epoch,
                _ => panic!("{answers:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// Registers an agent that is active on a node and never told a version.
    pub(crate) async fn silent(&self, name: &str, node: u64) -> AgentId {
        let agent = self.never_connected(name).await;
        self.open(agent, node, true).await;
        agent
    }

    /// Registers an agent that is active on a node and told everything.
    pub(crate) async fn active(&self, name: &str, node: u64, version: &str) -> AgentId {
        let agent = self.never_connected(name).await;
        let epoch = self.open(agent, node, true).await;
        self.tell(agent, epoch, report(version)).await;
        agent
    }

    pub(crate) async fn tell(&self, agent: AgentId, epoch: Epoch, report: Report) {
        let keepalive_at = Some(Stamp::from_millis(1_795_000_000_000));
        let sighting = Sighting { agent, epoch, keepalive_at, report: Some(report) };
        let outcome = self.propose(Change::Seen(Seen { sightings: vec![sighting], refused: None })).await;
        assert!(matches!(&outcome, Outcome::Agents(answer) if answer.refused.is_empty()), "{outcome:?}");
    }

    /// Registers an agent that was connected and is not any more.
    pub(crate) async fn disconnected(&self, name: &str, node: u64) -> AgentId {
        let agent = self.never_connected(name).await;
        let epoch = self.open(agent, node, true).await;
        self.tell(agent, epoch, report("Wazuh v4.14.7")).await;
        let close = CloseSession { agent, epoch, cause: CloseCause::Shutdown };
        self.propose(Change::CloseSessions(CloseSessions { closes: vec![close] })).await;
        agent
    }

    pub(crate) async fn group(&self, name: &str) {
        let answer = self.send_json("POST /groups", serde_json::json!({"group_id": name})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn assign(&self, agent: AgentId, group: &str) {
        let answer = self.send(&format!("PUT /agents/{agent}/group/{group}")).await;
        assert_eq!(answer.error(), 0, "{answer:?}");
    }
}

/// What an agent tells of itself.
pub(crate) fn report(version: &str) -> Report {
    let label = |text: &str| Some(Label::truncated(text));
    Report {
        version: label(version),
        os: Shared::new(OperatingSystem {
            name: label("Debian GNU/Linux"),
            version: label("12"),
            major: label("12"),
            minor: None,
            codename: label("bookworm"),
            build: None,
            platform: label("debian"),
            arch: label("x86_64"),
        }),
        config_sum: label("ab73af41699f13fdd81903b5f23d8d00"),
        merged_sum: label("10fcdb12884b974f6e432794b6a7383f"),
        address: label("127.0.0.1"),
        labels: None,
        uname: label("Linux |host |6.1"),
    }
}

/// Waits for a condition; fails the test if it does not come true.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn replica_config(dir: &TempDir, members: u64) -> ReplicaConfig {
    let ports: Vec<TcpListener> = (0..members).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<SocketAddr> = ports.iter().map(|port| port.local_addr().unwrap()).collect();
    let members = addresses
        .iter()
        .zip(1..)
        .map(|(address, id)| MemberConfig { node_id: NodeId::new(id), address: address.to_string() });
    ReplicaConfig {
        cluster_id: "test".parse().unwrap(),
        node_id: NodeId::new(1),
        data_dir: dir.path().join("node"),
        listen: addresses[0],
        members: members.collect(),
        tls: peer_tls(),
        tuning: Tuning { disk_reserve_bytes: 1 << 20, ..Tuning::default() },
    }
}

fn peer_tls() -> PeerTls {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    params.subject_alt_names.push(SanType::URI("raft://test/1".try_into().unwrap()));
    let certificate = params.signed_by(&key, &issuer).unwrap();
    PeerTls { ca_pem: ca_certificate.pem(), certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
}
