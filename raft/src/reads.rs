//! Linearizable reads: at which index is everything that was acknowledged so far?

use std::sync::Arc;
use std::time::Duration;

use muster_control::LogIndex;
use openraft::ReadPolicy;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::error::ReadError;
use crate::peer::Peers;
use crate::proto;
use crate::standing::Standing;
use crate::types::Raft;

/// One attempt takes no longer.
const ROUND: Duration = Duration::from_secs(1);
/// Pause before another attempt while the same leader is known. A new leader ends it at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks this node, as the leader, for its read index.
#[derive(Clone)]
pub(crate) struct ReadIndex {
    pub(crate) raft: Raft,
}

impl ReadIndex {
    /// The read index, confirmed by a quorum after this call began; `None` if this node does not lead one.
    pub(crate) async fn as_leader(&self) -> Option<LogIndex> {
        let confirmed = timeout(ROUND, self.raft.get_read_log_id(ReadPolicy::ReadIndex)).await.ok()?;
        let (read, _applied) = confirmed.ok()?;
        Some(LogIndex::new(read.index()))
    }
}

/// Where readers of this node ask. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reads {
    waiters: mpsc::UnboundedSender<oneshot::Sender<LogIndex>>,
}

impl Reads {
    /// Starts the task that asks for all readers of this node.
    pub(crate) fn start(
        read_index: ReadIndex,
        standing: Standing,
        peers: Arc<Peers>,
        counters: Arc<Counters>,
        stopping: CancellationToken,
    ) -> Self {
        let (waiters, receiver) = mpsc::unbounded_channel();
        let rounds = Rounds { read_index, standing, peers, counters };
        tokio::spawn(async move { stopping.run_until_cancelled(rounds.run(receiver)).await });
        Self { waiters }
    }

    /// An index at or past everything that was acknowledged before this call.
    pub(crate) async fn index(&self, deadline: Instant) -> Result<LogIndex, ReadError> {
        let (waiter, answer) = oneshot::channel();
        self.waiters.send(waiter).map_err(|_| ReadError::Stopped)?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(index)) => Ok(index),
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::NoQuorum),
        }
    }
}

/// Rounds of asking, one at a time. Whoever comes during a round waits for the next: an answer that was on its
/// way already may miss what was acknowledged meanwhile.
struct Rounds {
    read_index: ReadIndex,
    standing: Standing,
    peers: Arc<Peers>,
    counters: Arc<Counters>,
}

impl Rounds {
    async fn run(self, mut arrivals: mpsc::UnboundedReceiver<oneshot::Sender<LogIndex>>) {
        let mut leading = self.standing.leading();
        while let Some(first) = arrivals.recv().await {
            let mut waiters = vec![first];
            while !waiters.is_empty() {
                while let Ok(waiter) = arrivals.try_recv() {
                    waiters.push(waiter);
                }
                leading.mark_unchanged();
                if let Some(index) = self.round().await {
                    for waiter in waiters.drain(..) {
                        waiter.send(index).ok(); // a waiter that is gone has missed nothing
                    }
                    break;
                }
                timeout(PAUSE, leading.changed()).await.ok(); // either way it is time to ask again
                waiters.retain(|waiter| !waiter.is_closed());
            }
        }
    }

    async fn round(&self) -> Option<LogIndex> {
        self.counters.read_rounds.increment();
        let leader = self.standing.leading().borrow().leader?;
        if leader == self.standing.me() {
            return self.read_index.as_leader().await;
        }
        let peer = self.standing.member(leader)?;
        let mut client = self.peers.member(leader, &peer).control.clone();
        let mut leading = self.standing.leading();
        let response = tokio::select! {
            response = timeout(ROUND, client.read_index(proto::ReadIndexRequest {})) => response.ok()?,
            // Whoever led may be dead.
            Ok(_) = leading.wait_for(|now| now.leader.is_some_and(|now| now != leader)) => return None,
        };
        Some(LogIndex::new(response.ok()?.into_inner().index))
    }
}
