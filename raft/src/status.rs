//! How a replica is doing: for readiness, for operators and for metrics.

use std::time::Duration;

use muster_control::{Generation, LogIndex, NodeId};

use crate::error::Fatal;

/// How one replica is doing, as it knows itself. Never blocks, never asks a peer.
#[derive(Clone, Debug)]
pub struct Status {
    /// This node.
    pub node_id: NodeId,
    /// Incarnation of this node.
    pub generation: Generation,
    /// What it is in the Raft group.
    pub role: Role,
    /// The leader as far as this node knows.
    pub leader: Option<NodeId>,
    /// Current term.
    pub term: u64,
    /// Last entry in this node's log.
    pub last_log: LogIndex,
    /// Last entry this node knows to be committed.
    pub committed: LogIndex,
    /// Last entry this node has applied.
    pub applied: LogIndex,
    /// Last entry in the newest snapshot; zero if there is none.
    pub snapshot: LogIndex,
    /// Last entry dropped from the log; zero if none.
    pub purged: LogIndex,
    /// The members in order of ids; empty before the cluster is bootstrapped.
    pub members: Vec<Member>,
    /// Why this node should get no requests; empty if it should.
    pub not_ready: Vec<NotReady>,
    /// Why this node stopped for good, if it did.
    pub fatal: Option<Fatal>,
}

impl Status {
    /// Whether this node should get requests.
    pub fn is_ready(&self) -> bool {
        self.not_ready.is_empty()
    }
}

/// What a node is in the Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Proposes entries.
    Leader,
    /// Follows a leader.
    Follower,
    /// Stands for election.
    Candidate,
    /// Has no vote.
    Learner,
    /// Stopped.
    Stopped,
}

/// A member of the Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node_id: NodeId,
    /// Where its peers reach it.
    pub address: String,
    /// Whether it votes.
    pub is_voter: bool,
    /// Last entry known to be on its disk; only the leader knows.
    pub matched: Option<LogIndex>,
    /// Entries it is behind the leader's log; only the leader knows.
    pub lag: Option<u64>,
    /// How long ago it last answered; only the leader knows.
    pub last_contact: Option<Duration>,
}

/// Why a node should get no requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It knows no leader.
    #[error("no leader")]
    NoLeader,
    /// What it has applied is behind what it knows to be committed, or it has not caught up since its start.
    #[error("catching up")]
    CatchingUp,
    /// Its disk is nearly full.
    #[error("disk nearly full")]
    DiskFull,
    /// It stopped for good, or stops.
    #[error("stopped")]
    Stopped,
}
