//! The end of the log in memory.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use crate::convert::bytes_of;
use crate::types::Entry;

/// The last entries of the log. What is not yet on the disk is always here; beyond that, as much as fits.
pub(crate) struct Tail {
    /// Without holes, up to `next`.
    entries: VecDeque<Entry>,
    /// The index after the last entry of the log.
    next: u64,
    /// Entries below this index are on the disk.
    durable: u64,
    bytes: usize,
    capacity_bytes: usize,
}

impl Tail {
    /// Of a log whose entries below `next` are all on the disk.
    pub(crate) fn new(next: u64, capacity_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), next, durable: next, bytes: 0, capacity_bytes }
    }

    /// The index after the last entry of the log.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The first index that is in memory; `next` if none is.
    pub(crate) fn first(&self) -> u64 {
        self.next - self.entries.len() as u64
    }

    /// Lets an empty log begin at `index`.
    pub(crate) fn begin_at(&mut self, index: u64) {
        self.next = index;
        self.durable = index;
    }

    /// Takes the next entry of the log.
    ///
    /// # Errors
    /// When it is not the next: a hole, or an overlap that was not truncated before.
    pub(crate) fn append(&mut self, entry: Entry) -> io::Result<()> {
        if entry.log_id.index != self.next {
            let message = format!("entry {} does not follow the log, which ends before {}", entry.log_id, self.next);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.bytes += bytes_of(&entry);
        self.next += 1;
        self.entries.push_back(entry);
        Ok(())
    }

    /// Forgets entries from `next` on.
    pub(crate) fn truncate(&mut self, next: u64) {
        while self.first() < self.next && self.next > next {
            let entry = self.entries.pop_back().expect("first < next");
            self.bytes -= bytes_of(&entry);
            self.next -= 1;
        }
        self.next = self.next.min(next);
    }

    /// Forgets entries up to and including `purged`; the log may end there or even before.
    pub(crate) fn purge(&mut self, purged: u64) {
        while self.first() <= purged && !self.entries.is_empty() {
            self.pop_front();
        }
        if self.next <= purged {
            self.next = purged + 1;
            self.durable = self.next;
        }
    }

    /// Notes that entries below `durable` are on the disk, and makes room.
    pub(crate) fn mark_durable(&mut self, durable: u64) {
        self.durable = self.durable.max(durable);
        while self.bytes > self.capacity_bytes && self.first() < self.durable {
            self.pop_front();
        }
    }

    /// Notes that entries from `next` on are no longer on the disk.
    pub(crate) fn mark_truncated(&mut self, next: u64) {
        self.durable = self.durable.min(next);
    }

    /// The entries of a range that are in memory, the first ones up to about `limit_bytes` but at least one.
    pub(crate) fn read(&self, range: Range<u64>, limit_bytes: usize) -> Vec<Entry> {
        let first = self.first();
        let from = usize::try_from(range.start.max(first) - first).unwrap_or(usize::MAX);
        let to = usize::try_from(range.end.min(self.next).saturating_sub(first)).unwrap_or(usize::MAX);
        let mut read = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.iter().take(to).skip(from) {
            bytes += bytes_of(entry);
            if bytes > limit_bytes && !read.is_empty() {
                break;
            }
            read.push(entry.clone());
        }
        read
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= bytes_of(&entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Payload, log_id};

    fn blank(index: u64) -> Entry {
        Entry { log_id: log_id(1, index), payload: Payload::Blank }
    }

    fn tail_of(range: Range<u64>, capacity_bytes: usize) -> Tail {
        let mut tail = Tail::new(range.start, capacity_bytes);
        for index in range {
            tail.append(blank(index)).expect("in order");
        }
        tail
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn an_entry_that_does_not_follow_is_refused() {
        let mut tail = tail_of(3..5, 1000);
        assert!(tail.append(blank(6)).is_err());
        assert!(tail.append(blank(4)).is_err());
        assert!(tail.append(blank(5)).is_ok());
    }

    #[test]
    fn what_is_not_durable_is_kept_whatever_its_size() {
        let mut tail = tail_of(0..10, 0);
        assert_eq!(tail.first(), 0);
        tail.mark_durable(4);
        assert_eq!((tail.first(), tail.next()), (4, 10));
    }

    #[test]
    fn reads_give_at_least_one_entry_and_then_heed_the_limit() {
        let tail = tail_of(0..10, 1000);
        assert_eq!(indexes(&tail.read(2..9, 1)), [2]);
        assert_eq!(indexes(&tail.read(2..9, 3 * 64)), [2, 3, 4]);
        assert_eq!(indexes(&tail.read(8..20, usize::MAX)), [8, 9]);
        assert_eq!(indexes(&tail.read(20..30, usize::MAX)), [0u64; 0]);
    }

    #[test]
    fn a_truncated_tail_goes_on_from_there() {
        let mut tail = tail_of(0..10, 1000);
        tail.mark_durable(10);
        tail.truncate(6);
        tail.mark_truncated(6);
        assert_eq!((tail.first(), tail.next()), (0, 6));
        tail.append(blank(6)).expect("follows");
        assert_eq!(indexes(&tail.read(5..9, usize::MAX)), [5, 6]);
    }

    #[test]
    fn a_purge_beyond_the_end_moves_the_end() {
        let mut tail = tail_of(0..3, 1000);
        tail.purge(10);
        assert_eq!((tail.first(), tail.next()), (11, 11));
        tail.append(blank(11)).expect("follows");
    }
}
