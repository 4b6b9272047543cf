//! The end of a node: once raised, never taken back.

use std::fmt::Display;
use std::sync::Arc;

use tokio::sync::watch;

use crate::error::Fatal;

/// Where whatever fails for good says so, and whoever must stop listens.
#[derive(Clone, Debug)]
pub(crate) struct FatalSignal(Arc<watch::Sender<Option<Fatal>>>);

impl FatalSignal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Stops the node; the first cause stays.
    pub(crate) fn raise(&self, cause: impl Display) -> Fatal {
        let raised = Fatal(cause.to_string());
        let is_first = self.0.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert_with(|| raised.clone());
            is_first
        });
        if is_first {
            tracing::error!(cause = %raised, "this node stops for good");
        }
        raised
    }

    /// The cause, if there is one.
    pub(crate) fn get(&self) -> Option<Fatal> {
        self.0.borrow().clone()
    }

    /// Resolves once there is a cause.
    pub(crate) async fn raised(&self) -> Fatal {
        let mut receiver = self.0.subscribe();
        let cause = receiver.wait_for(Option::is_some).await.expect("the sender is part of self").clone();
        cause.expect("waited for it")
    }
}
