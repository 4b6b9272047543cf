//! A cluster of real processes on loopback.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_node::Authority;
use serde_json::Value;
use tempfile::TempDir;

use crate::answer::Answer;
use crate::api::Api;
use crate::limits::raise_open_files;
use crate::node::Node;
use crate::place::{Place, server_certificate};
use crate::ports::Ports;
use crate::settings::Settings;
use crate::until;

/// What it is called unless a test says otherwise.
const CLUSTER_ID: &str = "tests";

/// How long nodes may take until they are ready, with everything else that goes on.
const START: Duration = Duration::from_secs(60);

/// How long the others may take to agree on a leader.
const ELECTION: Duration = Duration::from_secs(30);

/// Lines of each log that are shown when a test fails.
const SHOWN: usize = 60;

/// Three nodes, or one. Dropping it kills them; after a failure their logs are shown and everything is kept.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    clients: Vec<Api>,
    authority_pem: String,
    settings: Settings,
    directory: Option<TempDir>,
    _ports: Ports,
}

impl Cluster {
    /// Starts one and waits until all nodes are ready. `program` is what is tested.
    ///
    /// # Panics
    /// When they are not ready in time.
    pub async fn start(program: impl AsRef<Path>, settings: Settings) -> Self {
        let mut cluster = Self::prepare(program, settings);
        cluster.nodes.iter_mut().for_each(Node::start);
        cluster.ready().await;
        cluster
    }

    /// Writes certificates and configurations, and starts nothing.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn prepare(program: impl AsRef<Path>, settings: Settings) -> Self {
        // One provider for all of TLS; the first test to install it wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        raise_open_files();
        let directory = tempfile::Builder::new().prefix("muster-test-").tempdir().expect("a directory");
        let root = directory.path();
        let ports = Ports::take();
        let count = if settings.is_single { 1 } else { 3 };
        let places: Vec<Place> = (0..count).map(|number| Place::new(number, root, &settings, &ports)).collect();
        let authority = authority(CLUSTER_ID);
        let certificate = server_certificate(root);
        for place in &places {
            place.certify(&authority);
            place.configure(CLUSTER_ID, &places, &settings);
        }
        let clients = Api::of(places.iter().map(|place| place.api), &certificate);
        let program: PathBuf = program.as_ref().to_owned();
        let nodes = places.into_iter().map(|place| Node::new(place, program.clone())).collect();
        let authority_pem = authority.certificate().to_owned();
        Self { nodes, clients, authority_pem, settings, directory: Some(directory), _ports: ports }
    }

    /// How many nodes it has.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The places of its nodes.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.nodes.iter().map(Node::place)
    }

    /// A node, counted from 0.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// A node, counted from 0, to do something to it.
    pub fn node_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// A client of a node.
    pub fn api(&self, number: usize) -> &Api {
        &self.clients[number]
    }

    /// What the peers' authority shows.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The certificate with which all nodes serve the API.
    ///
    /// # Panics
    /// When the cluster is being dropped.
    pub fn server_certificate(&self) -> PathBuf {
        self.directory.as_ref().expect("it is there as long as the cluster").path().join("server.pem")
    }

    /// Writes the configuration of one node anew, with more changes, or for another cluster.
    pub fn configure(&self, number: usize, cluster_id: Option<&str>, change: impl FnOnce(Settings) -> Settings) {
        let places: Vec<Place> = self.places().cloned().collect();
        places[number].configure(cluster_id.unwrap_or(CLUSTER_ID), &places, &change(self.settings.clone()));
    }

    /// Waits until every node that runs is ready.
    ///
    /// # Panics
    /// When one is not in time, or ends.
    pub async fn ready(&mut self) {
        for number in 0..self.nodes.len() {
            if self.nodes[number].runs() {
                self.node_ready(number).await;
            }
        }
    }

    /// Waits until a node is ready.
    ///
    /// # Panics
    /// When it is not in time, or ends.
    pub async fn node_ready(&mut self, number: usize) {
        let (node, api) = (&mut self.nodes[number], &self.clients[number]);
        until("a node is ready", START, async || {
            if let Some(status) = node.has_ended().await {
                panic!("{} ended: {status}", node.place().name());
            }
            let answer = api.probe("/readyz").await.map_err(|error| format!("{error:?}"))?;
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }

    /// The node that a running one takes for the leader, and its term.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn leader(&self) -> (usize, u64) {
        let running: Vec<usize> = (0..self.size()).filter(|number| self.nodes[*number].runs()).collect();
        until("there is a leader", ELECTION, async || {
            let mut seen = Vec::new();
            for number in &running {
                match self.raft(*number).await {
                    Ok(raft) => match (raft["leader"].as_u64(), raft["term"].as_u64()) {
                        (Some(leader), Some(term)) if running.contains(&(leader as usize - 1)) => {
                            return Ok((leader as usize - 1, term));
                        }
                        other => seen.push(format!("node {number}: {other:?}")),
                    },
                    Err(why) => seen.push(format!("node {number}: {why}")),
                }
            }
            Err(seen.join("; "))
        })
        .await
    }

    /// What a node tells of the Raft group, without asking the others.
    ///
    /// # Errors
    /// When it tells nothing.
    pub async fn raft(&self, number: usize) -> Result<Value, String> {
        let answer = self.clients[number].stale().get("/v1/cluster").await.map_err(|error| format!("{error:?}"))?;
        if answer.status == 200 { Ok(answer.body) } else { Err(format!("{answer:?}")) }
    }

    /// Kills the leader with `-9`, and waits until another one leads in a later term. Returns the dead node.
    ///
    /// # Panics
    /// When there is no other leader in time.
    pub async fn kill_leader(&mut self) -> usize {
        let (old, term) = self.leader().await;
        self.nodes[old].kill().await;
        let (new, later) = self.leader().await;
        assert!(new != old && later > term, "node {new} leads in term {later} after node {old} in term {term}");
        old
    }

    /// Waits until every node has the same state: the same hash at the same index.
    ///
    /// # Panics
    /// When two differ at one index, or they do not come to the same index in time.
    pub async fn agree(&self) {
        let running: Vec<usize> = (0..self.size()).filter(|number| self.nodes[*number].runs()).collect();
        until("all nodes have applied the same index", START, async || {
            let mut hashes = Vec::new();
            for number in &running {
                let answer = self.clients[*number].stale().get("/v1/cluster/state").await;
                let answer: Answer = answer.map_err(|error| format!("{error:?}"))?;
                let told = (answer.body["index"].as_u64(), answer.body["sha256"].as_str().map(str::to_owned));
                let (Some(index), Some(hash)) = told else { return Err(format!("{answer:?}")) };
                hashes.push((index, hash));
            }
            for (index, hash) in &hashes {
                let other = hashes.iter().find(|(at, other)| at == index && other != hash);
                assert!(other.is_none(), "replicas differ at index {index}: {hashes:?}");
            }
            if hashes.iter().all(|(index, _)| *index == hashes[0].0) { Ok(()) } else { Err(format!("{hashes:?}")) }
        })
        .await;
    }

    fn show(&self) {
        for node in &self.nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {}, the last of {} lines:", node.place().name(), lines.len());
            lines.iter().skip(lines.len().saturating_sub(SHOWN)).for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show();
            if let Some(directory) = self.directory.take() {
                eprintln!("--- everything is kept in {}", directory.keep().display());
            }
        }
    }
}

/// A new authority for the peers of a cluster.
pub(crate) fn authority(cluster_id: &str) -> Authority {
    let cluster_id = cluster_id.parse().expect("a cluster id");
    Authority::create(cluster_id).expect("certificates can be made")
}
