//! One node of the Raft group.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_control::{Change, ChangeId, Generation, LogIndex, NodeId, Outcome};
use tokio::runtime::{self, Runtime};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::ReplicaConfig;
use crate::counters::Counters;
use crate::error::{Fatal, ProposeError, ReadError, StartError};
use crate::machine::state_hash;
use crate::notices::Notices;
use crate::start::{Parts, start};
use crate::status::Status;
use crate::ticker::random_change_id;
use crate::view::View;

/// Threads of the replica's own runtime: heartbeats go on whatever the rest of the process is busy with.
const THREADS: usize = 3;

/// How long tasks may take to end when the last handle is dropped.
const CLOSING: Duration = Duration::from_secs(5);

/// How long a leader that stops waits for the next one.
const HAND_OVER: Duration = Duration::from_secs(1);

/// One node of the Raft group. Clones are handles to the same replica.
///
/// [`Replica::stop`] ends it in good order. Dropping the last handle ends it in the middle of what it does, and
/// blocks until its disk is closed, some milliseconds as a rule.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

struct Inner {
    parts: Parts,
    handle: runtime::Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.parts.stopping.cancel();
        self.parts.hanging_up.cancel();
        let Ok(Some(runtime)) = self.runtime.get_mut().map(Option::take) else { return };
        let is_inside = runtime::Handle::try_current().is_ok_and(|current| current.id() == self.handle.id());
        let log = self.parts.log.clone();
        // A thread of its own: a runtime may not be waited for in async code, nor from within.
        let closing = std::thread::spawn(move || {
            runtime.shutdown_timeout(CLOSING);
            log.close();
        });
        // RocksDB must be closed when the process ends, or its exit handlers trip over its threads.
        if !is_inside && closing.join().is_err() {
            tracing::warn!("the log did not close in good order");
        }
    }
}

