//! A cluster to test with.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod link;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use muster_control::{AgentId, Change, EnrollAgent, Epoch, LogIndex, NodeId, Seen, Sighting, Stamp};
use muster_raft::{ClusterId, MemberConfig, PeerTls, Replica, ReplicaConfig, StartError, Tuning, View};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::time::Instant;

use link::Link;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a condition.
pub(crate) async fn within(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An address that nobody uses at the moment.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// Signs certificates of nodes.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "peers");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn certificate(&self, cluster: &ClusterId, node: u64) -> PeerTls {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        let uri = format!("raft://{cluster}/{node}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ascii"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        PeerTls { ca_pem: self.pem.clone(), certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

/// Some nodes, running or not.
pub(crate) struct Cluster {
    authority: Authority,
    cluster_id: ClusterId,
    members: Vec<MemberConfig>,
    listen: BTreeMap<u64, SocketAddr>,
    tls: BTreeMap<u64, PeerTls>,
    tuning: Tuning,
    directory: TempDir,
    links: BTreeMap<u64, Link>,
    running: BTreeMap<u64, Replica>,
}

impl Cluster {
    /// Starts nodes 1 to `size` and waits until they lead and follow.
    pub(crate) async fn start(size: u64) -> Self {
        Self::start_with(size, |_| {}).await
    }

    /// Starts nodes that reach each other through links.
    pub(crate) async fn start_behind_links(size: u64) -> Self {
        let mut this = Self::prepare(size, Tuning { disk_reserve_bytes: 0, ..Tuning::default() });
        for node in 1..=size {
            let link = Link::towards(this.listen[&node]).await;
            let member = &mut this.members[usize::try_from(node).expect("small") - 1];
            member.address = link.address().to_string();
            this.links.insert(node, link);
        }
        this.start_all().await
    }

    pub(crate) async fn start_with(size: u64, tune: impl FnOnce(&mut Tuning)) -> Self {
        let mut tuning = Tuning { disk_reserve_bytes: 0, ..Tuning::default() };
        tune(&mut tuning);
        Self::prepare(size, tuning).start_all().await
    }

    fn prepare(size: u64, tuning: Tuning) -> Self {
        let authority = Authority::new();
        let cluster_id: ClusterId = "test".parse().expect("a name");
        let listen: BTreeMap<_, _> = (1..=size).map(|node| (node, free_address())).collect();
        let member = |(node, address): (&u64, &SocketAddr)| MemberConfig {
            node_id: NodeId::new(*node),
            address: address.to_string(),
        };
        Self {
            members: listen.iter().map(member).collect(),
            tls: listen.keys().map(|node| (*node, authority.certificate(&cluster_id, *node))).collect(),
            authority,
            cluster_id,
            listen,
            tuning,
            directory: tempfile::tempdir().expect("a directory"),
            links: BTreeMap::new(),
            running: BTreeMap::new(),
        }
    }

    async fn start_all(mut self) -> Self {
        for node in self.listen.keys().copied().collect::<Vec<_>>() {
            self.restart(node).await;
        }
        self.leader().await;
        self
    }

    pub(crate) fn link(&self, node: u64) -> &Link {
        &self.links[&node]
    }

    pub(crate) fn config(&self, node: u64) -> ReplicaConfig {
        ReplicaConfig {
            cluster_id: self.cluster_id.clone(),
            node_id: NodeId::new(node),
            data_dir: self.directory.path().join(node.to_string()),
            listen: self.listen[&node],
            members: self.members.clone(),
            tls: self.tls[&node].clone(),
            tuning: self.tuning.clone(),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Starts a node, as soon as what a crash left of it is gone.
    pub(crate) async fn restart(&mut self, node: u64) {
        let deadline = Instant::now() + PATIENCE;
        let replica = loop {
            match Replica::start(self.config(node)).await {
                Ok(replica) => break replica,
                Err(StartError::InUse(_) | StartError::Listen { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("node {node} does not start: {error}"),
            }
        };
        self.running.insert(node, replica);
    }

    /// Ends a node in the middle of what it does: nothing is handed over, waited for or written.
    ///
    /// The test must hold no other handle to it.
    pub(crate) async fn crash(&mut self, node: u64) {
        drop(self.running.remove(&node).expect("it runs"));
        let address = self.config(node).listen;
        within("it is gone", || TcpListener::bind(address).is_ok()).await;
    }

    /// Ends a node in good order.
    pub(crate) async fn stop(&mut self, node: u64) {
        self.running.remove(&node).expect("it runs").stop().await;
    }

    pub(crate) fn wipe(&self, node: u64) {
        std::fs::remove_dir_all(self.config(node).data_dir).expect("its directory");
    }

    pub(crate) fn node(&self, node: u64) -> &Replica {
        &self.running[&node]
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Replica> {
        self.running.values()
    }

    /// The node that leads, once all running nodes say the same and are ready for requests, disk aside.
    pub(crate) async fn leader(&self) -> u64 {
        let leaders = || {
            let known = self.running().map(|node| node.status().leader);
            let mut known: Vec<_> = known.collect();
            known.dedup();
            known
        };
        within("all nodes know the same leader", || matches!(leaders()[..], [Some(_)])).await;
        let leader = leaders()[0].expect("just seen").get();
        within("the leader has recovered", || {
            !self.node(leader).status().not_ready.contains(&muster_raft::NotReady::CatchingUp)
        })
        .await;
        leader
    }

    /// Waits until all running nodes have applied the same, and checks that it is the same to the last byte.
    pub(crate) async fn agree(&self) {
        let target = self.running().next().expect("one runs").read().await.expect("a quorum").index;
        for node in self.running() {
            node.view_at(target, Instant::now() + PATIENCE).await.expect("it catches up");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut hashes: BTreeMap<LogIndex, Vec<[u8; 32]>> = BTreeMap::new();
            for node in self.running() {
                let (index, hash) = node.state_hash().await;
                hashes.entry(index).or_default().push(hash);
            }
            for (index, hashes) in &hashes {
                assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "replicas differ at {index}");
            }
            if hashes.len() == 1 {
                return;
            }
            assert!(Instant::now() < deadline, "replicas do not come to the same index");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) fn create_group(number: usize) -> Change {
    Change::CreateGroup(format!("group{number}").parse().expect("a name"))
}

pub(crate) fn has_group(view: &View, number: usize) -> bool {
    view.control.group(&format!("group{number}").parse().expect("a name")).is_some()
}

pub(crate) fn enroll(number: usize) -> Change {
    Change::EnrollAgent(EnrollAgent {
        registered_from: Some("x".repeat(1000).parse().expect("a label")),
        ..EnrollAgent::new(
            format!("agent{number}").parse().expect("a name"),
            format!("{number:064x}").parse().expect("a key"),
        )
    })
}

/// What a node heard of many agents.
pub(crate) fn seen_of(agents: u32) -> Change {
    let sighting = |number| Sighting {
        agent: AgentId::new(number),
        epoch: Epoch::new(1),
        keepalive_at: Some(Stamp::from_millis(1_800_000_000_000)),
        report: None,
    };
    Change::Seen(Seen { sightings: (1..=agents).map(sighting).collect(), refused: None })
}
