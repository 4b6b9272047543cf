//! Between openraft's types and ours: the only place where one becomes the other.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use muster_control::{ChangeId, Stamp};
use openraft::raft::StreamAppendError;

use crate::envelope::{self, EnvelopeError, Kind};
use crate::proto;
use crate::types::{
    ChangeBody, Entry, LogId, Membership, Payload, Peer, StoreId, StoredMembership, TypeConfig, Vote, log_id, term_of,
};

impl From<&LogId> for proto::LogId {
    fn from(id: &LogId) -> Self {
        Self { term: term_of(id), index: id.index }
    }
}

impl From<proto::LogId> for LogId {
    fn from(id: proto::LogId) -> Self {
        log_id(id.term, id.index)
    }
}

impl From<&Vote> for proto::Vote {
    fn from(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed }
    }
}

impl From<proto::Vote> for Vote {
    fn from(vote: proto::Vote) -> Self {
        if vote.committed { Self::new_committed(vote.term, vote.node) } else { Self::new(vote.term, vote.node) }
    }
}

impl From<&Membership> for proto::Membership {
    fn from(membership: &Membership) -> Self {
        let voter_set = |config: &BTreeSet<u64>| proto::VoterSet { nodes: config.iter().copied().collect() };
        let member = |(node, peer): (&u64, &Peer)| proto::Member {
            node: *node,
            address: peer.address.clone(),
            store: Bytes::copy_from_slice(peer.store.as_bytes()),
        };
        Self {
            configs: membership.get_joint_config().iter().map(voter_set).collect(),
            members: membership.nodes().map(member).collect(),
        }
    }
}

impl TryFrom<proto::Membership> for Membership {
    type Error = EnvelopeError;

    fn try_from(stored: proto::Membership) -> Result<Self, EnvelopeError> {
        let damaged = |reason: String| EnvelopeError::Payload { kind: Kind::Membership, reason };
        if stored.configs.is_empty() && stored.members.is_empty() {
            return Ok(Self::default());
        }
        let configs = stored.configs.into_iter().map(|set| set.nodes.into_iter().collect()).collect();
        let member = |member: proto::Member| {
            let store = StoreId::from_slice(&member.store)
                .ok_or_else(|| damaged(format!("the disk of node {} is not named by 16 bytes", member.node)))?;
            Ok((member.node, Peer { address: member.address, store }))
        };
        let members = stored.members.into_iter().map(member).collect::<Result<BTreeMap<_, _>, _>>()?;
        Self::new(configs, members).map_err(|error| damaged(error.to_string()))
    }
}

/// A membership with the entry that set it.
pub(crate) fn stored_membership(
    at: Option<proto::LogId>,
    membership: Option<proto::Membership>,
) -> Result<StoredMembership, EnvelopeError> {
    Ok(StoredMembership::new(at.map(LogId::from), membership.unwrap_or_default().try_into()?))
}

/// Seals a change, with the clock of this leader.
pub(crate) fn seal_change(stamp: Stamp, id: ChangeId, change: Bytes) -> ChangeBody {
    let message = proto::Change { stamp: stamp.as_millis(), id: Bytes::copy_from_slice(id.as_bytes()), change };
    ChangeBody(envelope::seal_message(Kind::Change, &message))
}

/// Opens what [`seal_change`] of this or an earlier version sealed; the change itself stays encoded.
pub(crate) fn open_change(body: &ChangeBody) -> Result<(Stamp, ChangeId, Bytes), EnvelopeError> {
    let message: proto::Change = envelope::open_message(Kind::Change, &body.0)?;
    let id = <[u8; 16]>::try_from(message.id.as_ref())
        .map_err(|_| EnvelopeError::Payload { kind: Kind::Change, reason: "the id is not 16 bytes".to_owned() })?;
    Ok((Stamp::from_millis(message.stamp), ChangeId::new(id), message.change))
}

/// The body of an entry: the envelope that goes to disk and to peers.
pub(crate) fn body_of(entry: &Entry) -> Bytes {
    match &entry.payload {
        Payload::Blank => envelope::seal(Kind::Blank, &[]),
        Payload::Normal(change) => change.0.clone(),
        Payload::Membership(membership) => {
            envelope::seal_message(Kind::Membership, &proto::Membership::from(membership))
        }
    }
}

/// The entry with this body. The checksum is verified; a change inside stays encoded.
pub(crate) fn entry_of(term: u64, index: u64, body: Bytes) -> Result<Entry, EnvelopeError> {
    let (kind, payload) = envelope::open(&body)?;
    let payload = match kind {
        Kind::Blank => Payload::Blank,
        Kind::Membership => Payload::Membership(envelope::decode::<proto::Membership>(kind, payload)?.try_into()?),
        Kind::Change => Payload::Normal(ChangeBody(body)),
        found => return Err(EnvelopeError::Unexpected { expected: Kind::Change, found }),
    };
    Ok(Entry { log_id: log_id(term, index), payload })
}

/// How much memory an entry takes in messages and in the cache, about.
pub(crate) fn bytes_of(entry: &Entry) -> usize {
    64 + match &entry.payload {
        Payload::Blank => 0,
        Payload::Normal(change) => change.0.len(),
        Payload::Membership(membership) => membership.nodes().map(|(_, peer)| 64 + peer.address.len()).sum(),
    }
}

