//! What openraft sends, and how.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use muster_control::NodeId;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption, RaftNetworkFactory,
};
use openraft::raft::{SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse};
use openraft::{OptionalSend, RPCTypes};

use super::client::{PeerClient, Peers};
use super::install::send_snapshot;
use super::stream::{RpcError, Way, append, rpc_error};
use crate::convert::{AppendRequest, AppendResult, VoteRequest, VoteResponse, append_result};
use crate::counters::Counters;
use crate::machine::SnapshotFile;
use crate::proto;
use crate::types::{Peer, Snapshot, TypeConfig, Vote};

/// Makes connections to members.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Replication,
    Heartbeat,
}

/// One member, for one use.
pub(crate) struct Connection {
    client: Arc<PeerClient>,
    way: Way,
    used_for: Use,
    counters: Arc<Counters>,
}

impl Network {
    fn connection(&self, target: u64, node: &Peer, used_for: Use) -> Connection {
        let way = Way { from: self.peers.me().get(), to: target };
        let counters = Arc::clone(self.peers.counters());
        Connection { client: self.peers.member(NodeId::new(target), node), way, used_for, counters }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Connection {
        self.connection(target, node, Use::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Peer) -> Connection {
        self.connection(target, node, Use::Heartbeat)
    }
}

impl Connection {
    /// Runs one call within its time.
    async fn call<T>(
        &self,
        action: RPCTypes,
        limit: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, RpcError> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(rpc_error(&status)),
            Err(_) => Err(self.way.timeout(action, limit).into()),
        }
    }

    /// One heartbeat on the control connection, where no entry is ever in its way.
    async fn heartbeat(&self, request: AppendRequest, limit: Duration) -> Result<AppendResult, RpcError> {
        let mut client = self.client.control.clone();
        let message = proto::AppendRequest::from(&request);
        let response = self.call(RPCTypes::AppendEntries, limit, client.heartbeat(message)).await?;
        append_result(response)
            .ok_or_else(|| openraft::errors::NetworkError::from_string("an answer of an unknown kind").into())
    }
}

impl NetStreamAppend<TypeConfig> for Connection {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<AppendResult, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            match self.used_for {
                Use::Replication => append(self.client.log.clone(), self.way, input).await,
                Use::Heartbeat => {
                    let this = &*self;
                    let limit = option.soft_ttl();
                    let answers = input.then(move |request| this.heartbeat(request, limit));
                    let answers: BoxStream<'s, _> = Box::pin(answers);
                    Ok(answers)
                }
            }
        })
    }
}

impl NetVote<TypeConfig> for Connection {
    async fn vote(&mut self, request: VoteRequest, option: RPCOption) -> Result<VoteResponse, RpcError> {
        let mut client = self.client.control.clone();
        let message = proto::VoteRequest::from(&request);
        Ok(self.call(RPCTypes::Vote, option.soft_ttl(), client.vote(message)).await?.into())
    }

    async fn pre_vote(&mut self, request: VoteRequest, option: RPCOption) -> Result<VoteResponse, RpcError> {
        let mut client = self.client.control.clone();
        let message = proto::VoteRequest::from(&request);
        Ok(self.call(RPCTypes::Vote, option.soft_ttl(), client.pre_vote(message)).await?.into())
    }
}

impl NetTransferLeader<TypeConfig> for Connection {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let message = proto::TransferRequest {
            from: Some(request.from_leader().into()),
            to: *request.to_node_id(),
            last: request.last_log_id().map(Into::into),
        };
        let mut client = self.client.control.clone();
        let response = self.call(RPCTypes::TransferLeader, option.soft_ttl(), client.transfer_leader(message)).await?;
        if response.refused.is_empty() {
            Ok(Ok(()))
        } else {
            Err(RPCError::Network(openraft::errors::NetworkError::from_string(response.refused)))
        }
    }
}

impl NetSnapshot<TypeConfig> for Connection {
    type SnapshotData = SnapshotFile;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        // openraft's own limit is for one chunk; how long all of it takes depends on its size, so what is
        // limited is silence.
        let sending = send_snapshot(self.client.bulk.clone(), self.way, vote, snapshot.snapshot);
        tokio::select! {
            sent = sending => sent.inspect(|_| self.counters.snapshots_sent.increment()),
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }
}

impl NetBackoff<TypeConfig> for Connection {
    fn backoff(&self) -> Option<Backoff> {
        // Short at first: a peer that restarts is back within a second, and a follower that misses entries for
        // long makes the next failure worse.
        let delays = [50, 100, 200, 400].into_iter().chain(std::iter::repeat(500));
        Some(Backoff::new(delays.map(Duration::from_millis)))
    }
}