/// A change that was applied.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// The entry that brought the outcome about; of a repeated change, the first.
    pub index: LogIndex,
    /// What applying it produced.
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
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("muster-raft")
            .enable_all()
            .build()
            .map_err(|source| StartError::Disk { context: "start threads".to_owned(), source })?;
        let handle = runtime.handle().clone();
        let started = handle.spawn(start(config)).await;
        match started.unwrap_or_else(|panic| Err(StartError::Consensus(panic.to_string()))) {
            Ok(parts) => Ok(Self(Arc::new(Inner { parts, handle, runtime: Mutex::new(Some(runtime)) }))),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.0.parts.config.node_id
    }

    /// Incarnation of this node: grows at each start on this disk, synced before anything is served.
    pub fn generation(&self) -> Generation {
        self.0.parts.generation
    }

    /// Proposes a change under a fresh id and waits until the leader has applied it.
    ///
    /// Forwarded to the leader if that is another node; while there is none, waits for one. The view of
    /// *this* node may be behind the outcome: see [`Replica::view_at`].
    ///
    /// # Errors
    /// After [`Tuning::propose_deadline`](crate::Tuning::propose_deadline) at the latest.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the change back.
    pub async fn propose(&self, change: Change) -> Result<Proposed, ProposeError> {
        let deadline = Instant::now() + self.0.parts.config.tuning.propose_deadline;
        self.propose_as(random_change_id(), change, deadline).await
    }

    /// Like [`Replica::propose`], under an id of the caller's choice, so that the caller may ask again: the same
    /// id with the same change is applied once, as long as the state machine remembers it (two minutes).
    ///
    /// # Errors
    /// At `deadline` at the latest.
    ///
    /// # Cancel safety
    /// As for [`Replica::propose`].
    pub async fn propose_as(&self, id: ChangeId, change: Change, deadline: Instant) -> Result<Proposed, ProposeError> {
        let proposer = self.0.parts.proposer.clone();
        let proposing = self.0.handle.spawn(async move { proposer.propose(id, &change, deadline).await });
        proposing.await.unwrap_or(Err(ProposeError::Stopped)) // the runtime ended
    }

    /// A view that contains every change whose proposal was answered, on any node, before this call.
    ///
    /// # Errors
    /// After [`Tuning::read_deadline`](crate::Tuning::read_deadline) at the latest.
    pub async fn read(&self) -> Result<View, ReadError> {
        self.read_by(Instant::now() + self.0.parts.config.tuning.read_deadline).await
    }

    /// Like [`Replica::read`], with a deadline of the caller's choice.
    ///
    /// # Errors
    /// At `deadline` at the latest.
    pub async fn read_by(&self, deadline: Instant) -> Result<View, ReadError> {
        let index = self.0.parts.reads.index(deadline).await?;
        let view = self.view_at(index, deadline).await?;
        self.0.parts.counters.reads_answered.increment();
        Ok(view)
    }

    /// What this node has applied; may be behind others. Never waits.
    pub fn view(&self) -> View {
        self.0.parts.published.view()
    }

    /// The view of this node once it has applied `index`.
    ///
    /// # Errors
    /// At `deadline` at the latest.
    pub async fn view_at(&self, index: LogIndex, deadline: Instant) -> Result<View, ReadError> {
        let view = self.view();
        if view.index >= index {
            return Ok(view);
        }
        let parts = &self.0.parts;
        let mut applied = parts.published.applied();
        tokio::select! {
            reached = timeout_at(deadline, applied.wait_for(|applied| *applied >= index)) => match reached {
                Ok(Ok(_)) => Ok(self.view()),
                Ok(Err(_)) => Err(ReadError::Stopped),
                Err(_) => Err(ReadError::NoQuorum),
            },
            () = parts.stopping.cancelled() => Err(ReadError::Stopped),
        }
    }

    /// What is applied from now on.
    pub fn notices(&self) -> Notices {
        self.0.parts.published.notices()
    }

    /// How this node is doing. Never waits, asks no peer.
    pub fn status(&self) -> Status {
        Status::of(&self.0.parts)
    }

    /// What this node has done since its start.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.parts.counters)
    }

    /// SHA-256 of the state, and the index it is of. Replicas have the same hash at the same index. Costs a pass
    /// over the whole state.
    pub async fn state_hash(&self) -> (LogIndex, [u8; 32]) {
        let View { index, control } = self.view();
        let hash = self.0.handle.spawn_blocking(move || state_hash(&control)).await;
        (index, hash.unwrap_or_default()) // the runtime ended: nobody compares hashes of a stopped node
    }

    /// Resolves when this node has failed for good: the process must end.
    pub async fn failed(&self) -> Fatal {
        self.0.parts.fatal.raised().await
    }

    /// Stops: refuses new work, leaves the group's traffic, writes what was accepted, closes the disk.
    ///
    /// When it returns, the data directory may be opened again. A second call does nothing.
    pub async fn stop(&self) {
        let inner = Arc::clone(&self.0);
        let stopping = self.0.handle.spawn(async move { inner.parts.stop().await });
        stopping.await.ok(); // the runtime ended: everything has stopped
    }
}

impl Parts {
    async fn stop(&self) {
        self.stopping.cancel();
        self.hand_over().await;
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "consensus did not stop in good order");
        }
        self.hanging_up.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.published.close();
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.close()).await.ok(); // a panic in there was told by itself
        tracing::info!(node_id = %self.config.node_id, "replica stopped");
    }

    /// Lets the most advanced follower lead, so that the cluster need not find out that its leader is gone.
    async fn hand_over(&self) {
        let mut leading = self.standing.leading();
        let me = self.config.node_id;
        if leading.borrow().leader != Some(me) {
            return;
        }
        let others = Status::of(self).members.into_iter().filter(|member| member.is_voter && member.node_id != me);
        let alive = others.filter(|member| member.last_contact.is_some_and(|ago| ago < HAND_OVER));
        let Some(next) = alive.max_by_key(|member| member.matched) else { return };
        let handed_over = async {
            // Again, because a follower refuses while the last entries are still on their way to its disk.
            while self.raft.trigger().transfer_leader(next.node_id.get()).await.is_ok() {
                let other_leads = leading.wait_for(|leading| leading.leader.is_some_and(|leader| leader != me));
                if timeout(HAND_OVER / 5, other_leads).await.is_ok() {
                    return;
                }
            }
        };
        let in_time = timeout(HAND_OVER, handed_over).await.is_ok();
        tracing::info!(to = %next.node_id, in_time, "leadership handed over");
    }
}
