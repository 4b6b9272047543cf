//! Take-overs that one machine alone does not cause.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many of them ...
pub(super) const MANY: usize = 3;

/// ... within this time are no accident.
pub(super) const WITHIN: Duration = Duration::from_secs(300);

/// When they happened, the latest [`MANY`] of them.
#[derive(Debug, Default)]
pub(super) struct Contests(VecDeque<Instant>);

impl Contests {
    /// One more.
    pub(super) fn add(&mut self, now: Instant) {
        if self.0.len() == MANY {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// Whether they show that two machines use the key.
    pub(super) fn are_many(&self, now: Instant) -> bool {
        self.0.len() == MANY && self.0.front().is_some_and(|first| is_recent(*first, now))
    }

    /// Whether none of them matters any more.
    pub(super) fn is_empty(&self, now: Instant) -> bool {
        self.0.back().is_none_or(|last| !is_recent(*last, now))
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) <= WITHIN
}
