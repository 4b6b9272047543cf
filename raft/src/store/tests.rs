use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{RaftLogReader, StorageError};
use tempfile::TempDir;

use super::db::Database;
use super::log::LogStore;
use crate::counters::Counters;
use crate::fatal::FatalSignal;
use crate::machine::{Machine, Published, SnapshotDir};
use crate::types::{Entry, Payload, TypeConfig, Vote, log_id};

/// Builds what openraft's own suite of the storage contract runs on.
struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().expect("a directory");
        let (snapshots, newest) = SnapshotDir::open(directory.path().to_owned()).expect("an empty directory");
        let published = Arc::new(Published::new(16, u64::MAX, Arc::default()));
        let machine = Machine::open(snapshots, newest, published, FatalSignal::new());
        let log = open(&directory.path().join("log")).expect("an empty log");
        Ok((directory, log, machine))
    }
}

#[tokio::test]
async fn the_storage_contract_of_openraft_holds() {
    Suite::test_all(Builder).await.expect("every case of the suite");
}

fn open(directory: &Path) -> io::Result<LogStore> {
    open_with(directory, Arc::default(), FatalSignal::new())
}

fn open_with(directory: &Path, counters: Arc<Counters>, fatal: FatalSignal) -> io::Result<LogStore> {
    open_with_tail(directory, 1 << 20, counters, fatal)
}

fn open_with_tail(
    directory: &Path,
    tail_bytes: usize,
    counters: Arc<Counters>,
    fatal: FatalSignal,
) -> io::Result<LogStore> {
    let database = Database::open(directory).map_err(io::Error::other)?;
    LogStore::open(database, None, tail_bytes, counters, fatal)
}

fn blanks(indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes.map(|index| Entry { log_id: log_id(1, index), payload: Payload::Blank }).collect()
}

async fn indexes(log: &mut LogStore) -> Vec<u64> {
    let entries = log.try_get_log_entries(..).await.expect("a sound log");
    entries.iter().map(|entry| entry.log_id.index).collect()
}

/// What a `kill -9` at this moment would leave on the disk.
fn crash(log_directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    for entry in fs::read_dir(log_directory).expect("the log") {
        let entry = entry.expect("an entry");
        if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
        }
    }
    copy
}

fn newest_wal(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory).expect("the log").map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|found| found == "log")).max().expect("a write-ahead log")
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    let vote = Vote::new_committed(3, 2);
    log.save_vote(&vote).await.expect("saved");
    log.blocking_append(blanks(0..10)).await.expect("appended");

    let copy = crash(directory.path());
    let mut found = open(copy.path()).expect("a sound log");
    assert_eq!(found.read_vote().await.expect("a vote"), Some(vote));
    assert_eq!(indexes(&mut found).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_truncated_and_rewritten_tail_survives_a_crash() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    log.blocking_append(blanks(0..10)).await.expect("appended");
    log.truncate_after(Some(log_id(1, 5))).await.expect("truncated");
    let newer = Entry { log_id: log_id(2, 6), payload: Payload::Blank };
    log.blocking_append([newer]).await.expect("appended");

    let copy = crash(directory.path());
    let mut found = open(copy.path()).expect("a sound log");
    assert_eq!(indexes(&mut found).await, (0..7).collect::<Vec<_>>());
    let state = found.get_log_state().await.expect("a state");
    assert_eq!(state.last_log_id, Some(log_id(2, 6)));
}

#[tokio::test]
async fn a_torn_last_record_is_dropped_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    log.blocking_append(blanks(0..10)).await.expect("appended");
    log.blocking_append(blanks(10..11)).await.expect("appended");

    let copy = crash(directory.path());
    let wal = OpenOptions::new().write(true).open(newest_wal(copy.path())).expect("a write-ahead log");
    let length = wal.metadata().expect("a length").len();
    wal.set_len(length - 3).expect("cut");
    let mut found = open(copy.path()).expect("only the tail is torn");
    assert_eq!(indexes(&mut found).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_flipped_byte_before_the_tail_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    for index in 0..20 {
        log.blocking_append(blanks(index..index + 1)).await.expect("appended");
    }
    let copy = crash(directory.path());
    let mut wal = OpenOptions::new().read(true).write(true).open(newest_wal(copy.path())).expect("a write-ahead log");
    let middle = wal.metadata().expect("a length").len() / 2;
    let mut byte = [0];
    wal.seek(SeekFrom::Start(middle)).expect("in the file");
    wal.read_exact(&mut byte).expect("in the file");
    wal.seek(SeekFrom::Start(middle)).expect("in the file");
    wal.write_all(&[byte[0] ^ 0x40]).expect("in the file");
    drop(wal);
    assert!(open(copy.path()).is_err(), "acknowledged entries are gone, and nobody noticed");
}

