//! What waits to be written to one connection. Frames go in whole; what of them went out is known to the byte.

use std::collections::VecDeque;
use std::io;

use tokio::time::Instant;

use crate::session::Ticket;

/// A socket that takes what it can at once.
pub(crate) trait TryWrite {
    /// Writes a part of `bytes`, or fails with [`io::ErrorKind::WouldBlock`].
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl TryWrite for tokio::net::TcpStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }
}

/// Frames on their way to a socket.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: VecDeque<u8>,
    /// Bytes written since the connection began.
    written: u64,
    /// Where the frames of deliveries begin, counted as `written` is, as long as that is not reached.
    deliveries: VecDeque<(u64, Ticket)>,
    /// Since when nothing could be written although something waits.
    stalled_since: Option<Instant>,
}

impl Outbox {
    /// Adds a frame.
    pub(crate) fn push(&mut self, frame: &[u8], ticket: Option<Ticket>) {
        let begin = self.written + self.bytes.len() as u64;
        self.deliveries.extend(ticket.map(|ticket| (begin, ticket)));
        self.bytes.extend(frame);
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Since when the socket takes nothing.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Writes as much as the socket takes now; returns how many deliveries began to go out.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn flush(&mut self, socket: &impl TryWrite) -> io::Result<usize> {
        let mut started = 0;
        while !self.bytes.is_empty() {
            match socket.try_write(self.bytes.as_slices().0) {
                Ok(count) => {
                    self.bytes.drain(..count);
                    self.written += count as u64;
                    self.stalled_since = None;
                    while self.deliveries.front().is_some_and(|(begin, _)| *begin < self.written) {
                        self.deliveries.pop_front();
                        started += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    return Ok(started);
                }
                Err(error) => return Err(error),
            }
        }
        // An idle connection holds no buffer.
        self.bytes = VecDeque::new();
        Ok(started)
    }

    /// The deliveries of which no byte was written.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = Ticket> {
        self.deliveries.iter().map(|(_, ticket)| *ticket)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use muster_control::{CommandId, Epoch};

    use super::*;

    /// Takes so many bytes and no more.
    #[derive(Default)]
    struct Socket {
        room: Cell<usize>,
        taken: RefCell<Vec<u8>>,
    }

    impl TryWrite for Socket {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room.get());
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room.set(self.room.get() - count);
            self.taken.borrow_mut().extend_from_slice(&bytes[..count]);
            Ok(count)
        }
    }

    fn ticket(command: u64) -> Ticket {
        Ticket { command: CommandId::new(command), epoch: Epoch::new(1) }
    }

    #[test]
    fn a_delivery_counts_as_written_from_its_first_byte() {
        let socket = Socket::default();
        let mut outbox = Outbox::default();
        outbox.push(b"ack", None);
        outbox.push(b"restart", Some(ticket(1)));
        outbox.push(b"reconnect", Some(ticket(2)));
        socket.room.set(3);
        assert_eq!(outbox.flush(&socket).unwrap(), 0);
        assert_eq!(outbox.unwritten().collect::<Vec<_>>(), [ticket(1), ticket(2)]);
        socket.room.set(1);
        assert_eq!(outbox.flush(&socket).unwrap(), 1);
        assert_eq!(outbox.unwritten().collect::<Vec<_>>(), [ticket(2)]);
        socket.room.set(100);
        assert_eq!(outbox.flush(&socket).unwrap(), 1);
        assert_eq!(outbox.unwritten().count(), 0);
        assert_eq!(*socket.taken.borrow(), b"ackrestartreconnect");
    }

    #[test]
    fn a_socket_that_takes_nothing_is_noticed_until_it_does() {
        let socket = Socket::default();
        let mut outbox = Outbox::default();
        assert!(outbox.flush(&socket).is_ok() && outbox.stalled_since().is_none());
        outbox.push(b"ack", None);
        outbox.flush(&socket).unwrap();
        assert!(outbox.stalled_since().is_some());
        socket.room.set(3);
        outbox.flush(&socket).unwrap();
        assert_eq!((outbox.len(), outbox.stalled_since()), (0, None));
    }
}
