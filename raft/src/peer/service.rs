//! What this node answers its peers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use muster_control::{Change, ChangeId};
use openraft::raft::{AppendEntriesResponse, TransferLeaderRequest};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::access::Access;
use super::install::receive_snapshot;
use crate::convert::{AppendRequest, append_response};
use crate::disk::DiskSpace;
use crate::machine::SnapshotDir;
use crate::proposer::{Led, Proposer};
use crate::proto::{self, peer_server::Peer};
use crate::reads::ReadIndex;
use crate::standing::{Acquaintance, Standing};
use crate::types::{Raft, Vote};

/// Answers peers that may ask; see [`Access`].
pub(crate) struct PeerService {
    pub(crate) raft: Raft,
    pub(crate) access: Access,
    pub(crate) standing: Standing,
    pub(crate) proposer: Proposer,
    pub(crate) read_index: ReadIndex,
    pub(crate) snapshots: SnapshotDir,
    pub(crate) disk: DiskSpace,
    /// One snapshot at a time is received: two would be of the same leader, and the first is as good.
    pub(crate) receiving: Arc<Semaphore>,
}

type AnswerStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

fn undecodable(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

#[tonic::async_trait]
impl Peer for PeerService {
    async fn hello(&self, request: Request<proto::HelloRequest>) -> Result<Response<proto::HelloResponse>, Status> {
        let caller = self.access.acquaintance(&request)?;
        let initialized = self.raft.is_initialized().await.map_err(stopped)?;
        let (knows_members, your_store) = match self.standing.lookup(caller) {
            Acquaintance::NoMembers => (false, Bytes::new()),
            Acquaintance::Member(peer) => (true, Bytes::copy_from_slice(peer.store.as_bytes())),
            Acquaintance::Stranger => (true, Bytes::new()),
        };
        Ok(Response::new(proto::HelloResponse {
            store: Bytes::copy_from_slice(self.access.me.1.as_bytes()),
            initialized,
            configured: self.access.configured.iter().map(|node| node.get()).collect(),
            knows_members,
            your_store,
        }))
    }

    async fn vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteResponse>, Status> {
        self.access.member(&request)?;
        let response = self.raft.vote(request.into_inner().into()).await.map_err(stopped)?;
        Ok(Response::new((&response).into()))
    }

    async fn pre_vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteResponse>, Status> {
        self.access.member(&request)?;
        let response = self.raft.pre_vote(request.into_inner().into()).await.map_err(stopped)?;
        Ok(Response::new((&response).into()))
    }

    async fn heartbeat(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendResponse>, Status> {
        let caller = self.access.member(&request)?;
        let request = AppendRequest::try_from(request.into_inner()).map_err(undecodable)?;
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let response = self.raft.append_entries(request).await.map_err(stopped)?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            self.standing.heard_from(caller);
        }
        Ok(Response::new(append_response(response.into_stream_result(previous, last))))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferRequest>,
    ) -> Result<Response<proto::TransferResponse>, Status> {
        self.access.member(&request)?;
        let proto::TransferRequest { from, to, last } = request.into_inner();
        let vote: Vote = from.unwrap_or_default().into();
        let request = TransferLeaderRequest::new(vote, to, last.map(Into::into));
        let refused = match self.raft.handle_transfer_leader(request).await.map_err(stopped)? {
            Ok(()) => String::new(),
            Err(refusal) => refusal.to_string(),
        };
        Ok(Response::new(proto::TransferResponse { refused }))
    }

    async fn read_index(
        &self,
        request: Request<proto::ReadIndexRequest>,
    ) -> Result<Response<proto::ReadIndexResponse>, Status> {
        self.access.member(&request)?;
        match self.read_index.as_leader().await {
            Some(index) => Ok(Response::new(proto::ReadIndexResponse { index: index.get() })),
            None => Err(Status::failed_precondition("not a leader with a quorum")),
        }
    }

    type AppendStream = AnswerStream<proto::AppendResponse>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let caller = self.access.member(&request)?;
        let requests =
            tokio_stream::StreamExt::map_while(request.into_inner(), move |message| decode_append(caller, message));
        let standing = self.standing.clone();
        let answers = self.raft.stream_append(requests).map(move |answer| {
            let answer = answer.map_err(stopped)?;
            if answer.is_ok() {
                standing.heard_from(caller);
            }
            Ok(append_response(answer))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::SnapshotResponse>, Status> {
        let caller = self.access.member(&request)?;
        let Ok(_permit) = self.receiving.try_acquire() else {
            return Err(Status::unavailable("another snapshot is being received"));
        };
        if self.disk.is_full() {
            return Err(Status::unavailable("the disk is nearly full"));
        }
        let (vote, snapshot) = receive_snapshot(&self.snapshots, request.into_inner()).await.inspect_err(|status| {
            tracing::warn!(peer = %caller, %status, "a snapshot was not received");
        })?;
        let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(Response::new(proto::SnapshotResponse { vote: Some((&response.vote).into()) }))
    }

    async fn propose(
        &self,
        request: Request<proto::ProposeRequest>,
    ) -> Result<Response<proto::ProposeResponse>, Status> {
        self.access.member(&request)?;
        let proto::ProposeRequest { id, change, timeout_ms } = request.into_inner();
        let id = <[u8; 16]>::try_from(id.as_ref()).map_err(undecodable)?;
        // What this version does not understand must not enter the log: applying it would stop every node like this one.
        Change::from_bytes(&change).map_err(undecodable)?;
        let deadline = tokio::time::Instant::now() + Duration::from_millis(timeout_ms.into());
        let led = self.proposer.lead(ChangeId::new(id), change, deadline).await;
        Ok(Response::new(led.into()))
    }
}

/// A request as openraft takes it; `None` ends the session, and the leader begins another one.
fn decode_append(
    caller: muster_control::NodeId,
    message: Result<proto::AppendRequest, Status>,
) -> Option<AppendRequest> {
    let message = message.inspect_err(|status| tracing::debug!(peer = %caller, %status, "replication ended")).ok()?;
    AppendRequest::try_from(message)
        .inspect_err(|error| tracing::error!(peer = %caller, %error, "entries arrived damaged"))
        .ok()
}

impl From<Led> for proto::ProposeResponse {
    fn from(led: Led) -> Self {
        use proto::propose_response::Result as Sent;
        let result = match led {
            Led::Applied(index, outcome) => {
                Sent::Proposed(proto::Proposed { index: index.get(), outcome: outcome.to_bytes().into() })
            }
            Led::NotLeader => Sent::Refused(proto::Refused::NotLeader.into()),
            Led::Refused(reason) => Sent::Refused(proto::Refused::from(reason).into()),
            Led::Unknown => Sent::Unknown(proto::Unknown {}),
        };
        Self { result: Some(result) }
    }
}
