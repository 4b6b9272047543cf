//! The secure channel on TCP and UDP: from the socket to what an agent said, and back.

mod caller;
mod connection;
mod conversation;
mod ending;
mod freshness;
mod heard;
mod holders;
mod identify;
mod line;
mod outbox;
mod rivals;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_raft::Replica;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Connection;
use self::ending::Ending;
use self::freshness::Freshness;
use self::holders::Holders;
use self::rivals::Throttle;
pub(crate) use self::udp::bind as bind_datagrams;
use crate::codec::SenderCounter;
use crate::config::GatewayConfig;
use crate::events::Events;
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::session::DeskHandle;

/// What all connections of the secure channel share.
pub(crate) struct Channel {
    config: GatewayConfig,
    pub(crate) replica: Replica,
    freshness: Freshness,
    desk: DeskHandle,
    counter: SenderCounter,
    events: Arc<Events>,
    metrics: Metrics,
    strangers: Arc<Semaphore>,
    holders: Holders,
    contests_told: Throttle,
    tasks: TaskTracker,
    /// Cancelled when the connections are to be closed.
    hang_up: CancellationToken,
}

impl Channel {
    /// A channel without connections.
    pub(crate) fn new(
        config: GatewayConfig,
        replica: Replica,
        desk: DeskHandle,
        events: Arc<Events>,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            freshness: Freshness::new(replica.clone()),
            strangers: Arc::new(Semaphore::new(config.channel.max_strangers.min(Semaphore::MAX_PERMITS))),
            holders: Holders::new(config.channel.connection_overtake_time),
            contests_told: Throttle::default(),
            counter: SenderCounter::at_time(since_epoch()),
            tasks: TaskTracker::new(),
            hang_up: CancellationToken::new(),
            config,
            replica,
            desk,
            events,
            metrics,
        })
    }

    /// Serves connections until `stop`; those that are open then stay.
    pub(crate) async fn listen(self: Arc<Self>, listener: Listener, stop: CancellationToken) {
        let serve = |stream, peer, permit| self.serve(stream, peer, permit);
        listener.run(stop, serve, || self.metrics.closed(Ending::TooMany.label())).await;
    }

    /// Closes all connections and waits until each has told the desk its last.
    pub(crate) async fn close(&self) {
        self.hang_up.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let Ok(stranger) = self.strangers.clone().try_acquire_owned() else {
            return self.metrics.closed(Ending::TooMany.label());
        };
        let channel = self.clone();
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        self.tasks.spawn(async move {
            channel.metrics.connections.inc();
            let ending = Connection::new(channel.clone(), stream, peer, stranger).run().await;
            tracing::debug!(%peer, cause = ending.label(), "connection of an agent ended");
            channel.metrics.closed(ending.label());
            channel.metrics.connections.dec();
            drop(permit);
        });
    }
}

/// The time of this node.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
