//! The lease of this node's sessions: renewed while it runs, given back when it stops.

use std::time::Duration;

use muster_control::{Change, ChangeId, Label, Outcome, Refusal, ReleaseLease, RenewLease};
use muster_raft::{ProposeError, Replica};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::NodeConfig;
use crate::failure::{Exit, Failure};

/// So often a lease is renewed within its life: three renewals may fail before sessions end.
const RENEWALS: u32 = 4;

/// How long giving it back is tried: a change of leader, and no more, since it lapses anyway.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);

/// A lease being renewed.
pub(super) struct Lease {
    replica: Replica,
    stop: CancellationToken,
    held: watch::Receiver<bool>,
    task: JoinHandle<Result<(), Failure>>,
}

impl Lease {
    /// Starts to renew; the first time at once.
    pub(super) fn start(replica: Replica, node: &NodeConfig) -> Self {
        let stop = CancellationToken::new();
        let (hold, held) = watch::channel(false);
        let renew = RenewLease {
            node: node.id,
            name: node.name.clone(),
            generation: replica.generation(),
            lease: node.session_lease.into(),
            address: Label::truncated(&node.address),
            version: Label::truncated(env!("CARGO_PKG_VERSION")),
        };
        let every = node.session_lease / RENEWALS;
        let task = tokio::spawn(renewing(replica.clone(), renew, every, hold, stop.clone()));
        Self { replica, stop, held, task }
    }

    /// Waits until it was renewed once.
    pub(super) fn held(&self) -> impl Future<Output = ()> + use<> {
        let mut held = self.held.clone();
        async move {
            // An error means that the task ended, which `lost` tells.
            let _ = held.wait_for(|held| *held).await;
        }
    }

    /// Resolves when the cluster refuses this node for good.
    pub(super) async fn lost(&mut self) -> Failure {
        match (&mut self.task).await {
            Ok(Err(failure)) => failure,
            Ok(Ok(())) => std::future::pending().await, // only after `release`, which nobody outruns
            Err(error) => Failure::new(Exit::Software, error),
        }
    }

    /// Gives it back, so that the sessions of this node end now and not when it lapses.
    pub(super) async fn release(self, deadline: Instant) {
        let deadline = deadline.min(Instant::now() + RELEASE_WITHIN);
        self.stop.cancel();
        let _ = self.task.await;
        let release = ReleaseLease { node: self.replica.node_id(), generation: self.replica.generation() };
        let id = ChangeId::new(rand::random());
        match self.replica.propose_as(id, Change::ReleaseLease(release), deadline).await {
            Ok(_) => tracing::info!("session lease released"),
            Err(error) => tracing::warn!(error = chain(error), "session lease not released: it lapses by itself"),
        }
    }
}

async fn renewing(
    replica: Replica,
    renew: RenewLease,
    every: Duration,
    hold: watch::Sender<bool>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        let renewed = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            renewed = async {
                ticks.tick().await;
                let id = ChangeId::new(rand::random());
                replica.propose_as(id, Change::RenewLease(renew.clone()), Instant::now() + every).await
            } => renewed,
        };
        match renewed {
            Ok(proposed) => {
                accepted(&proposed.outcome, &renew)?;
                if failing {
                    tracing::info!("session lease renewed again");
                }
                failing = false;
                hold.send_replace(true);
            }
            Err(error) if failing => tracing::debug!(error = chain(error), "session lease not renewed"),
            Err(error) => {
                failing = true;
                let error = chain(error);
                tracing::warn!(error, "session lease not renewed: sessions of this node end when it lapses");
            }
        }
    }
}

/// An error and what caused it, on one line.
fn chain(error: ProposeError) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

/// A refusal does not go away by asking again.
fn accepted(outcome: &Outcome, renew: &RenewLease) -> Result<(), Failure> {
    let refusal = match outcome {
        Outcome::Done => return Ok(()),
        Outcome::Refused(refusal) => *refusal,
        other => return Err(Failure::message(Exit::Software, format!("unexpected answer to a renewal: {other:?}"))),
    };
    Err(match refusal {
        Refusal::NodeNameTaken => {
            Failure::message(Exit::Usage, format!("node.name = {}: another node of the cluster has it", renew.name))
        }
        refusal => Failure::message(
            Exit::Data,
            format!("the cluster refuses generation {} of node {}: {refusal}", renew.generation, renew.node),
        ),
    })
}
