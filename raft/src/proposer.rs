//! The way of a change into the log, from any node.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_control::{Change, ChangeId, LogIndex, NodeId, Outcome};
use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::clock::LeaderClock;
use crate::convert::seal_change;
use crate::counters::Counters;
use crate::disk::DiskSpace;
use crate::error::{NotApplied, ProposeError};
use crate::peer::Peers;
use crate::proto;
use crate::replica::Proposed;
use crate::standing::{Leading, Standing};
use crate::types::Raft;

/// Pause before another attempt while the same leader is known. A new leader ends it at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Changes that may be in the hands of this leader at once, in KiB.
const LED_KIB: usize = 256 << 10;

/// Proposes changes: as the leader, or through the leader.
#[derive(Clone)]
pub(crate) struct Proposer {
    raft: Raft,
    standing: Standing,
    peers: Arc<Peers>,
    disk: DiskSpace,
    clock: LeaderClock,
    counters: Arc<Counters>,
    limits: Limits,
    /// Proposals of this node that are under way.
    own: Arc<Semaphore>,
    /// Proposals of all nodes that are in the hands of this leader.
    led: Arc<Semaphore>,
    /// KiB of them.
    led_kib: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// What a proposer needs of the node it runs on.
pub(crate) struct Host {
    pub(crate) disk: DiskSpace,
    pub(crate) clock: LeaderClock,
    pub(crate) counters: Arc<Counters>,
}

/// See [`Tuning`](crate::Tuning).
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) change_bytes: usize,
    pub(crate) in_flight: usize,
    /// A leader that was not heard of for so long is not asked.
    pub(crate) contact: Duration,
}

/// What the leader made of a proposal.
#[derive(Debug)]
pub(crate) enum Led {
    /// It was applied; where and with what outcome.
    Applied(LogIndex, Outcome),
    /// It did not enter the log: this node does not lead.
    NotLeader,
    /// It did not enter the log.
    Refused(NotApplied),
    /// It may be in the log.
    Unknown,
}

impl Proposer {
    pub(crate) fn new(
        raft: Raft,
        standing: Standing,
        peers: Arc<Peers>,
        host: Host,
        limits: Limits,
        stopping: CancellationToken,
    ) -> Self {
        let Host { disk, clock, counters } = host;
        // Each node may have its share in the leader's hands, whatever the others do.
        let (own, led) = (limits.in_flight, limits.in_flight.saturating_mul(3).min(Semaphore::MAX_PERMITS));
        let [own, led, led_kib] = [own, led, LED_KIB].map(|permits| Arc::new(Semaphore::new(permits)));
        Self { raft, standing, peers, disk, clock, counters, limits, own, led, led_kib, stopping }
    }

    /// Proposes a change and waits for its outcome, through as many leaders as it takes.
    ///
    /// Asking the next leader is safe even if the last one may have put it into its log: the state machine knows
    /// the id, and answers a repetition with the first outcome.
    pub(crate) async fn propose(
        &self,
        id: ChangeId,
        change: &Change,
        deadline: Instant,
    ) -> Result<Proposed, ProposeError> {
        let change = Bytes::from(change.to_bytes());
        if change.len() > self.limits.change_bytes {
            self.counters.proposals_refused.increment();
            return Err(NotApplied::TooLarge.into());
        }
        let result = match self.own.try_acquire() {
            Ok(_permit) => self.propose_bytes(id, change, deadline).await,
            Err(_) => Err(NotApplied::Overloaded.into()),
        };
        if let Err(ProposeError::NotApplied(_)) = result {
            self.counters.proposals_refused.increment();
        }
        result
    }

    async fn propose_bytes(&self, id: ChangeId, change: Bytes, deadline: Instant) -> Result<Proposed, ProposeError> {
        let mut leading = self.standing.leading();
        let mut may_be_in_the_log = false;
        loop {
            let asked = *leading.borrow_and_update();
            let led = tokio::select! {
                biased;
                led = self.ask(asked, id, change.clone(), deadline) => led,
                () = other_leader(leading.clone(), asked) => Led::Unknown,
                () = self.stopping.cancelled() => return Err(ProposeError::Stopped),
            };
            match led {
                Led::Applied(index, outcome) => return Ok(Proposed { index, outcome }),
                Led::Refused(reason) if !may_be_in_the_log => return Err(reason.into()),
                Led::Refused(_) => return Err(ProposeError::OutcomeUnknown),
                Led::NotLeader => {}
                Led::Unknown => may_be_in_the_log = true,
            }
            let pause = deadline.min(Instant::now() + PAUSE);
            tokio::select! {
                _ = timeout_at(pause, leading.changed()) => {}
                () = self.stopping.cancelled(), if may_be_in_the_log => return Err(ProposeError::Stopped),
                () = self.stopping.cancelled(), if !may_be_in_the_log => return Err(NotApplied::Stopping.into()),
            }
            if Instant::now() >= deadline {
                return Err(match may_be_in_the_log {
                    true => ProposeError::OutcomeUnknown,
                    false => NotApplied::NoLeader.into(),
                });
            }
        }
    }

