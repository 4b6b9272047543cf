//! The one thread that writes the log.
//!
//! It takes whatever was asked for while the last write was under way, writes it as one batch in the order of
//! asking, syncs, and only then tells those who wait. Nobody waits for a batch to fill.

use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use openraft::storage::IOFlushed;
use rocksdb::WriteBatch;
use tokio::sync::oneshot;

use super::db::{Database, failed};
use super::keys::{self, LOG, META, entry_key};
use super::tail::Tail;
use crate::convert::stored_entry;
use crate::counters::Counters;
use crate::fatal::FatalSignal;
use crate::types::{Entry, TypeConfig};

/// A write, in the order in which openraft asks for it.
pub(crate) enum Write {
    /// Entries that follow the log.
    Append { entries: Vec<Entry>, flushed: IOFlushed<TypeConfig> },
    /// A sealed vote.
    Vote { sealed: Bytes, done: oneshot::Sender<io::Result<()>> },
    /// Drops entries from `from` to before `to`, the old end of the log.
    Truncate { from: u64, to: u64, done: oneshot::Sender<io::Result<()>> },
    /// Drops entries from `from` to before `to`, and notes the sealed log id of the last one.
    Purge { sealed: Bytes, from: u64, to: u64 },
    /// The newest committed log id, sealed: rides along with the next batch, never worth a sync of its own.
    Committed { sealed: Bytes },
    /// Writes what is left and ends.
    Stop,
}

/// A batch is written when it has grown to this size, even if more waits.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_WRITES: usize = 4096;

/// What the thread works with.
pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) tail: Arc<Mutex<Tail>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) fatal: FatalSignal,
    /// Waits for a batch to ride along with; starts as `None`.
    pub(crate) committed: Option<Bytes>,
}

/// What to do once a batch is on the disk.
enum Then {
    Appended { next: u64, flushed: IOFlushed<TypeConfig> },
    Truncated { next: u64, done: oneshot::Sender<io::Result<()>> },
    Done(oneshot::Sender<io::Result<()>>),
    Purged { from: u64, to: u64 },
}

impl Writer {
    /// Runs until told to stop, or until all who could ask are gone.
    pub(crate) fn run(mut self, writes: &Receiver<Write>) {
        while let Ok(first) = writes.recv() {
            let mut batch = WriteBatch::default();
            let mut thens = Vec::new();
            let mut stop = self.add(first, &mut batch, &mut thens);
            while !stop && batch.size_in_bytes() < BATCH_BYTES && thens.len() < BATCH_WRITES {
                let Ok(next) = writes.try_recv() else { break };
                stop = self.add(next, &mut batch, &mut thens);
            }
            if thens.is_empty() && !stop {
                continue;
            }
            self.add_committed(&mut batch);
            let result = self.write(batch);
            self.finish(thens, &result);
            if stop {
                return;
            }
        }
    }

    /// Adds a write to the batch; `true` if it is the last.
    fn add(&mut self, write: Write, batch: &mut WriteBatch, thens: &mut Vec<Then>) -> bool {
        let Ok(db) = self.database.get() else { return true };
        let log = db.cf_handle(LOG).expect("opened with it");
        let meta = db.cf_handle(META).expect("opened with it");
        match write {
            Write::Append { entries, flushed } => {
                let next = entries.last().map_or(0, |entry| entry.log_id.index + 1);
                for entry in &entries {
                    let stored = stored_entry(entry);
                    self.counters.bytes_appended.add(stored.len() as u64);
                    batch.put_cf(&log, entry_key(entry.log_id.index), stored);
                }
                self.counters.entries_appended.add(entries.len() as u64);
                thens.push(Then::Appended { next, flushed });
            }
            Write::Vote { sealed, done } => {
                batch.put_cf(&meta, keys::VOTE, sealed);
                self.counters.votes_saved.increment();
                thens.push(Then::Done(done));
            }
            Write::Truncate { from, to, done } => {
                // Point deletes: a truncated end is short, and range tombstones slow down reads.
                for index in from..to {
                    batch.delete_cf(&log, entry_key(index));
                }
                thens.push(Then::Truncated { next: from, done });
            }
            Write::Purge { sealed, from, to } => {
                batch.put_cf(&meta, keys::PURGED, sealed);
                if from < to {
                    batch.delete_range_cf(&log, entry_key(from), entry_key(to));
                }
                self.counters.entries_purged.add(to.saturating_sub(from));
                thens.push(Then::Purged { from, to });
            }
            Write::Committed { sealed } => self.committed = Some(sealed),
            Write::Stop => return true,
        }
        false
    }

    fn add_committed(&mut self, batch: &mut WriteBatch) {
        if let (Some(sealed), Ok(db)) = (self.committed.take(), self.database.get()) {
            batch.put_cf(&db.cf_handle(META).expect("opened with it"), keys::COMMITTED, sealed);
        }
    }

    /// Writes and syncs. After one failure nothing is ever written again: what a later sync would cover is unknown.
    fn write(&self, batch: WriteBatch) -> io::Result<()> {
        if let Some(cause) = self.fatal.get() {
            return Err(io::Error::other(cause.to_string()));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.sync(batch);
        self.counters.log_syncs.increment();
        self.counters.log_sync_micros.add(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        result.inspect_err(|error| {
            self.fatal.raise(error);
        })
    }

    fn sync(&self, batch: WriteBatch) -> io::Result<()> {
        fail::fail_point!("store::sync", |_| Err(io::Error::other("injected")));
        self.database.write_synced(batch)
    }

    /// Tells those who wait, in the order in which they asked.
    fn finish(&self, thens: Vec<Then>, result: &io::Result<()>) {
        let outcome = || match result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let tail = || self.tail.lock().expect("nothing panics under this lock");
        for then in thens {
            match then {
                Then::Appended { next, flushed } => {
                    if result.is_ok() {
                        tail().mark_durable(next);
                    }
                    flushed.io_completed(outcome());
                }
                Then::Truncated { next, done } => {
                    tail().mark_truncated(next);
                    done.send(outcome()).ok(); // nobody waits any more: the node stops
                }
                Then::Done(done) => {
                    done.send(outcome()).ok(); // as above
                }
                Then::Purged { from, to } => {
                    if result.is_ok()
                        && let Err(error) = self.drop_files(from, to)
                    {
                        // Only space is lost; compaction will find it.
                        tracing::warn!(%error, "files of purged entries stay for now");
                    }
                }
            }
        }
    }

    /// Deletes files that hold nothing but purged entries, without reading them.
    fn drop_files(&self, from: u64, to: u64) -> io::Result<()> {
        let db = self.database.get()?;
        let log = db.cf_handle(LOG).expect("opened with it");
        db.delete_file_in_range_cf(&log, entry_key(from), entry_key(to)).map_err(failed("delete old files"))
    }
}
