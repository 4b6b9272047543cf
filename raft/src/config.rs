//! What a replica is started with.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use muster_control::NodeId;

/// Everything [`Replica::start`](crate::Replica::start) needs to know.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// The cluster this node belongs to; part of every certificate and of every request between peers.
    pub cluster_id: ClusterId,
    /// This node. One id means one disk for the life of the cluster.
    pub node_id: NodeId,
    /// Directory of this node alone; created if missing. Holds `log/`, `snapshots/` and nothing else.
    pub data_dir: PathBuf,
    /// Where to serve peers.
    pub listen: SocketAddr,
    /// The members with which the cluster is bootstrapped, this node included; the same on every node.
    /// Later the members in the log count, and this list only tells where to look for them.
    pub members: Vec<MemberConfig>,
    /// Certificates for the connections between peers.
    pub tls: PeerTls,
    /// Times and sizes; [`Tuning::default`] fits a LAN.
    pub tuning: Tuning,
}

/// One member of the first configuration of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberConfig {
    /// The node.
    pub node_id: NodeId,
    /// Where its peers reach it: `host:port`.
    pub address: String,
}

/// Certificates in PEM. Peers are known by the SAN URI `raft://<cluster_id>/<node_id>` of their certificate.
#[derive(Clone)]
pub struct PeerTls {
    /// The authority that signed the certificates of all members, and nothing else.
    pub ca_pem: String,
    /// Certificate chain of this node. If it restricts its use, it allows both server and client authentication.
    pub certificate_pem: String,
    /// Private key of that certificate.
    pub key_pem: String,
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerTls { .. }")
    }
}

/// Name of a cluster: 1 to 64 of `a-z`, `0-9`, `-` and `_`, so that it fits into a URI as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(String);

/// Text that is not a cluster id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cluster id: 1 to 64 of a-z, 0-9, - and _")]
pub struct NotAClusterId;

impl ClusterId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterId {
    type Err = NotAClusterId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAClusterId)
        }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Times and sizes. The defaults are for a LAN and survive stalls of the disk of some hundred milliseconds.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// How often the leader shows that it lives. Default 100 ms.
    pub heartbeat: Duration,
    /// A follower that has heard nothing for `election_max`, which is the leader lease, waits for a random time
    /// between `election_min` and `election_max` more and stands for election then: with the defaults 0.9 to 1.2 s
    /// after the last heartbeat. Default 300 ms; more than 2.5 heartbeats.
    pub election_min: Duration,
    /// See there. Also the time for which a leader without a quorum goes on accepting changes. Default 600 ms.
    pub election_max: Duration,
    /// How long [`Replica::propose`](crate::Replica::propose) tries. Default 8 s. The state machine remembers
    /// change ids for two minutes, so it must stay well below that.
    pub propose_deadline: Duration,
    /// How long [`Replica::read`](crate::Replica::read) tries. Default 5 s.
    pub read_deadline: Duration,
    /// Proposals of this node that may be under way at once; more are refused. Default 8192.
    pub proposals_in_flight: usize,
    /// Largest change that is accepted, in bytes. Default 16 MiB.
    pub change_bytes: usize,
    /// A snapshot is taken after so many bytes of log. Default 256 MiB.
    pub snapshot_bytes: u64,
    /// Entries that stay in the log below a snapshot, for followers that are a little behind. Default 100,000.
    pub logs_to_keep: u64,
    /// Free space on the disk below which writes are refused. Default 512 MiB.
    pub disk_reserve_bytes: u64,
    /// Entries in memory for followers and for applying, in bytes. Default 64 MiB.
    pub tail_cache_bytes: usize,
    /// Notices a reader may lag behind before it gets [`Notice::Jumped`](crate::Notice::Jumped). Default 65,536.
    pub notice_backlog: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            propose_deadline: Duration::from_secs(8),
            read_deadline: Duration::from_secs(5),
            proposals_in_flight: 8192,
            change_bytes: 16 << 20,
            snapshot_bytes: 256 << 20,
            logs_to_keep: 100_000,
            disk_reserve_bytes: 512 << 20,
            tail_cache_bytes: 64 << 20,
            notice_backlog: 65_536,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_fit_into_a_uri() {
        assert!("prod-eu_1".parse::<ClusterId>().is_ok());
        for text in ["", "Prod", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(text.parse::<ClusterId>(), Err(NotAClusterId), "{text:?}");
        }
    }
}