    /// One attempt with the leader that is known.
    async fn ask(&self, leading: Leading, id: ChangeId, change: Bytes, deadline: Instant) -> Led {
        match leading.leader {
            Some(leader) if leader == self.standing.me() => self.lead(id, change, deadline).await,
            Some(leader) if self.standing.has_heard_from(leader, self.limits.contact) => {
                self.forward(leader, id, change, deadline).await
            }
            _ => Led::NotLeader,
        }
    }

    /// Puts a change into the log of this node, if it leads, and waits until it is applied.
    pub(crate) async fn lead(&self, id: ChangeId, change: Bytes, deadline: Instant) -> Led {
        if self.stopping.is_cancelled() {
            return Led::Refused(NotApplied::Stopping);
        }
        if change.len() > self.limits.change_bytes {
            return Led::Refused(NotApplied::TooLarge);
        }
        if self.disk.is_full() {
            return Led::Refused(NotApplied::DiskFull);
        }
        let kib = u32::try_from(change.len() / 1024 + 1).unwrap_or(u32::MAX);
        let (Ok(_permit), Ok(_kib)) = (self.led.try_acquire(), self.led_kib.try_acquire_many(kib)) else {
            return Led::Refused(NotApplied::Overloaded);
        };
        let body = seal_change(self.clock.now(), id, change);
        match timeout_at(deadline, self.raft.client_write(body)).await {
            Ok(Ok(written)) => match written.data.0 {
                Some((index, outcome)) => {
                    self.counters.proposals_led.increment();
                    Led::Applied(index, outcome)
                }
                None => Led::Unknown, // not the answer to a change; openraft does not mix them up
            },
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => Led::NotLeader,
            Ok(Err(_)) | Err(_) => Led::Unknown,
        }
    }

    /// Hands a change to the leader, which hands it to nobody else.
    async fn forward(&self, leader: NodeId, id: ChangeId, change: Bytes, deadline: Instant) -> Led {
        let Some(peer) = self.standing.member(leader) else { return Led::NotLeader };
        let mut client = self.peers.member(leader, &peer).bulk.clone();
        let left = deadline.saturating_duration_since(Instant::now());
        let request = proto::ProposeRequest {
            id: Bytes::copy_from_slice(id.as_bytes()),
            change,
            timeout_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
        };
        self.counters.proposals_forwarded.increment();
        match timeout_at(deadline, client.propose(request)).await {
            Ok(Ok(response)) => led_elsewhere(response.into_inner()),
            Ok(Err(status)) if never_arrived(&status) => Led::NotLeader,
            Ok(Err(_)) | Err(_) => Led::Unknown,
        }
    }
}

/// The leader's answer to a forwarded proposal.
fn led_elsewhere(response: proto::ProposeResponse) -> Led {
    use proto::propose_response::Result as Sent;
    match response.result {
        Some(Sent::Proposed(proposed)) => match Outcome::from_bytes(&proposed.outcome) {
            Ok(outcome) => Led::Applied(LogIndex::new(proposed.index), outcome),
            Err(error) => {
                tracing::error!(%error, "the leader's answer does not decode");
                Led::Unknown
            }
        },
        Some(Sent::Refused(reason)) => match proto::Refused::try_from(reason) {
            Ok(proto::Refused::NotLeader) => Led::NotLeader,
            Ok(proto::Refused::Overloaded) => Led::Refused(NotApplied::Overloaded),
            Ok(proto::Refused::DiskFull) => Led::Refused(NotApplied::DiskFull),
            Ok(proto::Refused::TooLarge) => Led::Refused(NotApplied::TooLarge),
            // The leader stops, and another one will come.
            Ok(proto::Refused::Stopping) => Led::NotLeader,
            Ok(proto::Refused::Unspecified) | Err(_) => Led::Unknown,
        },
        Some(Sent::Unknown(_)) | None => Led::Unknown,
    }
}

impl From<NotApplied> for proto::Refused {
    fn from(reason: NotApplied) -> Self {
        match reason {
            NotApplied::NoLeader => Self::NotLeader,
            NotApplied::Overloaded => Self::Overloaded,
            NotApplied::DiskFull => Self::DiskFull,
            NotApplied::TooLarge => Self::TooLarge,
            NotApplied::Stopping => Self::Stopping,
        }
    }
}

/// Whether a failed call certainly did not reach the handler at the other end.
fn never_arrived(status: &tonic::Status) -> bool {
    if status.code() == tonic::Code::PermissionDenied {
        return true; // refused at the door
    }
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Resolves when a node leads that is not the one asked, or leads in another term.
async fn other_leader(mut leading: watch::Receiver<Leading>, asked: Leading) {
    let other = leading.wait_for(|now| now.leader.is_some() && *now != asked).await.is_ok();
    if !other {
        std::future::pending::<()>().await; // the replica stops, which whoever waits hears elsewhere
    }
}
