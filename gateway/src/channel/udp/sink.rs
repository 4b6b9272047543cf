//! The desk's way to an agent that speaks over UDP: through the worker that has its route and its key.

use std::sync::Arc;

use muster_control::AgentId;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::channel::line::ORDER_BACKLOG;
use crate::session::{LineId, NotTaken, Outgoing, Sink};

/// What the desk wants for one line.
pub(super) struct LineOrder {
    pub(super) agent: AgentId,
    pub(super) line: LineId,
    pub(super) what: What,
}

/// A message, or the end.
pub(super) enum What {
    Send(Outgoing, OwnedSemaphorePermit),
    Close,
}

/// Hands orders to a worker. Its queue has no limit of its own, as a close must never be lost; each line's share has.
pub(super) struct DatagramSink {
    orders: UnboundedSender<LineOrder>,
    room: Arc<Semaphore>,
    agent: AgentId,
    line: LineId,
}

impl DatagramSink {
    pub(super) fn new(orders: UnboundedSender<LineOrder>, agent: AgentId, line: LineId) -> Self {
        Self { orders, room: Arc::new(Semaphore::new(ORDER_BACKLOG)), agent, line }
    }

    fn order(&self, what: What) -> Result<(), NotTaken> {
        let Self { agent, line, .. } = *self;
        self.orders.send(LineOrder { agent, line, what }).map_err(|_| NotTaken)
    }
}

impl Sink for DatagramSink {
    fn send(&self, outgoing: Outgoing) -> Result<(), NotTaken> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| NotTaken)?;
        self.order(What::Send(outgoing, room))
    }

    fn close(&self) {
        _ = self.order(What::Close); // a worker that has ended has closed all its lines
    }
}
