//! Accepts connections of peers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use muster_control::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::transport::server::Connected;

use super::certificate::node_in;
use super::tls::ServerTls;
use crate::config::ClusterId;
use crate::counters::Counters;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// So many that silent strangers do not keep members out.
const HANDSHAKES_MAX: usize = 1024;

/// Who is at the other end, as the certificate says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller(pub(crate) NodeId);

/// A connection whose other end proved who it is.
pub(crate) struct PeerStream {
    tls: TlsStream<TcpStream>,
    caller: Caller,
}

/// Connections of nodes of this cluster. Others are closed and counted. Ends when the stream is dropped.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: ServerTls,
    cluster: ClusterId,
    counters: Arc<Counters>,
    tasks: &TaskTracker,
) -> impl Stream<Item = io::Result<PeerStream>> + use<> {
    let (accepted, stream) = mpsc::channel(HANDSHAKES_MAX);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let acceptor = TlsAcceptor::from(tls.0);
    tasks.spawn(async move {
        loop {
            let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
            let tcp = tokio::select! {
                tcp = listener.accept() => tcp,
                () = accepted.closed() => return,
            };
            let (tcp, address) = match tcp {
                Ok(tcp) => tcp,
                Err(error) => {
                    // Out of file descriptors, most likely: leave time for some to be closed.
                    tracing::warn!(%error, "cannot accept a connection of a peer");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (acceptor, cluster, accepted) = (acceptor.clone(), cluster.clone(), accepted.clone());
            let counters = Arc::clone(&counters);
            tokio::spawn(async move {
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, shake_hands(tcp, acceptor, &cluster)).await {
                    Ok(Ok(stream)) => {
                        accepted.send(Ok(stream)).await.ok(); // the server stops: the connection closes
                    }
                    Ok(Err(error)) => {
                        counters.strangers_refused.increment();
                        tracing::warn!(%address, %error, "a connection to the port for peers is refused");
                    }
                    Err(_) => tracing::debug!(%address, "a connection to the port for peers did not begin"),
                }
                drop(permit);
            });
        }
    });
    ReceiverStream::new(stream)
}

async fn shake_hands(tcp: TcpStream, acceptor: TlsAcceptor, cluster: &ClusterId) -> io::Result<PeerStream> {
    tcp.set_nodelay(true)?;
    let tls = acceptor.accept(tcp).await?;
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let node = certificate.and_then(|certificate| node_in(certificate, cluster));
    let Some(node) = node else {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the certificate names no node of this cluster"));
    };
    Ok(PeerStream { tls, caller: Caller(node) })
}

impl Connected for PeerStream {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}
