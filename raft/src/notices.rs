//! What happened in the state machine, for those who live from it.

use std::sync::Arc;

use muster_control::{Event, LogIndex};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::counters::Counters;

/// Something this node has applied. The view that contains it is published before the notice.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An entry was applied, and this is what it made happen. Entries without events give no notice.
    Applied {
        /// The entry.
        index: LogIndex,
        /// In the order in which they happened; never empty.
        events: Arc<[Event]>,
    },
    /// Notices were missed: a snapshot took the place of entries, or this reader was too slow.
    /// Whoever keeps something derived looks at [`Replica::view`](crate::Replica::view) afresh.
    Jumped,
}

/// Notices from the moment of subscription on, in the order of the log.
///
/// A reader subscribes first and takes a view then: notices up to the view's index may repeat what is in it,
/// and none after it is missed.
#[derive(Debug)]
pub struct Notices {
    receiver: broadcast::Receiver<Notice>,
    counters: Arc<Counters>,
}

impl Notices {
    pub(crate) fn new(receiver: broadcast::Receiver<Notice>, counters: Arc<Counters>) -> Self {
        Self { receiver, counters }
    }

    /// The next notice; `None` when the replica stopped.
    ///
    /// # Cancel safety
    /// No notice is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.receiver.recv().await {
            Ok(notice) => Some(notice),
            Err(RecvError::Lagged(missed)) => {
                self.counters.notices_missed.add(missed);
                Some(Notice::Jumped)
            }
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_lags_is_told_to_look_afresh() {
        let (sender, receiver) = broadcast::channel(1);
        let mut notices = Notices::new(receiver, Arc::default());
        for index in 1..=3 {
            let notice = Notice::Applied { index: LogIndex::new(index), events: Arc::new([]) };
            sender.send(notice).expect("the reader exists");
        }
        assert!(matches!(notices.next().await, Some(Notice::Jumped)));
        assert!(matches!(notices.next().await, Some(Notice::Applied { index, .. }) if index == LogIndex::new(3)));
        drop(sender);
        assert!(notices.next().await.is_none());
    }
}
