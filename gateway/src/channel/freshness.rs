//! Linearizable reads that strangers may cause: shared by all who wait, and never more than so many a second.

use std::time::Duration;

use muster_raft::{ReadError, Replica, View};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Least time between two reads.
const SPACING: Duration = Duration::from_millis(10);

/// Answers with views that are newer than the question.
pub(crate) struct Freshness {
    replica: Replica,
    /// The newest read and when it was begun. Whoever holds the lock reads for all that wait for it.
    newest: Mutex<Option<(Instant, View)>>,
}

impl Freshness {
    /// Reads through `replica`.
    pub(crate) fn new(replica: Replica) -> Self {
        Self { replica, newest: Mutex::new(None) }
    }

    /// A view that contains all that was committed anywhere before this call.
    ///
    /// # Errors
    /// Without a quorum.
    ///
    /// # Cancel safety
    /// A caller that gives up leaves its place to the next.
    pub(crate) async fn view(&self) -> Result<View, ReadError> {
        let asked = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some((begun, view)) = &*newest {
            if *begun >= asked {
                return Ok(view.clone());
            }
            sleep_until(*begun + SPACING).await;
        }
        let begun = Instant::now();
        let view = self.replica.read().await?;
        *newest = Some((begun, view.clone()));
        Ok(view)
    }
}
