//! How this node stands in the group: who leads, who is a member, whether the leader was heard of.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use muster_control::NodeId;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fatal::FatalSignal;
use crate::types::{Peer, Raft, TypeConfig};

/// The leader of a term, as far as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leading {
    pub(crate) term: u64,
    pub(crate) leader: Option<NodeId>,
}

/// What a node is to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Acquaintance {
    /// The cluster has not begun, as far as the log of this node goes.
    NoMembers,
    /// A member.
    Member(Peer),
    /// Not a member of a cluster that has begun.
    Stranger,
}

/// Shared knowledge about the group. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Standing {
    me: NodeId,
    metrics: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
    leading: watch::Receiver<Leading>,
    heard: Arc<Mutex<Option<(NodeId, Instant)>>>,
}

impl Standing {
    /// Follows a replica until it stops. Spawns a task.
    ///
    /// The engine tells of its end only if it ends in good order; where it panics, its metrics just cease. Either
    /// way the node has failed, unless it was told to stop.
    pub(crate) fn follow(raft: &Raft, me: NodeId, fatal: FatalSignal, stopping: CancellationToken) -> Self {
        let metrics = raft.server_metrics();
        let (sender, leading) = watch::channel(leading_in(&metrics.borrow_watched()));
        let mut changes = metrics.clone();
        let this = Self { me, metrics, leading, heard: Arc::default() };
        let heard = this.clone();
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let now = leading_in(&changes.borrow_watched());
                if now != *sender.borrow()
                    && let Some(leader) = now.leader
                {
                    heard.heard_from(leader); // before anyone who waits for a leader asks
                }
                sender.send_if_modified(|before| std::mem::replace(before, now) != now);
            }
            if !stopping.is_cancelled() {
                fatal.raise("consensus ended");
            }
            stopping.cancelled().await; // until then nobody is to find the sender gone, and spin
        });
        this
    }

    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Who leads; changes can be waited for.
    pub(crate) fn leading(&self) -> watch::Receiver<Leading> {
        self.leading.clone()
    }

    /// What a node is according to the newest membership in the log of this node, committed or not.
    ///
    /// One look: between two, the cluster may begin.
    pub(crate) fn lookup(&self, node: NodeId) -> Acquaintance {
        let metrics = self.metrics.borrow_watched();
        match metrics.membership_config.get_node(&node.get()) {
            Some(peer) => Acquaintance::Member(peer.clone()),
            None if metrics.membership_config.nodes().next().is_some() => Acquaintance::Stranger,
            None => Acquaintance::NoMembers,
        }
    }

    /// A member by its id.
    pub(crate) fn member(&self, node: NodeId) -> Option<Peer> {
        match self.lookup(node) {
            Acquaintance::Member(peer) => Some(peer),
            Acquaintance::Stranger | Acquaintance::NoMembers => None,
        }
    }

    /// Notes that a node showed itself as the leader.
    pub(crate) fn heard_from(&self, leader: NodeId) {
        *self.heard.lock().expect("nothing panics under this lock") = Some((leader, Instant::now()));
    }

    /// Whether a node showed itself as the leader within the last `span`.
    pub(crate) fn has_heard_from(&self, leader: NodeId, span: Duration) -> bool {
        let heard = *self.heard.lock().expect("nothing panics under this lock");
        heard.is_some_and(|(node, at)| node == leader && at.elapsed() <= span)
    }
}

fn leading_in(metrics: &RaftServerMetrics<TypeConfig>) -> Leading {
    Leading { term: metrics.vote.leader_id.term, leader: metrics.current_leader.map(NodeId::new) }
}
