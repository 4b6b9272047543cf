//! The running gateway: what starts first, and what stops first.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_control::AgentId;
use muster_raft::Replica;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::channel::Channel;
use crate::config::GatewayConfig;
use crate::enrollment::Enrollment;
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::session::{Attached, DeskHandle, DeskTask, Sink};

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be listened on.
    #[error("cannot listen for agents on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The agents' side of one node.
///
/// It opens sessions only while the node holds a lease, which somebody else has to renew. Until then agents are
/// connected and acked.
pub struct Gateway {
    enrollment: Arc<Enrollment>,
    channel: Arc<Channel>,
    desk: DeskHandle,
    desk_task: DeskTask,
    listeners: [JoinHandle<()>; 2],
    stop_listening: CancellationToken,
    enrollment_address: SocketAddr,
    channel_address: SocketAddr,
}

impl Gateway {
    /// Opens both ports and serves agents. A node that is not ready should not call this yet: agents prefer a closed
    /// port to one that does not answer.
    ///
    /// # Errors
    /// When a port cannot be listened on; nothing is left running then.
    pub async fn start(
        config: GatewayConfig,
        replica: Replica,
        registry: &mut Registry,
        tls: Arc<ServerConfig>,
    ) -> Result<Self, StartError> {
        let (enrollment_listener, enrollment_address) =
            listen(config.enrollment.listen, config.enrollment.max_in_flight)?;
        let (channel_listener, channel_address) = listen(config.channel.listen, config.channel.max_connections)?;
        let metrics = Metrics::register(registry);
        let (desk, desk_task) = DeskTask::spawn(config.sessions.clone(), replica.clone(), metrics.clone());
        let channel = Channel::new(config.clone(), replica.clone(), desk.clone(), metrics.clone());
        tracing::info!(node = %config.node_name, %enrollment_address, %channel_address, "agents are served");
        let enrollment = Enrollment::new(config, replica, tls, metrics);
        let stop_listening = CancellationToken::new();
        let listeners = [
            tokio::spawn(enrollment.clone().listen(enrollment_listener, stop_listening.clone())),
            tokio::spawn(channel.clone().listen(channel_listener, stop_listening.clone())),
        ];
        Ok(Self {
            enrollment,
            channel,
            desk,
            desk_task,
            listeners,
            stop_listening,
            enrollment_address,
            channel_address,
        })
    }

    /// Where enrollment is served.
    pub fn enrollment_address(&self) -> SocketAddr {
        self.enrollment_address
    }

    /// Where the secure channel is served.
    pub fn channel_address(&self) -> SocketAddr {
        self.channel_address
    }

    /// Connects an agent without a socket, as if its startup had come from `peer` and been acked.
    pub async fn attach(&self, agent: AgentId, peer: &str, sink: Arc<dyn Sink>) -> Attached {
        Attached::connect(self.desk.clone(), agent, peer, self.channel.replica.view().index, sink).await
    }

    /// Stops: listeners first, since agents come back within milliseconds; then the connections; then what was heard is
    /// brought to the log, as far as that is possible within `grace`.
    pub async fn stop(self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.stop_listening.cancel();
        for listener in self.listeners {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a listener failed");
            }
        }
        let (closed, finished) = tokio::join!(
            timeout_at(deadline, self.channel.close()),
            timeout_at(deadline - grace / 2, self.enrollment.finish()),
        );
        if closed.is_err() {
            tracing::warn!("connections of agents were left behind when the grace period ended");
        }
        if finished.is_err() {
            tracing::warn!("enrollments were left behind when half of the grace period had passed");
        }
        self.desk_task.finish(deadline).await;
    }
}

fn listen(address: SocketAddr, limit: usize) -> Result<(Listener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = Listener::bind(address, limit).map_err(failed)?;
    let bound = listener.address().map_err(failed)?;
    Ok((listener, bound))
}
