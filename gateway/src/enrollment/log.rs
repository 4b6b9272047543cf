//! What enrollment needs of the replica; a trait, so that tests can hold a proposal up on its way.

use std::future::Future;

use muster_control::{Change, ChangeId};
use muster_raft::{ProposeError, Proposed, ReadError, Replica, View};
use tokio::time::Instant;

/// The log, as one node reaches it. See the methods of [`Replica`].
pub(crate) trait Log: Clone + Send + Sync + 'static {
    /// Proposes a change under an id of the caller's choice.
    fn propose_as(
        &self,
        id: ChangeId,
        change: Change,
        deadline: Instant,
    ) -> impl Future<Output = Result<Proposed, ProposeError>> + Send;

    /// A view that contains every change that was answered before this call.
    fn read(&self) -> impl Future<Output = Result<View, ReadError>> + Send;

    /// What this node has applied.
    fn view(&self) -> View;
}

impl Log for Replica {
    async fn propose_as(&self, id: ChangeId, change: Change, deadline: Instant) -> Result<Proposed, ProposeError> {
        Self::propose_as(self, id, change, deadline).await
    }

    async fn read(&self) -> Result<View, ReadError> {
        Self::read(self).await
    }

    fn view(&self) -> View {
        Self::view(self)
    }
}
