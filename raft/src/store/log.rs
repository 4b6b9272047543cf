//! The log as openraft sees it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use futures_util::{Stream, TryStreamExt, stream};
use muster_control::LogIndex;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::check::{Found, check};
use super::db::Database;
use super::io::{Write, Writer};
use super::read::read_entries;
use super::tail::Tail;
use crate::counters::Counters;
use crate::envelope::{self, Kind};
use crate::fatal::FatalSignal;
use crate::proto;
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// About how much one message to a follower, and one step of applying, takes from the log.
const READ_BYTES: usize = 1 << 20;

/// Handle to the log; all handles are equal, and any may read.
#[derive(Clone)]
pub(crate) struct LogStore {
    database: Database,
    tail: Arc<Mutex<Tail>>,
    state: Arc<Mutex<State>>,
    writer: Arc<WriterThread>,
    fatal: FatalSignal,
}

/// The thread that writes, and the way to it.
///
/// The last handle that goes closes the log and waits for it: a thread that was left to close the database by itself
/// may do so while the process ends, and RocksDB aborts when it finds its own statics torn down.
struct WriterThread {
    writes: Sender<Write>,
    thread: Mutex<Option<JoinHandle<()>>>,
    database: Database,
    fatal: FatalSignal,
}

impl WriterThread {
    fn close(&self) {
        self.writes.send(Write::Stop).ok(); // the thread may have ended already
        let thread = self.thread.lock().expect("nothing panics under this lock").take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            self.fatal.raise("the thread that writes the log panicked");
        }
        self.database.close();
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.close();
    }
}

/// What there is one of, as of the last call; the disk may be a write behind.
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// Index of the first entry, or of the next one if there is none.
    first: u64,
    /// How often the end of the log was cut off.
    truncations: u64,
}

impl LogStore {
    /// Checks the log on the disk and starts its thread.
    ///
    /// # Errors
    /// When an entry is damaged or missing; see [`check`].
    pub(crate) fn open(
        database: Database,
        snapshot: Option<LogId>,
        tail_bytes: usize,
        counters: Arc<Counters>,
        fatal: FatalSignal,
    ) -> io::Result<Self> {
        let Found { vote, committed, purged, last } = check(&database, snapshot)?;
        let next = last.map_or(0, |last| last.index + 1);
        let first = purged.map_or(0, |purged| purged.index + 1);
        let tail = Arc::new(Mutex::new(Tail::new(next, tail_bytes)));
        let (writes, receiver) = mpsc::channel();
        let writer = Writer {
            database: database.clone(),
            tail: Arc::clone(&tail),
            counters,
            fatal: fatal.clone(),
            committed: None,
        };
        let thread = std::thread::Builder::new().name("muster-log".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self {
            writer: Arc::new(WriterThread {
                writes,
                thread: Mutex::new(Some(thread)),
                database: database.clone(),
                fatal: fatal.clone(),
            }),
            database,
            tail,
            state: Arc::new(Mutex::new(State { vote, committed, purged, last, first, truncations: 0 })),
            fatal,
        })
    }

    /// Whether nothing was ever written: no vote, no entry, nothing purged.
    pub(crate) fn is_pristine(&self) -> bool {
        let state = self.state();
        state.vote.is_none() && state.last.is_none()
    }

    /// Index of the last entry; zero if there is none.
    pub(crate) fn last_index(&self) -> LogIndex {
        LogIndex::new(self.state().last.map_or(0, |last| last.index))
    }

    /// Writes what was asked for, ends the thread and closes the database. Blocks.
    pub(crate) fn close(&self) {
        self.writer.close();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().expect("nothing panics under this lock")
    }

    fn write(&self, write: Write) -> io::Result<()> {
        self.writer.writes.send(write).map_err(|_| self.stopped())
    }

    async fn write_and_wait(&self, write: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Write) -> io::Result<()> {
        let (done, waiting) = oneshot::channel();
        self.write(write(done))?;
        waiting.await.map_err(|_| self.stopped())?
    }

    fn stopped(&self) -> io::Error {
        let cause = self.fatal.get().map_or_else(|| "the log is closed".to_owned(), |cause| cause.to_string());
        io::Error::other(cause)
    }

    /// The entries of a range that the log has: all of them, or the first ones up to about `limit_bytes`; none of these
    /// if the range begins with what was purged, since what is sent must follow what was sent before.
    async fn read(&self, range: Range<u64>, limit_bytes: Option<usize>) -> io::Result<Vec<Entry>> {
        loop {
            let truncations = self.state().truncations;
            match self.read_once(range.clone(), limit_bytes).await {
                // What looks like a hole was cut off while it was being read.
                Err(_) if self.state().truncations != truncations => {}
                read => return read,
            }
        }
    }

