//! Enrollment: one request line inside TLS, a place in the next change, one answer, close.

mod batches;
mod exchange;
mod log;
mod peers;
mod registrar;
#[cfg(test)]
mod tests;
mod undo;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use muster_raft::Replica;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::exchange::Ending;
use self::peers::{PeerPermit, Peers};
use self::registrar::Registrar;
use crate::config::GatewayConfig;
use crate::listener::Listener;
use crate::metrics::Metrics;

/// The enrollment server.
pub(crate) struct Enrollment {
    registrar: Registrar,
    acceptor: TlsAcceptor,
    peers: Peers,
    config: GatewayConfig,
    metrics: Metrics,
    tasks: TaskTracker,
    /// Cancelled when connections without a request are to be closed.
    stop: CancellationToken,
}

impl Enrollment {
    /// A server that answers with the certificate of `tls`.
    pub(crate) fn new(config: GatewayConfig, replica: Replica, tls: Arc<ServerConfig>, metrics: Metrics) -> Arc<Self> {
        let tasks = TaskTracker::new();
        Arc::new(Self {
            registrar: Registrar::new(config.clone(), replica, tasks.clone()),
            acceptor: TlsAcceptor::from(tls),
            peers: Peers::new(config.enrollment.max_per_peer),
            config,
            metrics,
            tasks,
            stop: CancellationToken::new(),
        })
    }

    /// Serves requests until `stop`; those that are under way then are finished.
    pub(crate) async fn listen(self: Arc<Self>, listener: Listener, stop: CancellationToken) {
        let serve = |stream, peer, permit| self.serve(stream, peer, permit);
        listener.run(stop, serve, || self.metrics.enrollment(Ending::TooMany.label())).await;
    }

    /// Closes connections without a request, and waits until the others are answered.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let peer = peer.ip().to_canonical();
        let Some(place) = self.peers.admit(peer) else {
            return self.metrics.enrollment(Ending::TooMany.label());
        };
        let server = self.clone();
        self.tasks.spawn(async move { server.exchange(stream, peer, (permit, place)).await });
    }

    async fn exchange(&self, stream: TcpStream, peer: IpAddr, _places: (OwnedSemaphorePermit, PeerPermit)) {
        self.metrics.enrolling.inc();
        let within = self.config.enrollment.request_within;
        let ending = exchange::run(stream, peer, &self.acceptor, &self.registrar, within, &self.stop).await;
        tracing::debug!(%peer, result = ending.label(), "enrollment connection ended");
        self.metrics.enrollment(ending.label());
        self.metrics.enrolling.dec();
    }
}
