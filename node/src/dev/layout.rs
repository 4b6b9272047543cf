//! Where everything of a development cluster lies, and on which ports it listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Nodes of a development cluster.
pub(super) const NODES: usize = 3;

/// What the cluster is called; part of its certificates.
pub(super) const CLUSTER_ID: &str = "dev";

/// Directory and ports.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    dir: PathBuf,
    base_port: Option<u16>,
}

/// One node's place in it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its number, from 1.
    pub(super) number: usize,
    /// Its configuration.
    pub(super) config: PathBuf,
    /// What it prints.
    pub(super) log: PathBuf,
    /// Where clients reach it.
    pub(super) api: SocketAddr,
    /// Where agents reach it.
    pub(super) channel: SocketAddr,
    /// Where agents enroll.
    pub(super) enrollment: SocketAddr,
    /// Where its peers reach it.
    pub(super) peers: SocketAddr,
}

impl Layout {
    pub(super) fn new(dir: PathBuf, base_port: Option<u16>) -> Self {
        Self { dir, base_port }
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The password of the user `wazuh`.
    pub(super) fn password(&self) -> PathBuf {
        self.dir.join("password")
    }

    /// The certificate with which all three nodes serve the API and enrollment.
    pub(super) fn server_certificate(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    /// The places of all nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Place> {
        (1..=NODES).map(|number| self.node(number))
    }

    /// The place of one node, counted from 1.
    pub(super) fn node(&self, number: usize) -> Place {
        let dir = self.dir.join(format!("node-{number}"));
        let [api, channel, enrollment, peers] = self.ports(number);
        Place { number, config: dir.join("muster.toml"), log: dir.join("muster.log"), api, channel, enrollment, peers }
    }

    /// Whether agents and clients are served where Wazuh has them, as far as one machine can do that three times.
    pub(super) fn has_default_ports(&self) -> bool {
        self.base_port.is_none()
    }

    /// The ports of Wazuh, or what the user chose; each further node 10 higher.
    fn ports(&self, number: usize) -> [SocketAddr; 4] {
        let ports = match self.base_port {
            None => [55000, 1514, 1515, 1516],
            Some(base) => [base, base + 4, base + 5, base + 6],
        };
        let shift = 10 * u16::try_from(number - 1).expect("three nodes");
        ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port + shift)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_servers_share_a_port() {
        for base in [None, Some(1), Some(20000), Some(65509)] {
            let layout = Layout::new(".muster".into(), base);
            let ports: BTreeSet<u16> = layout
                .nodes()
                .flat_map(|node| [node.api, node.channel, node.enrollment, node.peers])
                .map(|address| address.port())
                .collect();
            assert_eq!(ports.len(), 12, "{base:?}: {ports:?}");
        }
    }
}
