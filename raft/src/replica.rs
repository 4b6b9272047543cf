//! One node of the Raft group.

use std::sync::Arc;
use std::time::Duration;

use muster_control::{Change, ChangeId, Generation, LogIndex, NodeId, Outcome};
use tokio::time::Instant;

use crate::config::ReplicaConfig;
use crate::counters::Counters;
use crate::error::{Fatal, ProposeError, ReadError, StartError};
use crate::notices::Notices;
use crate::status::Status;
use crate::view::View;

/// One node of the Raft group. Clones are handles to the same replica; the last one dropped stops it.
#[derive(Clone)]
pub struct Replica;

/// A change that was applied.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// The entry; of a repeated change, the entry of the repetition.
    pub index: LogIndex,
    /// What applying it produced; of a repeated change, what the first produced.
    pub outcome: Outcome,
}

impl Replica {
    /// Opens the disk, checks whose it is, recovers, serves peers, and bootstraps a cluster of pristine nodes.
    ///
    /// Returns once the node takes part; it may not have a leader yet (see [`Replica::status`]).
    ///
    /// # Errors
    /// When this node must not or cannot take part; nothing is left running then.
    pub async fn start(config: ReplicaConfig) -> Result<Self, StartError> {
        todo!("{config:?}")
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        todo!()
    }

    /// Incarnation of this node: grows at each start on this disk, synced before anything is served.
    pub fn generation(&self) -> Generation {
        todo!()
    }

    /// Proposes a change under a fresh id and waits until this node's leader has applied it.
    ///
    /// Forwarded to the leader if that is another node; while there is none, waits for one. The view of
    /// *this* node may be behind the outcome: see [`Replica::view_at`].
    ///
    /// # Errors
    /// After [`Tuning::propose_deadline`](crate::Tuning::propose_deadline) at the latest.
    pub async fn propose(&self, change: Change) -> Result<Proposed, ProposeError> {
        todo!("{change:?}")
    }

    /// Like [`Replica::propose`], under an id of the caller's choice, so that the caller may ask again.
    ///
    /// # Errors
    /// At `deadline` at the latest.
    pub async fn propose_as(
        &self,
        id: ChangeId,
        change: Change,
        deadline: Instant,
    ) -> Result<Proposed, ProposeError> {
        todo!("{id} {change:?} {deadline:?}")
    }

    /// A view that contains every change whose proposal was answered, on any node, before this call.
    ///
    /// # Errors
    /// After [`Tuning::read_deadline`](crate::Tuning::read_deadline) at the latest.
    pub async fn read(&self) -> Result<View, ReadError> {
        todo!()
    }

    /// What this node has applied; may be behind others. Never waits.
    pub fn view(&self) -> View {
        todo!()
    }

    /// The view of this node once it has applied `index`.
    ///
    /// # Errors
    /// At `deadline` at the latest.
    pub async fn view_at(&self, index: LogIndex, deadline: Instant) -> Result<View, ReadError> {
        todo!("{index} {deadline:?}")
    }

    /// What is applied from now on.
    pub fn notices(&self) -> Notices {
        todo!()
    }

    /// How this node is doing.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// What this node has done since its start.
    pub fn counters(&self) -> Arc<Counters> {
        todo!()
    }

    /// Hash of the state at an index. Replicas have the same hash at the same index. Costs a pass over the state.
    pub async fn state_hash(&self) -> (LogIndex, [u8; 32]) {
        todo!()
    }

    /// Resolves when this node has failed for good: the process must end.
    pub async fn failed(&self) -> Fatal {
        todo!()
    }

    /// How long a linearizable read may take at most.
    pub fn read_deadline(&self) -> Duration {
        todo!()
    }

    /// Stops: refuses new work, leaves the group's traffic, writes what was accepted, closes the disk.
    pub async fn stop(&self) {
        todo!()
    }
}
