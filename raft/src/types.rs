//! openraft's types with our parameters, named once. None of them leaves this crate.

use std::fmt;

use bytes::Bytes;
use muster_control::{LogIndex, Outcome};
use openraft::alias;
use openraft::vote::leader_id_std;

use crate::machine::{Machine, SnapshotFile};

openraft::declare_raft_types!(
    /// Standard Raft: one leader a term, so a log id is a term and an index.
    pub(crate) TypeConfig:
        D = ChangeBody,
        R = Answer,
        NodeId = u64,
        Node = Peer,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, Machine>;
pub(crate) type LogId = openraft::LogId<leader_id_std::CommittedLeaderId<u64>>;
pub(crate) type Vote = openraft::Vote<leader_id_std::LeaderId<u64, u64>>;
pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::EntryPayload<ChangeBody, u64, Peer>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = alias::SnapshotOf<TypeConfig, SnapshotFile>;

/// The log id of `index` in `term`.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(leader_id_std::CommittedLeaderId::new(term), index)
}

/// The term in which the entry was proposed.
pub(crate) fn term_of(log_id: &LogId) -> u64 {
    log_id.leader_id.term
}

/// The index as the rest of the program knows it; zero for none.
pub(crate) fn index_of(log_id: Option<&LogId>) -> LogIndex {
    LogIndex::new(log_id.map_or(0, |log_id| log_id.index))
}

/// A change as it lies in the log: a sealed envelope, made once by the leader that proposed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangeBody(pub(crate) Bytes);

impl fmt::Display for ChangeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "change of {} bytes", self.0.len())
    }
}

/// What applying an entry gives to its proposer: where the outcome came about, and the outcome; nothing for
/// entries without a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer(pub(crate) Option<(LogIndex, Outcome)>);

/// A member as the log knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// `host:port`.
    pub(crate) address: String,
    /// The disk with which it is a member.
    pub(crate) store: StoreId,
}

/// Names one disk of one node: 16 random bytes, made when the data directory is.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StoreId([u8; 16]);

impl StoreId {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From 16 bytes; `None` if there are not 16.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// From the hexadecimal form that [`StoreId`] displays as.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(|uuid| Self(uuid.into_bytes()))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
