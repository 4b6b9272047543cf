//! One session of replication: requests go out while answers come in, in the same order.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use openraft::RPCTypes;
use openraft::base::BoxStream;
use openraft::errors::{NetworkError, RPCError, Timeout, Unreachable};

use super::client::Client;
use crate::convert::{AppendRequest, AppendResult, append_result};
use crate::proto;
use crate::types::TypeConfig;

pub(super) type RpcError = RPCError<TypeConfig>;

/// How long setting up a stream may take.
const SETUP: Duration = Duration::from_secs(2);
/// How long requests may stay without any answer. A partition may leave a connection open that carries nothing.
const SILENCE: Duration = Duration::from_secs(3);

/// Who talks to whom, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Way {
    pub(super) fn timeout(self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout { action, id: self.from, target: self.to, timeout }
    }
}

/// What a failed call means for openraft: whether to back off before the next.
pub(super) fn rpc_error(status: &tonic::Status) -> RpcError {
    use tonic::Code;
    match status.code() {
        // Not connected, refused as a stranger, or stopping: asking again at once is of no use.
        Code::Unavailable | Code::PermissionDenied | Code::Unimplemented => {
            RPCError::Unreachable(Unreachable::new(status))
        }
        _ => RPCError::Network(NetworkError::new(status)),
    }
}

/// Sends requests as they come and gives answers as they come.
pub(super) async fn append<S>(
    mut client: Client,
    way: Way,
    requests: S,
) -> Result<BoxStream<'static, Result<AppendResult, RpcError>>, RpcError>
where
    S: Stream<Item = AppendRequest> + Send + Unpin + 'static,
{
    // Nothing is connected before there is a request: openraft waits in this stream when it backs off, and a peer
    // that cannot be reached would be tried again and again without ever looking into it.
    let mut requests = requests.peekable();
    Pin::new(&mut requests).peek().await;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let requests = requests.map(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        proto::AppendRequest::from(&request)
    });
    let answers = match tokio::time::timeout(SETUP, client.append(requests)).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return Err(rpc_error(&status)),
        Err(_) => return Err(way.timeout(RPCTypes::AppendEntries, SETUP).into()),
    };
    let session = Session { answers, sent, received: 0, way };
    Ok(Box::pin(stream::unfold(Some(session), Session::step)))
}

struct Session {
    answers: tonic::Streaming<proto::AppendResponse>,
    sent: Arc<AtomicU64>,
    received: u64,
    way: Way,
}

impl Session {
    async fn step(session: Option<Self>) -> Option<(Result<AppendResult, RpcError>, Option<Self>)> {
        let mut session = session?;
        match session.next().await? {
            Ok(result) => {
                let goes_on = result.is_ok();
                Some((Ok(result), goes_on.then_some(session)))
            }
            Err(error) => Some((Err(error), None)),
        }
    }

    /// The next answer; `None` when the peer ended the session.
    async fn next(&mut self) -> Option<Result<AppendResult, RpcError>> {
        loop {
            let unanswered_since = self.sent.load(Ordering::Relaxed);
            match tokio::time::timeout(SILENCE, self.answers.message()).await {
                Ok(Ok(Some(response))) => {
                    self.received += 1;
                    let unknown = || NetworkError::from_string("an answer of an unknown kind").into();
                    return Some(append_result(response).ok_or_else(unknown));
                }
                Ok(Ok(None)) => return None,
                Ok(Err(status)) => return Some(Err(rpc_error(&status))),
                Err(_) if unanswered_since > self.received => {
                    return Some(Err(self.way.timeout(RPCTypes::AppendEntries, SILENCE).into()));
                }
                Err(_) => {} // nothing was asked: nothing is to be answered
            }
        }
    }
}
