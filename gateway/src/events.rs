//! Events of agents on their way to the analysis side: a Unix datagram socket, or nowhere.
//!
//! Whoever hears an event never waits for the socket. What it does not take is dropped and counted, so that a slow
//! analysis side, or none, delays no control message.

mod backlog;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::time::{Instant, timeout_at};

use self::backlog::Backlog;
use self::writer::Writer;
use crate::codec::{Event, EventSource};
use crate::config::EventsConfig;
use crate::metrics::Metrics;

/// Why an event did not get to the analysis side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// No socket is configured.
    NoSink,
    /// A mark by which an agent shows that it lives.
    Mark,
    /// More wait already than may.
    Busy,
    /// Nobody listens on the socket.
    Absent,
    /// The socket took it not, for another reason.
    Failed,
    /// The node stopped before its turn came.
    Stopped,
}

impl Dropped {
    /// A word for a metric label, stable.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NoSink => "no_sink",
            Self::Mark => "mark",
            Self::Busy => "busy",
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Where the events of this node's agents go.
pub(crate) struct Events {
    sink: Option<Queue>,
    metrics: Metrics,
}

/// The way to the thread that writes.
struct Queue {
    backlog: Arc<Backlog>,
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread is to do.
enum Order {
    Write(Vec<u8>),
    End,
}

impl Events {
    /// Nothing is opened yet: the analysis side may come later than its agents.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(config: &EventsConfig, metrics: Metrics) -> io::Result<Self> {
        let sink = config.socket.clone().map(|socket| Queue::start(socket, config.backlog, metrics.clone()));
        Ok(Self { sink: sink.transpose()?, metrics })
    }

    /// Hands on what an agent reported, or drops it.
    pub(crate) fn offer(&self, source: &EventSource, event: &Event<'_>) {
        if let Err(cause) = self.queue(source, event) {
            self.metrics.event_dropped(cause.label());
        }
    }

    fn queue(&self, source: &EventSource, event: &Event<'_>) -> Result<(), Dropped> {
        let queue = self.sink.as_ref().ok_or(Dropped::NoSink)?;
        queue.push(event.to_datagram(source).ok_or(Dropped::Mark)?)
    }

    /// Writes what waits, as far as the socket takes it before `deadline`. Nothing is to be offered any more.
    pub(crate) async fn finish(&self, deadline: Instant) {
        let Some(queue) = &self.sink else { return };
        let Some(thread) = queue.thread.lock().expect("nothing panics under this lock").take() else { return };
        _ = queue.orders.send(Order::End); // if the thread is gone there is nothing to end
        let mut ended = tokio::task::spawn_blocking(move || thread.join().is_ok());
        let is_ended = match timeout_at(deadline, &mut ended).await {
            Ok(is_ended) => is_ended,
            Err(_) => {
                queue.backlog.give_up();
                ended.await // the thread looks up from a write after a moment
            }
        };
        if !matches!(is_ended, Ok(true)) {
            tracing::error!("the thread that hands events on failed");
        }
    }
}

impl Queue {
    fn start(socket: PathBuf, limit: usize, metrics: Metrics) -> io::Result<Self> {
        let backlog = Arc::new(Backlog::new(limit));
        let (orders, receiver) = mpsc::channel();
        let writer = Writer::new(socket, Arc::clone(&backlog), metrics);
        let thread =
            std::thread::Builder::new().name("muster-events".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self { backlog, orders, thread: Mutex::new(Some(thread)) })
    }

    fn push(&self, datagram: Vec<u8>) -> Result<(), Dropped> {
        let bytes = datagram.len();
        if !self.backlog.enter(bytes) {
            return Err(Dropped::Busy);
        }
        self.orders.send(Order::Write(datagram)).map_err(|_| {
            self.backlog.leave(bytes);
            Dropped::Failed
        })
    }
}

#[cfg(test)]
mod tests;
