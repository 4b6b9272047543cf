//! The thread that writes events to the analysis side's socket.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::{Dropped, Order};
use crate::metrics::Metrics;

/// After so long a write looks up whether the node stops, and tries again.
const LOOK_UP: Duration = Duration::from_millis(250);

/// Pause between attempts to find somebody who listens.
const RETRY: Duration = Duration::from_secs(1);

/// Writes one datagram after the other.
pub(super) struct Writer {
    path: PathBuf,
    backlog: Arc<Backlog>,
    metrics: Metrics,
    socket: Option<UnixDatagram>,
    retry_at: Option<Instant>,
    /// Whether the log knows that nobody listens.
    is_absent: bool,
}

impl Writer {
    /// Will write to the socket at `path`.
    pub(super) fn new(path: PathBuf, backlog: Arc<Backlog>, metrics: Metrics) -> Self {
        Self { path, backlog, metrics, socket: None, retry_at: None, is_absent: false }
    }

    /// Writes until it is told to end, or nobody is left to tell.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(Order::Write(datagram)) = orders.recv() {
            match self.write(&datagram) {
                Ok(()) => _ = self.metrics.events_forwarded.inc(),
                Err(cause) => self.metrics.event_dropped(cause.label()),
            }
            self.backlog.leave(datagram.len());
        }
    }

    fn write(&mut self, datagram: &[u8]) -> Result<(), Dropped> {
        loop {
            if self.backlog.is_given_up() {
                return Err(Dropped::Stopped);
            }
            let error = match self.connected()?.send(datagram) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {} // slow, but there
                ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::NotConnected
                | ErrorKind::BrokenPipe => self.socket = None, // gone, maybe started anew
                _ => {
                    tracing::debug!(%error, bytes = datagram.len(), "an event was not taken");
                    return Err(Dropped::Failed);
                }
            }
        }
    }

    fn connected(&mut self) -> Result<&UnixDatagram, Dropped> {
        if self.socket.is_none() {
            let now = Instant::now();
            if self.retry_at.is_some_and(|at| now < at) {
                return Err(Dropped::Absent);
            }
            match connect(&self.path) {
                Ok(socket) => self.found(socket),
                Err(error) => {
                    self.retry_at = Some(now + RETRY);
                    self.missed(&error);
                }
            }
        }
        self.socket.as_ref().ok_or(Dropped::Absent)
    }

    fn found(&mut self, socket: UnixDatagram) {
        if std::mem::take(&mut self.is_absent) {
            tracing::info!(socket = %self.path.display(), "events are handed on again");
        }
        (self.socket, self.retry_at) = (Some(socket), None);
    }

    fn missed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_absent, true) {
            tracing::warn!(socket = %self.path.display(), %error, "nobody takes events; they are dropped and counted");
        }
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(LOOK_UP))?;
    Ok(socket)
}
