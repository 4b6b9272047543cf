//! How many bytes wait to be written.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of the events that wait, bounded.
pub(super) struct Backlog {
    waiting: AtomicUsize,
    limit: usize,
    gave_up: AtomicBool,
}

impl Backlog {
    /// Nothing waits yet.
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: AtomicUsize::new(0), limit, gave_up: AtomicBool::new(false) }
    }

    /// Takes room for one more, if there is.
    pub(super) fn enter(&self, bytes: usize) -> bool {
        let more = |waiting: usize| waiting.checked_add(bytes).filter(|more| *more <= self.limit);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives its room back.
    pub(super) fn leave(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What waits is not written any more.
    pub(super) fn give_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }

    /// Whether what waits is not written any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }
}