    async fn read_once(&self, range: Range<u64>, limit_bytes: Option<usize>) -> io::Result<Vec<Entry>> {
        let limit = limit_bytes.unwrap_or(usize::MAX);
        let is_purged = || limit_bytes.is_some() && range.start < self.state().first;
        if is_purged() {
            return Ok(Vec::new());
        }
        let start = range.start.max(self.state().first);
        let (on_disk, mut in_memory) = {
            let tail = self.tail();
            let range = start..range.end.min(tail.next());
            let on_disk = start..range.end.min(tail.first());
            let in_memory = if range.start < range.end { tail.read(range, limit) } else { Vec::new() };
            (on_disk, in_memory)
        };
        if on_disk.is_empty() {
            return Ok(in_memory);
        }
        let end = on_disk.end;
        let database = self.database.clone();
        // Off the runtime's threads: heartbeats go through them.
        let reading = tokio::task::spawn_blocking(move || read_entries(&database, on_disk, limit));
        let mut entries = reading.await.map_err(io::Error::other)??;
        if is_purged() {
            return Ok(Vec::new());
        }
        self.check_start(start, &entries)?;
        let complete = entries.last().is_some_and(|last| last.log_id.index + 1 == end);
        if complete && limit_bytes.is_none() {
            entries.append(&mut in_memory);
        } else if !complete && limit_bytes.is_none() {
            return Err(missing(entries.last().map_or(start, |last| last.log_id.index + 1)));
        }
        Ok(entries)
    }

    /// The first entry must be the one asked for, unless it was purged meanwhile.
    fn check_start(&self, start: u64, entries: &[Entry]) -> io::Result<()> {
        let found = entries.first().map(|first| first.log_id.index);
        let first = self.state().first;
        if found == Some(start) || start < first { Ok(()) } else { Err(missing(start)) }
    }
}

fn missing(index: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the log is damaged: entry {index} is missing"))
}

fn to_range(bounds: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match bounds.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match bounds.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.read(to_range(&range), None).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, Some(READ_BYTES)).await
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let store = self.clone();
        let chunks = stream::try_unfold(to_range(&range), move |range| {
            let store = store.clone();
            async move {
                if range.is_empty() {
                    return Ok::<_, io::Error>(None);
                }
                let entries = store.read(range.clone(), Some(READ_BYTES)).await?;
                let next = entries.last().map_or(range.end, |last| last.log_id.index + 1);
                Ok(Some((stream::iter(entries.into_iter().map(Ok)), next..range.end)))
            }
        });
        Box::pin(chunks.try_flatten())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.state().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.state();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let sealed = envelope::seal_message(Kind::Vote, &proto::Vote::from(vote));
        self.write_and_wait(|done| Write::Vote { sealed, done }).await?;
        self.state().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let last = {
            let mut state = self.state();
            state.committed = committed;
            state.last
        };
        match committed {
            // Written after the entry it names, so that a start may insist on finding that entry. What comes
            // from a snapshot that is yet to be installed stays in memory: the snapshot will say it.
            Some(id) if committed <= last => {
                self.write(Write::Committed { sealed: envelope::seal_message(Kind::LogId, &proto::LogId::from(&id)) })
            }
            _ => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.state().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        {
            let mut state = self.state();
            let mut tail = self.tail();
            if let (None, Some(first)) = (state.last, entries.first()) {
                // Real logs begin at 0, and the check at the next start insists on it; openraft's suite of the
                // storage contract begins them anywhere.
                state.first = first.log_id.index;
                tail.begin_at(first.log_id.index);
            }
            for entry in &entries {
                tail.append(entry.clone())?;
            }
        }
        let Some(last) = entries.last().map(|entry| entry.log_id) else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        self.state().last = Some(last);
        self.write(Write::Append { entries, flushed: callback })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |last| last.index + 1);
        let to = {
            let mut state = self.state();
            let mut tail = self.tail();
            let end = tail.next();
            if from >= end {
                return Ok(());
            }
            tail.truncate(from);
            state.last = last_log_id.max(state.purged);
            state.truncations += 1;
            end
        };
        self.write_and_wait(|done| Write::Truncate { from, to, done }).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let from = {
            let mut state = self.state();
            if Some(log_id) <= state.purged {
                return Ok(());
            }
            let from = state.first;
            state.first = log_id.index + 1;
            state.purged = Some(log_id);
            state.last = state.last.max(Some(log_id));
            from
        };
        self.tail().purge(log_id.index);
        let sealed = envelope::seal_message(Kind::LogId, &proto::LogId::from(&log_id));
        self.write(Write::Purge { sealed, from, to: log_id.index + 1 })
    }
}
