//! When an agent was last heard, shared between its connection and the desk without a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Makes pulses that count from one common moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulses {
    origin: Instant,
}

/// Moment of the last valid message of one connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    origin: Instant,
    last_ms: AtomicU64,
}

impl Pulses {
    /// Counts from now.
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// A pulse that beats now.
    pub(crate) fn start(self) -> Arc<Pulse> {
        let pulse = Pulse { origin: self.origin, last_ms: AtomicU64::new(0) };
        pulse.beat();
        Arc::new(pulse)
    }
}

impl Pulse {
    /// A valid message came.
    pub(crate) fn beat(&self) {
        self.last_ms.store(self.millis(Instant::now()), Ordering::Relaxed);
    }

    /// How long ago the last one came.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        Duration::from_millis(self.millis(now).saturating_sub(self.last_ms.load(Ordering::Relaxed)))
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}
