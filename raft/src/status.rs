//! How a replica is doing: for readiness, for operators and for metrics.

use std::sync::atomic::Ordering;
use std::time::Duration;

use muster_control::{Generation, LogIndex, NodeId};
use openraft::async_runtime::WatchReceiver;
use openraft::{Instant, RaftMetrics, ServerState};

use crate::error::Fatal;
use crate::start::{Parts, contact_span};
use crate::types::{LogId, Peer, TypeConfig, index_of};

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

/// Entries that may be committed, but not applied here, on a node that has caught up.
const CATCH_UP_ENTRIES: u64 = 10_000;

impl Status {
    pub(crate) fn of(parts: &Parts) -> Self {
        // Cloned at once: openraft cannot go on while the value is borrowed.
        let metrics = parts.raft.metrics().borrow_watched().clone();
        let node_id = parts.config.node_id;
        let role = match metrics.state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Stopped,
        };
        let span = contact_span(parts.config.tuning.election_max);
        let has_contact = |leader: NodeId| {
            if leader == node_id {
                metrics.last_quorum_acked.as_ref().is_some_and(|at| at.elapsed() <= span)
            } else {
                parts.standing.has_heard_from(leader, span)
            }
        };
        let leader = metrics.current_leader.map(NodeId::new).filter(|leader| has_contact(*leader));
        let applied = parts.published.view().index;
        let committed = index_of(metrics.cluster_committed.max(metrics.local_committed).as_ref());
        let fatal = parts.fatal.get();

        let mut not_ready = Vec::new();
        if fatal.is_some() || parts.stopping.is_cancelled() {
            not_ready.push(NotReady::Stopped);
        }
        if leader.is_none() {
            not_ready.push(NotReady::NoLeader);
        }
        let behind = committed.get().saturating_sub(applied.get());
        if !parts.has_recovered.load(Ordering::Relaxed) || behind > CATCH_UP_ENTRIES {
            not_ready.push(NotReady::CatchingUp);
        }
        if parts.disk.is_full() {
            not_ready.push(NotReady::DiskFull);
        }
        Self {
            node_id,
            generation: parts.generation,
            role,
            leader,
            term: metrics.current_term,
            last_log: LogIndex::new(metrics.last_log_index.unwrap_or_default()),
            committed,
            applied,
            snapshot: index_of(metrics.snapshot.as_ref()),
            purged: index_of(metrics.purged.as_ref()),
            members: members(&metrics),
            not_ready,
            fatal,
        }
    }

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

fn members(metrics: &RaftMetrics<TypeConfig>) -> Vec<Member> {
    let membership = metrics.membership_config.membership();
    let last = metrics.last_log_index.unwrap_or_default();
    let member = |(id, peer): (&u64, &Peer)| {
        let is_leader = metrics.state == ServerState::Leader && *id == metrics.id;
        let known: Option<&Option<LogId>> = metrics.replication.as_ref().and_then(|replication| replication.get(id));
        let matched = if is_leader { Some(last) } else { known.map(|known| known.map_or(0, |known| known.index)) };
        let heard = metrics.heartbeat.as_ref().and_then(|heartbeat| heartbeat.get(id)).and_then(Option::as_ref);
        let last_contact = if is_leader { Some(Duration::ZERO) } else { heard.map(|at| at.elapsed()) };
        Member {
            node_id: NodeId::new(*id),
            address: peer.address.clone(),
            is_voter: membership.voter_ids().any(|voter| voter == *id),
            matched: matched.map(LogIndex::new),
            lag: matched.map(|matched| last.saturating_sub(matched)),
            last_contact,
        }
    };
    membership.nodes().map(member).collect()
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
