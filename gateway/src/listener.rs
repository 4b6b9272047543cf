//! The accept loop that both servers share.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept: the usual reason, no free file descriptor, does not go away by asking again at once.
const PAUSE: Duration = Duration::from_millis(20);

/// Connections the kernel may keep ready; it cuts this to its own limit. When thousands of agents come back at once,
/// each one beyond it waits a second for its next try.
const BACKLOG: u32 = 16_384;

/// A listening socket with a limit on what it admits.
pub(crate) struct Listener {
    socket: TcpListener,
    admitted: Arc<Semaphore>,
}

impl Listener {
    /// Starts to listen; port 0 takes any free one.
    pub(crate) fn bind(address: SocketAddr, limit: usize) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?; // a node that restarts must not wait for connections that fade out
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        Ok(Self { socket, admitted: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Hands each connection to `serve` until `stop`; then the socket is closed at once.
    ///
    /// Beyond the limit connections are closed, never left waiting: to agents a silent port is worse than a closed one.
    pub(crate) async fn run(
        self,
        stop: CancellationToken,
        serve: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
        turned_away: impl Fn(),
    ) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match self.admitted.clone().try_acquire_owned() {
                    Ok(permit) => serve(stream, peer, permit),
                    Err(_) => turned_away(),
                },
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
