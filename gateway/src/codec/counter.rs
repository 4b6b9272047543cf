//! Message counters of a sender (3.7).

use std::sync::atomic::{AtomicU64, Ordering};

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

/// Counter of one sending process: grows with each message and never repeats a pair.
///
/// A manager seeds it with Unix seconds at its start, so that it grows over restarts and from node to node without
/// being stored; that needs less than 9997 messages a second on average. Receivers do not check by default.
#[derive(Debug)]
pub struct SenderCounter {
    first_global: u64,
    sent: AtomicU64,
}

impl SenderCounter {
    /// A counter whose first message is `first_global`:1.
    pub fn starting_at(first_global: u64) -> Self {
        Self { first_global: first_global.min(MAX_GLOBAL), sent: AtomicU64::new(0) }
    }

    /// Numbers for the next message.
    pub fn next(&self) -> Numbering {
        // Relaxed: uniqueness is all that is asked, and the one atomic gives it.
        let sent = self.sent.fetch_add(1, Ordering::Relaxed);
        Numbering {
            global: (self.first_global + sent / LOCAL_WRAP).min(MAX_GLOBAL),
            local: (sent % LOCAL_WRAP + 1) as u16,
            noise: rand::random(),
        }
    }
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
