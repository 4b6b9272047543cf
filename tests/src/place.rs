//! Where a node lives: its directory, its ports, its configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use muster_control::NodeId;
use muster_node::{Authority, Pair};
use toml::{Table, Value, toml};

use crate::ports::Ports;
use crate::settings::Settings;

/// Password of the API's users.
pub const PASSWORD: &str = "Tests.of.muster.1";

/// Ports of one node.
const PORTS: u16 = 4;

/// A node's place.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number in the cluster, from 0; its id is one more.
    pub number: usize,
    /// Where configuration and certificates lie.
    pub dir: PathBuf,
    /// Where everything it keeps lies.
    pub data_dir: PathBuf,
    /// Where clients reach it.
    pub api: SocketAddr,
    /// Where agents reach it.
    pub channel: SocketAddr,
    /// Where agents enroll.
    pub enrollment: SocketAddr,
    /// Where its peers reach it.
    pub peers: SocketAddr,
}

impl Place {
    pub(crate) fn new(number: usize, root: &Path, settings: &Settings, ports: &Ports) -> Self {
        let first = u16::try_from(number).expect("few nodes") * PORTS;
        let dir = root.join(format!("node-{}", number + 1));
        let data_root = settings.data_root.as_ref().map(|root| root.join(format!("node-{}", number + 1)));
        Self {
            number,
            data_dir: data_root.unwrap_or_else(|| dir.join("data")),
            dir,
            api: ports.address(first),
            channel: ports.address(first + 1),
            enrollment: ports.address(first + 2),
            peers: ports.address(first + 3),
        }
    }

    /// Its id in the Raft group.
    pub fn id(&self) -> NodeId {
        NodeId::new(self.number as u64 + 1)
    }

    /// What clients call it.
    pub fn name(&self) -> String {
        format!("node-{}", self.id())
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.dir.join("muster.toml")
    }

    /// Gives it certificates for peers that `authority` vouches for; those it had are gone.
    ///
    /// # Panics
    /// When they cannot be made or written.
    pub fn certify(&self, authority: &Authority) {
        let hosts = ["127.0.0.1".to_owned()];
        let pair = authority.issue(self.id(), &hosts).expect("certificates can be made");
        pair.save(&self.dir, "peer").expect("the directory can be written to");
        fs::write(self.dir.join("ca.pem"), authority.certificate()).expect("the directory can be written to");
    }

    /// Writes its configuration.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, cluster_id: &str, members: &[Place], settings: &Settings) {
        let member = |place: &Place| {
            let (id, address) = (place.number as i64 + 1, place.peers.to_string());
            Value::Table(Table::from_iter([("id".to_owned(), id.into()), ("address".to_owned(), address.into())]))
        };
        let mut config = toml! {
            [node]
            address = "127.0.0.1"
            [cluster]
            [peers]
            ca = "ca.pem"
            certificate = "peer.pem"
            key = "peer.key"
            [raft]
            disk_reserve = "16MiB"
            [api]
            certificate = "../server.pem"
            key = "../server.key"
            requests_per_minute = 0
            [users]
        };
        for (key, value) in [
            ("node.id", Value::from(self.number as i64 + 1)),
            ("node.name", self.name().into()),
            ("node.data_dir", self.data_dir.display().to_string().into()),
            ("cluster.id", cluster_id.into()),
            ("cluster.members", Value::Array(members.iter().map(member).collect())),
            ("peers.listen", self.peers.to_string().into()),
            ("api.listen", Value::Array(vec![self.api.to_string().into()])),
            ("channel.listen", self.channel.to_string().into()),
            ("enrollment.listen", self.enrollment.to_string().into()),
            ("users.wazuh_password", PASSWORD.into()),
            ("users.wazuh_wui_password", PASSWORD.into()),
        ] {
            Settings::new().with(key, value).apply(&mut config);
        }
        settings.apply(&mut config);
        fs::write(self.config(), config.to_string()).expect("the directory can be written to");
    }
}

/// Makes the certificate with which all nodes serve the API, and returns it in PEM.
pub(crate) fn server_certificate(root: &Path) -> String {
    let pair = Pair::self_signed(&["127.0.0.1".to_owned()]).expect("certificates can be made");
    pair.save(root, "server").expect("the directory can be written to");
    pair.certificate
}
