//! How many requests a node answers in a minute (REST contract, section 1.1).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::problem::Problem;

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(60);

/// A process-wide limit on requests.
///
/// A window starts with its first request and takes the limit plus one, as was observed of the reference.
#[derive(Debug)]
pub(crate) struct RateLimit {
    limit: u32,
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    requests: u32,
}

impl RateLimit {
    /// Takes `limit` requests a minute; zero takes all.
    pub(crate) const fn new(limit: u32) -> Self {
        Self { limit, window: Mutex::new(None) }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// When the window is used up.
    pub(crate) fn count(&self, now: Instant) -> Result<(), Problem> {
        if self.limit == 0 {
            return Ok(());
        }
        let mut window = self.window.lock().expect("nothing panics while it holds this lock");
        let window = match &mut *window {
            Some(window) if now.duration_since(window.start) < WINDOW => window,
            other => other.insert(Window { start: now, requests: 0 }),
        };
        if window.requests > self.limit {
            return Err(Problem::too_many(WINDOW.saturating_sub(now.duration_since(window.start))));
        }
        window.requests += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_starts_with_its_first_request_and_ends_after_a_minute() {
        let (limit, start) = (RateLimit::new(3), Instant::now());
        let passed = |now| (0..10).filter(|_| limit.count(now).is_ok()).count();
        assert_eq!(passed(start), 4);
        assert_eq!(passed(start + Duration::from_secs(59)), 0);
        assert_eq!(passed(start + WINDOW), 4);
    }

    #[test]
    fn zero_means_no_limit() {
        let limit = RateLimit::new(0);
        assert!((0..1000).all(|_| limit.count(Instant::now()).is_ok()));
    }
}
