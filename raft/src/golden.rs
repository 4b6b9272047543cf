//! Bytes of format 1 as they were first written: this version writes the same, and every later one reads them.
//!
//! The files in `golden/` are never changed. A new format adds files and keeps these decoding.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use muster_control::{Change, ChangeId, Control, Entry as ControlEntry, LogIndex, Stamp};

use crate::convert::{open_change, open_stored_entry, seal_change, stored_entry};
use crate::envelope::{self, Kind};
use crate::machine::{Restored, SnapshotFile, read_snapshot, state_hash, write_snapshot};
use crate::proto;
use crate::types::{Entry, LogId, Membership, Payload, Peer, StoreId, StoredMembership, Vote, log_id};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn golden(name: &str) -> Bytes {
    std::fs::read(path(name)).expect("a committed file").into()
}

fn membership() -> Membership {
    let peer = |address: &str, byte| Peer {
        address: address.to_owned(),
        store: StoreId::from_slice(&[byte; 16]).expect("16 bytes"),
    };
    let members =
        BTreeMap::from([(1, peer("one.example:7001", 1)), (2, peer("two.example:7002", 2)), (3, peer("c:3", 3))]);
    Membership::new(vec![[1, 2].into(), [1, 2, 3].into()], members).expect("sound")
}

fn entries() -> [(&'static str, Entry); 3] {
    let id = ChangeId::new(*b"0123456789abcdef");
    let body = seal_change(Stamp::from_millis(1_790_000_000_123), id, Bytes::from_static(b"a change, opaque here"));
    [
        ("entry-blank-1.bin", Entry { log_id: log_id(3, 7), payload: Payload::Blank }),
        ("entry-membership-1.bin", Entry { log_id: log_id(1, 0), payload: Payload::Membership(membership()) }),
        ("entry-change-1.bin", Entry { log_id: log_id(258, 65_539), payload: Payload::Normal(body) }),
    ]
}

#[test]
fn entries_of_format_1_are_read_and_written() {
    for (name, entry) in entries() {
        let bytes = golden(name);
        assert_eq!(open_stored_entry(entry.log_id.index, &bytes).as_ref(), Ok(&entry), "{name}");
        assert_eq!(stored_entry(&entry), bytes, "{name}");
    }
    let [.., (_, change)] = entries();
    let Payload::Normal(body) = change.payload else { panic!("the last is a change") };
    let (stamp, id, change) = open_change(&body).expect("sound");
    assert_eq!((stamp.as_millis(), id.as_bytes()), (1_790_000_000_123, b"0123456789abcdef"));
    assert_eq!(change, Bytes::from_static(b"a change, opaque here"));
}

#[test]
fn an_entry_is_bound_to_its_index() {
    let [(name, entry), ..] = entries();
    assert!(open_stored_entry(entry.log_id.index + 1, &golden(name)).is_err());
}

#[test]
fn votes_of_format_1_are_read_and_written() {
    let vote = Vote::new_committed(258, 3);
    let bytes = golden("vote-1.bin");
    let read: Vote = envelope::open_message::<proto::Vote>(Kind::Vote, &bytes).expect("sound").into();
    assert_eq!(read, vote);
    assert_eq!(envelope::seal_message(Kind::Vote, &proto::Vote::from(&vote)), bytes);
}

#[test]
fn log_ids_of_format_1_are_read_and_written() {
    let id = log_id(258, 65_539);
    let bytes = golden("log-id-1.bin");
    let read: LogId = envelope::open_message::<proto::LogId>(Kind::LogId, &bytes).expect("sound").into();
    assert_eq!(read, id);
    assert_eq!(envelope::seal_message(Kind::LogId, &proto::LogId::from(&id)), bytes);
}

#[test]
fn identities_of_format_1_are_read_and_written() {
    let identity = proto::Identity { cluster: "prod-eu_1".to_owned(), node: 2, store: vec![9; 16].into(), format: 1 };
    let bytes = golden("identity-1.bin");
    assert_eq!(envelope::open_message(Kind::Identity, &bytes), Ok(identity.clone()));
    assert_eq!(envelope::seal_message(Kind::Identity, &identity), bytes);
}

#[test]
fn snapshots_of_format_1_are_read() {
    let file = SnapshotFile::open(path("snapshot-1.bin")).expect("a committed file");
    let Restored { last, membership: stored, control } = read_snapshot(&file).expect("sound");
    assert_eq!(last, Some(log_id(258, 2)));
    assert_eq!(stored, StoredMembership::new(Some(log_id(1, 0)), membership()));
    assert_eq!(control.index(), LogIndex::new(2));
    assert!(control.group(&"web".parse().expect("a name")).is_some());
    assert!(control.group(&"database".parse().expect("a name")).is_some());
}

/// A state with something in it.
fn control() -> Control {
    let mut control = Control::default();
    for (index, name) in [(1, "web"), (2, "database")] {
        control.apply(&ControlEntry {
            index: LogIndex::new(index),
            stamp: Stamp::from_millis(1_790_000_000_000 + index),
            change_id: ChangeId::new([u8::try_from(index).expect("small"); 16]),
            fingerprint: 7,
            change: Change::CreateGroup(name.parse().expect("a name")),
        });
    }
    control
}

#[test]
fn a_written_snapshot_is_read_as_the_same_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a");
    let stored = StoredMembership::new(Some(log_id(1, 0)), membership());
    write_snapshot(&path, &control(), Some(&log_id(258, 2)), &stored).expect("written");
    let read = read_snapshot(&SnapshotFile::open(path).expect("a file")).expect("sound");
    assert_eq!(state_hash(&read.control), state_hash(&control()));
    assert_eq!((read.last, read.membership), (Some(log_id(258, 2)), stored));
}
