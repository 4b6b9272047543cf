//! What the rest of the node sees of the state machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;
use muster_control::{Control, LogIndex};
use tokio::sync::{Notify, broadcast, watch};

use crate::counters::Counters;
use crate::notices::{Notice, Notices};
use crate::types::{LogId, index_of};
use crate::view::View;

/// Written by the state machine alone, read by anyone without waiting.
pub(crate) struct Published {
    view: ArcSwap<View>,
    applied: watch::Sender<LogIndex>,
    notices: RwLock<Option<broadcast::Sender<Notice>>>,
    counters: Arc<Counters>,
    log_bytes: AtomicU64,
    snapshot_bytes: u64,
    snapshot_due: Notify,
    is_building: AtomicBool,
}

impl Published {
    /// Nothing applied yet. `snapshot_bytes`: how much log makes a snapshot due.
    pub(crate) fn new(notice_backlog: usize, snapshot_bytes: u64, counters: Arc<Counters>) -> Self {
        let view = View { index: LogIndex::default(), control: Arc::new(Control::default()) };
        Self {
            view: ArcSwap::from_pointee(view),
            applied: watch::Sender::new(LogIndex::default()),
            notices: RwLock::new(Some(broadcast::Sender::new(notice_backlog.max(1)))),
            counters,
            log_bytes: AtomicU64::new(0),
            snapshot_bytes,
            snapshot_due: Notify::new(),
            is_building: AtomicBool::new(false),
        }
    }

    /// The newest view.
    pub(crate) fn view(&self) -> View {
        View::clone(&self.view.load())
    }

    /// The index of the newest view, to wait for.
    pub(crate) fn applied(&self) -> watch::Receiver<LogIndex> {
        self.applied.subscribe()
    }

    /// Notices from now on.
    pub(crate) fn notices(&self) -> Notices {
        let receiver = match self.notices.read().expect("nothing panics under this lock").as_ref() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1, // closed, like those that were there before
        };
        Notices::new(receiver, Arc::clone(&self.counters))
    }

    /// No more notices.
    pub(crate) fn close(&self) {
        self.notices.write().expect("nothing panics under this lock").take();
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Shows a state, and only then tells what led to it.
    pub(super) fn publish(&self, applied: Option<&LogId>, control: &Control, notices: Vec<Notice>) {
        let index = index_of(applied);
        self.view.store(Arc::new(View { index, control: Arc::new(control.clone()) }));
        self.applied.send_replace(index);
        if let Some(sender) = self.notices.read().expect("nothing panics under this lock").as_ref() {
            for notice in notices {
                sender.send(notice).ok(); // nobody listens: nobody misses it
            }
        }
    }

    /// Counts log that a snapshot would make superfluous.
    pub(super) fn count_log(&self, bytes: u64) {
        let before = self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= self.snapshot_bytes && !self.is_building.load(Ordering::Relaxed) {
            self.snapshot_due.notify_one();
        }
    }

    /// Resolves when a snapshot is due.
    pub(crate) async fn snapshot_due(&self) {
        loop {
            self.snapshot_due.notified().await;
            // The call may be from before the last snapshot.
            if self.log_bytes.load(Ordering::Relaxed) >= self.snapshot_bytes {
                return;
            }
        }
    }

    /// The bytes of log up to now, and that a snapshot of it is being built.
    pub(super) fn begin_snapshot(&self) -> u64 {
        self.is_building.store(true, Ordering::Relaxed);
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// That a snapshot covers `bytes` of log, or that building it failed.
    pub(super) fn end_snapshot(&self, covered_bytes: u64) {
        // An install may have begun the count anew meanwhile.
        let rest = |bytes: u64| Some(bytes.saturating_sub(covered_bytes));
        self.log_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok();
        self.is_building.store(false, Ordering::Relaxed);
    }

    /// That the log before a snapshot from elsewhere counts no more.
    pub(super) fn restart_log_count(&self) {
        self.log_bytes.store(0, Ordering::Relaxed);
    }
}
