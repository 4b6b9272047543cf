//! The cluster under measurement: three real processes, built for release.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use muster_tests::{Cluster, Place, Settings};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::machine;
use crate::wire::{Caller, Wire};

/// The program, built by cargo together with this bench and in the same profile.
const PROGRAM: &str = env!("CARGO_BIN_EXE_muster-under-test");

/// Addresses of this machine that agents connect to.
const ADDRESSES: usize = 8;

/// The second of the two users a cluster starts with, and its password here.
const USER: &str = "wazuh-wui";
const PASSWORD: &str = "Bench.of.muster.1";

/// The running cluster.
pub(crate) struct Site {
    cluster: Cluster,
    caller: Caller,
}

impl Site {
    /// Starts it with the configuration of a user, but for ports, passwords and the life of tokens.
    ///
    /// # Errors
    /// When it gives no token.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let settings = Settings::new()
            .with("users.wazuh_wui_password", PASSWORD)
            .with("api.token_lifetime", "12h")
            .with("log.filter", "warn");
        let mut cluster = Cluster::prepare(PROGRAM, settings);
        for number in 0..cluster.size() {
            let place = cluster.node(number).place();
            let everywhere = |address: SocketAddr| format!("0.0.0.0:{}", address.port());
            let (channel, enrollment) = (everywhere(place.channel), everywhere(place.enrollment));
            let listen =
                |settings: Settings| settings.with("channel.listen", channel).with("enrollment.listen", enrollment);
            cluster.configure(number, None, listen);
            cluster.node_mut(number).start();
        }
        cluster.ready().await;
        let directory = cluster.node(0).place().dir.clone();
        let certificate = fs::read(directory.with_file_name("server.pem"))?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&certificate)?)?;
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut caller = Caller { tls: Arc::new(tls), token: String::new() };
        let api = cluster.node(0).place().api;
        caller.token = caller.connect(api).await?.log_in(USER, PASSWORD).await.context("no token")?;
        Ok(Self { cluster, caller })
    }

    /// How many nodes it has.
    pub(crate) fn nodes(&self) -> usize {
        self.cluster.size()
    }

    /// A directory on the disk of the nodes' data.
    pub(crate) fn directory(&self) -> &Path {
        &self.cluster.node(0).place().dir
    }

    /// Where agents reach the nodes.
    pub(crate) fn channels(&self) -> Vec<String> {
        self.spread(|place| place.channel)
    }

    /// Where agents enroll.
    pub(crate) fn enrollments(&self) -> Vec<String> {
        self.spread(|place| place.enrollment)
    }

    /// One port of each node at several addresses, node after node: so that the kernel does not search long for a
    /// port of its own for each connection, as it does when most are taken towards one address.
    fn spread(&self, port: fn(&Place) -> SocketAddr) -> Vec<String> {
        let at = |host: usize| self.cluster.places().map(move |place| format!("127.0.0.{host}:{}", port(place).port()));
        (1..=ADDRESSES).flat_map(at).collect()
    }

    /// A new connection to the API of a node.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn connect(&self, node: usize) -> anyhow::Result<Wire> {
        let api: SocketAddr = self.cluster.node(node).place().api;
        self.caller.connect(api).await
    }

    /// The process id of a node.
    pub(crate) fn process(&self, node: usize) -> u32 {
        self.cluster.node(node).pid()
    }

    /// CPU time of a node.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn cpu_time_of(&self, node: usize) -> anyhow::Result<Duration> {
        machine::cpu_time(self.process(node))
    }

    /// CPU time of all nodes.
    ///
    /// # Errors
    /// When one does not run.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        (0..self.nodes()).map(|node| self.cpu_time_of(node)).sum()
    }

    /// The node that leads.
    pub(crate) async fn leader(&self) -> usize {
        self.cluster.leader().await.0
    }

    /// Kills a node with `-9`; returns when it is dead.
    pub(crate) async fn kill(&mut self, node: usize) {
        self.cluster.node_mut(node).kill().await;
    }

    /// Starts a dead node again; returns when it is ready.
    pub(crate) async fn revive(&mut self, node: usize) {
        self.cluster.node_mut(node).start();
        self.cluster.node_ready(node).await;
    }
}
