//! The desk's end of a connection.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::session::{NotTaken, Outgoing, Sink};

/// Messages that may wait to be sealed by the connection.
pub(crate) const ORDER_BACKLOG: usize = 16;

/// Hands messages to the task of a connection.
pub(crate) struct LineSink {
    orders: mpsc::Sender<Outgoing>,
    hang_up: CancellationToken,
}

impl LineSink {
    /// A sink for the connection that reads from the receiver and ends by the token.
    pub(crate) fn new(hang_up: CancellationToken) -> (Self, mpsc::Receiver<Outgoing>) {
        let (orders, receiver) = mpsc::channel(ORDER_BACKLOG);
        (Self { orders, hang_up }, receiver)
    }
}

impl Sink for LineSink {
    fn send(&self, outgoing: Outgoing) -> Result<(), NotTaken> {
        self.orders.try_send(outgoing).map_err(|_| NotTaken)
    }

    fn close(&self) {
        self.hang_up.cancel();
    }
}