/// Bytes before the body in a stored entry.
const RECORD_HEADER_BYTES: usize = 12;

/// Binds a body to its place: the same body at another index or term has another checksum.
fn record_checksum(term: u64, index: u64, body: &[u8]) -> u32 {
    let seal = body.last_chunk::<4>().copied().unwrap_or_default();
    let checksum = crc32c::crc32c(&term.to_le_bytes());
    let checksum = crc32c::crc32c_append(checksum, &index.to_le_bytes());
    crc32c::crc32c_append(checksum, &seal)
}

/// An entry as it is stored under its index: `term u64 | crc32c u32 | body`, little-endian, where the checksum
/// covers term, index and the checksum of the body.
pub(crate) fn stored_entry(entry: &Entry) -> Bytes {
    let body = body_of(entry);
    let (term, index) = (term_of(&entry.log_id), entry.log_id.index);
    let mut value = BytesMut::with_capacity(RECORD_HEADER_BYTES + body.len());
    value.put_u64_le(term);
    value.put_u32_le(record_checksum(term, index, &body));
    value.put_slice(&body);
    value.freeze()
}

/// Reads what [`stored_entry`] of this or an earlier version wrote.
pub(crate) fn open_stored_entry(index: u64, value: &Bytes) -> Result<Entry, EnvelopeError> {
    let Some(&[t0, t1, t2, t3, t4, t5, t6, t7, c0, c1, c2, c3]) = value.first_chunk::<RECORD_HEADER_BYTES>() else {
        return Err(EnvelopeError::Short(value.len()));
    };
    let term = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    let body = value.slice(RECORD_HEADER_BYTES..);
    if record_checksum(term, index, &body) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(EnvelopeError::Checksum);
    }
    entry_of(term, index, body)
}

/// An entry as it travels.
fn log_record(entry: &Entry) -> proto::LogRecord {
    proto::LogRecord { term: term_of(&entry.log_id), index: entry.log_id.index, body: body_of(entry) }
}

pub(crate) type AppendRequest = openraft::raft::AppendEntriesRequest<TypeConfig>;
pub(crate) type AppendResult = openraft::raft::StreamAppendResult<TypeConfig>;

impl From<&AppendRequest> for proto::AppendRequest {
    fn from(request: &AppendRequest) -> Self {
        Self {
            vote: Some((&request.vote).into()),
            previous: request.prev_log_id.as_ref().map(Into::into),
            entries: request.entries.iter().map(log_record).collect(),
            commit: request.leader_commit.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<proto::AppendRequest> for AppendRequest {
    type Error = EnvelopeError;

    fn try_from(message: proto::AppendRequest) -> Result<Self, EnvelopeError> {
        let entry = |record: proto::LogRecord| entry_of(record.term, record.index, record.body);
        Ok(Self {
            vote: message.vote.unwrap_or_default().into(),
            prev_log_id: message.previous.map(Into::into),
            entries: message.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
            leader_commit: message.commit.map(Into::into),
        })
    }
}

/// The answer to an append, as it travels.
pub(crate) fn append_response(result: AppendResult) -> proto::AppendResponse {
    use proto::append_response::Result as Sent;
    let result = match result {
        Ok(last) => Sent::Matched(proto::Matched { last: last.as_ref().map(Into::into) }),
        Err(StreamAppendError::Conflict(at)) => Sent::Conflict((&at).into()),
        Err(StreamAppendError::HigherVote(vote)) => Sent::HigherVote((&vote).into()),
    };
    proto::AppendResponse { result: Some(result) }
}

/// The answer to an append, as it arrived; `None` if it is of a kind this version does not know.
pub(crate) fn append_result(response: proto::AppendResponse) -> Option<AppendResult> {
    use proto::append_response::Result as Sent;
    Some(match response.result? {
        Sent::Matched(matched) => Ok(matched.last.map(Into::into)),
        Sent::Conflict(at) => Err(StreamAppendError::Conflict(at.into())),
        Sent::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote.into())),
    })
}

pub(crate) type VoteRequest = openraft::raft::VoteRequest<TypeConfig>;
pub(crate) type VoteResponse = openraft::raft::VoteResponse<TypeConfig>;

impl From<&VoteRequest> for proto::VoteRequest {
    fn from(request: &VoteRequest) -> Self {
        Self {
            vote: Some((&request.vote).into()),
            last: request.last_log_id.as_ref().map(Into::into),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

impl From<proto::VoteRequest> for VoteRequest {
    fn from(message: proto::VoteRequest) -> Self {
        let vote: Vote = message.vote.unwrap_or_default().into();
        let mut request = Self::new(vote, message.last.map(Into::into));
        request.leadership_transfer = message.leadership_transfer;
        request
    }
}

impl From<&VoteResponse> for proto::VoteResponse {
    fn from(response: &VoteResponse) -> Self {
        Self {
            vote: Some((&response.vote).into()),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(Into::into),
        }
    }
}

impl From<proto::VoteResponse> for VoteResponse {
    fn from(message: proto::VoteResponse) -> Self {
        let vote: Vote = message.vote.unwrap_or_default().into();
        Self::new(vote, message.last.map(Into::into), message.granted)
    }
}
