//! What can go wrong, told apart by what the caller does about it.

use std::io;
use std::path::PathBuf;

use muster_control::NodeId;

use crate::config::ClusterId;

/// Why a proposal came back without an outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not applied, and it never will be.
    #[error("not applied")]
    NotApplied(#[source] NotApplied),
    /// The wait ended: it may have been applied, or still be. Asking again with the same change id is safe.
    #[error("no answer within the deadline; the outcome is unknown")]
    OutcomeUnknown,
    /// This node stops; others may hold the entry, so the outcome is unknown too.
    #[error("this node stops; the outcome is unknown")]
    Stopped,
}

/// Why a change was certainly not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// No leader was found within the deadline: no quorum, or none that this node can reach.
    #[error("no leader within the deadline")]
    NoLeader,
    /// Too many proposals are under way.
    #[error("too many proposals are under way")]
    Overloaded,
    /// The disk of the leader is nearly full.
    #[error("the disk is nearly full")]
    DiskFull,
    /// The change is larger than [`Tuning::change_bytes`](crate::Tuning::change_bytes).
    #[error("the change is too large")]
    TooLarge,
    /// This node stops.
    #[error("this node stops")]
    Stopping,
}

impl From<NotApplied> for ProposeError {
    fn from(reason: NotApplied) -> Self {
        Self::NotApplied(reason)
    }
}

/// Why a read was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No quorum confirmed within the deadline that there is nothing newer, or this node did not catch up with it.
    #[error("no quorum within the deadline")]
    NoQuorum,
    /// This node stops.
    #[error("this node stops")]
    Stopped,
}

/// Why this node stopped for good. It may not go on: the process ends and is started anew, or is replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub(crate) String);

/// Why a replica did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(String),
    /// A certificate or key cannot be used.
    #[error("certificates: {0}")]
    Tls(String),
    /// The address for peers cannot be bound.
    #[error("cannot listen for peers on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data directory {0} is in use by another process")]
    InUse(PathBuf),
    /// The data directory belongs to another cluster.
    #[error("the data directory belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// The cluster in the configuration.
        expected: ClusterId,
        /// The cluster on the disk.
        found: String,
    },
    /// The data directory belongs to another node.
    #[error("the data directory belongs to node {found}, not to {expected}")]
    OtherNode {
        /// The node in the configuration.
        expected: NodeId,
        /// The node on the disk.
        found: NodeId,
    },
    /// The disk was written by a version that this one does not know.
    #[error("the data directory has format version {found}, this program knows up to {known}")]
    UnknownFormat {
        /// The format on the disk.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// The disk is empty, but peers know this node id with another disk.
    #[error(
        "node {node_id} has an empty disk, but the cluster knows it with another one: its votes and entries are lost. \
         Restore the data directory, or remove the node from the cluster and add it under a new id"
    )]
    WipedDisk {
        /// The node.
        node_id: NodeId,
    },
    /// The disk is empty, and the cluster exists without this node.
    #[error("node {node_id} is not a member of the cluster, which exists already")]
    NotAMember {
        /// The node.
        node_id: NodeId,
    },
    /// Log, vote or snapshot on the disk are damaged or incomplete.
    #[error("the data directory is damaged, the node must be replaced: {0}")]
    Damaged(String),
    /// The disk failed.
    #[error("disk: {context}")]
    Disk {
        /// What was attempted.
        context: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The consensus engine refused to start.
    #[error("consensus: {0}")]
    Consensus(String),
}
