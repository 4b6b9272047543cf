//! Message counters of a sender (3.7).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Last `LOCAL` before it starts at 1 again and `GLOBAL` takes the carry.
const LOCAL_WRAP: u64 = 9_997;

/// Largest `GLOBAL` that fits its ten digits.
const MAX_GLOBAL: u64 = 9_999_999_999;

/// The numbers every message carries in front of its payload.
///
/// Ordered as a receiver that checks for replays would: by `global`, then `local`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbering {
    /// Upper part of the sender's counter, ten digits.
    pub global: u64,
    /// Lower part, four digits, 1 to 9997 from senders that count.
    pub local: u16,
    /// Noise, five digits on the wire; of no meaning to the receiver.
    pub noise: u16,
}

/// Place of a message in the order of its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

impl Numbering {
    /// Its place among all messages of the sender.
    pub fn place(self) -> Place {
        Place(self.global * 10_000 + u64::from(self.local))
    }
}

impl Place {
    /// The bare number; places of messages in a row mostly differ by one.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Counter of one sending process: grows with each message and never repeats a pair.
///
/// A manager's counter follows the clock, with Unix seconds as `GLOBAL`, so that it grows over restarts and from node to
/// node without being stored; that needs clocks that agree, and less than 9997 messages a second on average. Receivers do
/// not check by default.
#[derive(Debug)]
pub struct SenderCounter {
    /// Messages from 0:1 to the next one.
    position: AtomicU64,
}

impl SenderCounter {
    /// A counter whose first message is `first_global`:1.
    pub fn starting_at(first_global: u64) -> Self {
        Self { position: AtomicU64::new(first_global.min(MAX_GLOBAL) * LOCAL_WRAP) }
    }

    /// A counter that begins at a time since the Unix epoch.
    pub fn at_time(now: Duration) -> Self {
        Self { position: AtomicU64::new(position(now)) }
    }

    /// Skips to a time since the Unix epoch, unless it is past that already.
    pub fn catch_up(&self, now: Duration) {
        self.position.fetch_max(position(now), Ordering::Relaxed);
    }

    /// Numbers for the next message.
    pub fn next(&self) -> Numbering {
        // Relaxed: uniqueness is all that is asked, and the one atomic gives it.
        let position = self.position.fetch_add(1, Ordering::Relaxed);
        Numbering {
            global: (position / LOCAL_WRAP).min(MAX_GLOBAL),
            local: (position % LOCAL_WRAP + 1) as u16,
            noise: rand::random(),
        }
    }
}

/// A second is one `GLOBAL`, so a `LOCAL` is about a tenth of a millisecond.
fn position(now: Duration) -> u64 {
    let (seconds, nanos) = (now.as_secs().min(MAX_GLOBAL), u64::from(now.subsec_nanos()));
    seconds * LOCAL_WRAP + nanos * LOCAL_WRAP / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_counts_to_9997_and_then_global_takes_over() {
        let counter = SenderCounter::starting_at(1_700_000_000);
        let all: Vec<(u64, u16)> = (0..20_000).map(|_| counter.next()).map(|n| (n.global, n.local)).collect();
        assert_eq!(all[0], (1_700_000_000, 1));
        assert_eq!(all[9_996], (1_700_000_000, 9_997));
        assert_eq!(all[9_997], (1_700_000_001, 1));
        assert!(all.is_sorted_by(|a, b| a < b), "each pair is greater than the one before");
    }

    #[test]
    fn a_sender_that_started_earlier_catches_up_with_one_that_started_later() {
        let at = |millis: u64| Duration::from_millis(1_700_000_000_000 + millis);
        let (earlier, later) = (SenderCounter::at_time(at(0)), SenderCounter::at_time(at(90_000)));
        let before = (0..50).map(|_| later.next()).last().unwrap();
        assert!(earlier.next() < before);
        earlier.catch_up(at(90_006));
        let next = earlier.next();
        assert!((next.global, next.local) > (before.global, before.local), "{before:?}, {next:?}");
        assert_eq!(next.global, 1_700_000_090);
        earlier.catch_up(at(0));
        assert!(earlier.next() > next, "it never goes back");
    }

    #[test]
    fn senders_on_many_threads_never_share_a_pair() {
        let counter = SenderCounter::starting_at(0);
        let mut all = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..3_000).map(|_| counter.next()).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        all.sort();
        all.dedup_by_key(|numbers| (numbers.global, numbers.local));
        assert_eq!(all.len(), 12_000);
    }
}
