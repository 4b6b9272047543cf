//! What this node does by itself as time goes by.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_control::{Change, ChangeId};
use openraft::async_runtime::WatchReceiver;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::LeaderClock;
use crate::disk::DiskSpace;
use crate::fatal::FatalSignal;
use crate::machine::Published;
use crate::proposer::Proposer;
use crate::standing::Standing;
use crate::types::Raft;

/// How late something that is due may be noticed, about.
const BEAT: Duration = Duration::from_millis(100);
const TICK_DEADLINE: Duration = Duration::from_secs(2);
/// Beats between looks at the disk.
const DISK_BEATS: u32 = 10;

/// Looks regularly whether the clock of the state machine has something to do, whether there is room on the
/// disk, and whether the engine still runs.
pub(crate) struct Ticker {
    pub(crate) raft: Raft,
    pub(crate) standing: Standing,
    pub(crate) proposer: Proposer,
    pub(crate) clock: LeaderClock,
    pub(crate) published: Arc<Published>,
    pub(crate) disk: DiskSpace,
    pub(crate) fatal: FatalSignal,
}

impl Ticker {
    pub(crate) async fn run(self) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = 0_u32;
        loop {
            beats.tick().await;
            beat = beat.wrapping_add(1);
            if beat.is_multiple_of(DISK_BEATS)
                && let Err(error) = self.disk.look()
            {
                tracing::warn!(%error, "the file system does not tell its free space");
            }
            if let Err(cause) = &self.raft.metrics().borrow_watched().running_state {
                self.fatal.raise(format_args!("consensus: {cause}"));
                return;
            }
            self.tick().await;
        }
    }

    /// As the leader, lets the clock of the state machine pass what is due.
    async fn tick(&self) {
        if self.standing.leading().borrow().leader != Some(self.standing.me()) {
            return;
        }
        let view = self.published.view();
        let now = self.clock.now();
        if view.control.next_due().is_some_and(|due| due <= now) {
            let change = Bytes::from(Change::Tick.to_bytes());
            let led = self.proposer.lead(random_change_id(), change, Instant::now() + TICK_DEADLINE).await;
            tracing::debug!(?led, "clock moved"); // if it did not move, the next beat finds it due again
        }
    }
}

/// A fresh id for a change.
pub(crate) fn random_change_id() -> ChangeId {
    ChangeId::new(rand::random())
}
