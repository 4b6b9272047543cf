use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream;
use muster_control::{Change, ChangeId, GroupName, Stamp};
use openraft::storage::RaftStateMachine;
use openraft::{Membership, RaftSnapshotBuilder};
use tempfile::TempDir;

use super::{Machine, Published, SnapshotDir, state_hash};
use crate::convert::seal_change;
use crate::error::StartError;
use crate::fatal::FatalSignal;
use crate::notices::Notice;
use crate::types::{ChangeBody, Entry, Payload, Peer, Snapshot, StoreId, log_id};

fn machine(directory: &Path) -> (Machine, Arc<Published>, FatalSignal) {
    let (snapshots, newest) = SnapshotDir::open(directory.to_owned()).expect("a sound directory");
    let published = Arc::new(Published::new(16, u64::MAX, Arc::default()));
    let fatal = FatalSignal::new();
    (Machine::open(snapshots, newest, Arc::clone(&published), fatal.clone()), published, fatal)
}

fn change(index: u64) -> Entry {
    let name = format!("group{index}").parse::<GroupName>().expect("a name");
    let id = ChangeId::new(u128::from(index).to_le_bytes());
    let body = seal_change(Stamp::from_millis(1000 * index), id, Change::CreateGroup(name).to_bytes().into());
    Entry { log_id: log_id(1, index), payload: Payload::Normal(body) }
}

fn membership(index: u64) -> Entry {
    let peer = |address: &str| Peer { address: address.to_owned(), store: StoreId::random() };
    let members = std::collections::BTreeMap::from([(1, peer("one:1")), (2, peer("two:2"))]);
    let membership = Membership::new(vec![[1, 2].into()], members).expect("sound");
    Entry { log_id: log_id(1, index), payload: Payload::Membership(membership) }
}

async fn apply(machine: &mut Machine, entries: impl IntoIterator<Item = Entry>) -> std::io::Result<()> {
    let entries: Vec<_> = entries.into_iter().map(|entry| Ok((entry, None))).collect();
    machine.apply(stream::iter(entries)).await
}

async fn build(machine: &mut Machine) -> Snapshot {
    machine.get_snapshot_builder().await.build_snapshot().await.expect("a snapshot")
}

fn hash(published: &Published) -> [u8; 32] {
    state_hash(&published.view().control)
}

fn snapshots_in(directory: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.path()).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|found| found == "snapshot")).collect();
    files.sort();
    files
}

fn flip_a_byte(path: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let middle = file.metadata().expect("a length").len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).expect("in the file");
    file.write_all_at(&[byte[0] ^ 1], middle).expect("in the file");
}

#[tokio::test]
async fn a_machine_restored_from_its_snapshot_is_the_same_to_the_last_byte() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut one, published, _) = machine(directory.path());
    apply(&mut one, [membership(0)].into_iter().chain((1..300).map(change))).await.expect("applied");
    let snapshot = build(&mut one).await;
    assert_eq!(snapshot.meta.last_log_id, Some(log_id(1, 299)));

    let (mut restored, again, _) = machine(directory.path());
    assert_eq!(hash(&published), hash(&again));
    assert_eq!(again.view().index, published.view().index);
    let states = (one.applied_state().await.expect("a state"), restored.applied_state().await.expect("a state"));
    assert_eq!(states.0, states.1);

    apply(&mut one, (300..310).map(change)).await.expect("applied");
    apply(&mut restored, (300..310).map(change)).await.expect("applied");
    assert_eq!(hash(&published), hash(&again));
}

#[tokio::test]
async fn a_snapshot_holds_nothing_newer_than_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut one, published, _) = machine(directory.path());
    apply(&mut one, (0..10).map(change)).await.expect("applied");
    let before = hash(&published);
    let mut builder = one.get_snapshot_builder().await;
    apply(&mut one, (10..20).map(change)).await.expect("applied");
    builder.build_snapshot().await.expect("a snapshot");

    let (_, restored, _) = machine(directory.path());
    assert_eq!((restored.view().index.get(), hash(&restored)), (9, before));
}