#[tokio::test]
async fn a_log_that_lost_what_was_committed_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    log.blocking_append(blanks(0..10)).await.expect("appended");
    log.save_committed(Some(log_id(1, 9))).await.expect("taken");
    log.blocking_append(blanks(10..11)).await.expect("appended");
    log.truncate_after(Some(log_id(1, 4))).await.expect("truncated, which openraft never does to committed entries");
    log.close();

    let error = open(directory.path()).err().expect("refused").to_string();
    assert!(error.contains("1.9 was committed, but the log ends at 1.4"), "{error}");
}

#[tokio::test]
async fn purged_entries_stay_away_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    log.blocking_append(blanks(0..100)).await.expect("appended");
    log.purge(log_id(1, 49)).await.expect("purged");
    log.close();

    let database = Database::open(directory.path()).expect("closed before");
    let snapshot = Some(log_id(1, 60));
    let mut found =
        LogStore::open(database, snapshot, 1 << 20, Arc::default(), FatalSignal::new()).expect("a sound log");
    assert_eq!(indexes(&mut found).await, (50..100).collect::<Vec<_>>());
    assert_eq!(found.get_log_state().await.expect("a state").last_purged_log_id, Some(log_id(1, 49)));
}

#[tokio::test]
async fn entries_purged_without_a_snapshot_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    log.blocking_append(blanks(0..100)).await.expect("appended");
    log.purge(log_id(1, 49)).await.expect("purged");
    log.close();
    let error = open(directory.path()).err().expect("refused").to_string();
    assert!(error.contains("no valid snapshot"), "{error}");
}

#[tokio::test]
async fn a_hole_is_never_appended() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    log.blocking_append(blanks(0..3)).await.expect("appended");
    assert!(log.blocking_append(blanks(4..5)).await.is_err());
    assert_eq!(indexes(&mut log).await, [0, 1, 2]);
}

#[tokio::test]
async fn reads_for_followers_are_bounded_in_bytes_and_go_on_from_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    let body = crate::convert::seal_change(
        muster_control::Stamp::default(),
        muster_control::ChangeId::new([1; 16]),
        vec![7; 300 << 10].into(),
    );
    let large = |index| Entry { log_id: log_id(1, index), payload: Payload::Normal(body.clone()) };
    // Ten times the memory for the tail: most are read from the disk.
    log.blocking_append((0..32).map(large)).await.expect("appended");
    let mut next = 0;
    while next < 32 {
        let entries = log.limited_get_log_entries(next, 32).await.expect("a sound log");
        assert!((1..=3).contains(&entries.len()), "{} entries", entries.len());
        assert_eq!(entries[0], large(next));
        next = entries[entries.len() - 1].log_id.index + 1;
    }
    assert_eq!(indexes(&mut log).await.len(), 32);
}

#[tokio::test]
async fn a_follower_is_never_sent_entries_behind_a_gap() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = open(directory.path()).expect("an empty log");
    log.blocking_append(blanks(0..10)).await.expect("appended");
    log.purge(log_id(1, 4)).await.expect("purged");
    assert!(log.limited_get_log_entries(3, 10).await.expect("a sound log").is_empty());
    assert_eq!(log.limited_get_log_entries(5, 10).await.expect("a sound log").len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_cut_off_while_it_is_read_is_no_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    // Without a tail in memory, all is read from the disk.
    let mut log = open_with_tail(directory.path(), 0, Arc::default(), FatalSignal::new()).expect("an empty log");
    log.blocking_append(blanks(0..100)).await.expect("appended");
    let mut reader = log.clone();
    let reading = tokio::spawn(async move {
        for _ in 0..300 {
            reader.limited_get_log_entries(50, 100).await.expect("a sound log");
            reader.try_get_log_entries(..).await.expect("a sound log");
        }
    });
    while !reading.is_finished() {
        log.truncate_after(Some(log_id(1, 39))).await.expect("truncated");
        log.blocking_append(blanks(40..100)).await.expect("appended");
    }
    reading.await.expect("every read succeeds");
}

#[tokio::test]
async fn writes_that_come_together_are_synced_together() {
    let directory = tempfile::tempdir().expect("a directory");
    let counters = Arc::<Counters>::default();
    let mut log = open_with(directory.path(), Arc::clone(&counters), FatalSignal::new()).expect("an empty log");
    for index in 0..500 {
        let flushed = openraft::storage::IOFlushed::noop();
        log.append(blanks(index..index + 1), flushed).await.expect("taken");
    }
    log.blocking_append(blanks(500..501)).await.expect("appended");
    assert_eq!(counters.entries_appended.get(), 501);
    assert!(counters.log_syncs.get() < 250, "{} syncs", counters.log_syncs.get());
}

#[tokio::test]
async fn after_a_failure_nothing_is_reported_as_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let fatal = FatalSignal::new();
    let mut log = open_with(directory.path(), Arc::default(), fatal.clone()).expect("an empty log");
    log.blocking_append(blanks(0..1)).await.expect("appended");
    fatal.raise("the disk failed");
    assert!(log.blocking_append(blanks(1..2)).await.is_err());
    assert!(log.save_vote(&Vote::new(9, 1)).await.is_err());
    assert_ne!(log.read_vote().await.expect("a state"), Some(Vote::new(9, 1)));
}
