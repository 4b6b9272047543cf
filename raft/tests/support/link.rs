//! A link that can stall: connections stay open, and nothing moves on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to one address, unless it is stalled.
pub(crate) struct Link {
    address: SocketAddr,
    is_stalled: Arc<watch::Sender<bool>>,
    connections: Arc<AtomicUsize>,
}

impl Link {
    pub(crate) async fn towards(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let is_stalled = Arc::new(watch::Sender::new(false));
        let stalls = Arc::clone(&is_stalled);
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // A peer that does not run refuses: so does the link, by closing.
                let Ok(far) = TcpStream::connect(target).await else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                near.set_nodelay(true).expect("connected");
                far.set_nodelay(true).expect("connected");
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry(near_read, far_write, stalls.subscribe()));
                tokio::spawn(carry(far_read, near_write, stalls.subscribe()));
            }
        });
        Self { address, is_stalled, connections }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn stall(&self) {
        self.is_stalled.send_replace(true);
    }

    pub(crate) fn heal(&self) {
        self.is_stalled.send_replace(false);
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut is_stalled: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if is_stalled.wait_for(|is_stalled| !is_stalled).await.is_err() || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