#[tokio::test]
async fn an_installed_snapshot_takes_the_place_of_the_state_and_says_so() {
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (mut leader, led, _) = machine(there.path());
    apply(&mut leader, (0..50).map(change)).await.expect("applied");
    let Snapshot { meta, snapshot } = build(&mut leader).await;

    let (mut follower, published, _) = machine(here.path());
    let mut notices = published.notices();
    let received = here.path().join("0.unfinished");
    fs::copy(snapshot.path(), &received).expect("a copy");
    let received = super::SnapshotFile::open(received).expect("a file");
    follower.install_snapshot(&meta, received).await.expect("installed");
    assert_eq!(hash(&published), hash(&led));
    assert!(matches!(notices.next().await, Some(Notice::Jumped)));
    assert_eq!(snapshots_in(&here).len(), 1);
    let current = follower.get_current_snapshot().await.expect("a directory").expect("a snapshot");
    assert_eq!(current.meta, meta);
}

#[tokio::test]
async fn a_snapshot_that_was_never_finished_is_ignored() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("7.unfinished"), b"half").expect("written");
    let (_, published, _) = machine(directory.path());
    assert_eq!(published.view().index.get(), 0);
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[tokio::test]
async fn an_older_snapshot_takes_the_place_of_a_damaged_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut one, _, _) = machine(directory.path());
    for first in [0, 100, 200] {
        apply(&mut one, (first..first + 100).map(change)).await.expect("applied");
        build(&mut one).await;
    }
    let files = snapshots_in(&directory);
    assert_eq!(files.len(), 2, "the newest and one more are kept");
    flip_a_byte(&files[1]);
    let (mut restored, published, _) = machine(directory.path());
    assert_eq!(published.view().index.get(), 199);
    let current = restored.get_current_snapshot().await.expect("a directory").expect("a snapshot");
    assert_eq!(current.meta.last_log_id, Some(log_id(1, 199)), "the damaged one is never sent to a follower");
}

#[tokio::test]
async fn a_node_without_any_valid_snapshot_does_not_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut one, _, _) = machine(directory.path());
    apply(&mut one, (0..100).map(change)).await.expect("applied");
    build(&mut one).await;
    flip_a_byte(&snapshots_in(&directory)[0]);
    let refused = SnapshotDir::open(directory.path().to_owned()).err();
    assert!(matches!(refused, Some(StartError::Damaged(_))), "{refused:?}");
}

#[tokio::test]
async fn any_cut_of_a_snapshot_is_noticed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut one, _, _) = machine(directory.path());
    apply(&mut one, (0..20).map(change)).await.expect("applied");
    let whole = fs::read(build(&mut one).await.snapshot.path()).expect("a file");
    let cut = tempfile::tempdir().expect("a directory");
    for length in 0..whole.len() {
        let path = cut.path().join("cut");
        fs::write(&path, &whole[..length]).expect("written");
        let file = super::SnapshotFile::open(path).expect("a file");
        assert!(super::snapshot_read::read_snapshot(&file).is_err(), "{length} of {} bytes", whole.len());
    }
}

#[tokio::test]
async fn an_unknown_change_stops_the_node_and_is_never_skipped() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut one, published, fatal) = machine(directory.path());
    // A variant that this version does not have, in the encoding of changes.
    let future: &'static [u8] = &[0x82, 0x19, 0x7f, 0xff, 0x80];
    let ChangeBody(bytes) = seal_change(Stamp::default(), ChangeId::new([9; 16]), future.into());
    let unknown = Entry { log_id: log_id(1, 1), payload: Payload::Normal(ChangeBody(bytes)) };
    assert!(apply(&mut one, [change(0), unknown, change(2)]).await.is_err());
    assert!(fatal.get().is_some());
    assert_eq!(one.applied_state().await.expect("a state").0, Some(log_id(1, 0)));
    assert_eq!(published.view().index.get(), 0);
}
