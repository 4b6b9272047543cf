//! The running gateway: what starts first, and what stops first.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_control::AgentId;
use muster_raft::Replica;
use prometheus_client::registry::Registry;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::channel::{Channel, bind_datagrams};
use crate::config::{ChannelConfig, GatewayConfig};
use crate::enrollment::Enrollment;
use crate::events::Events;
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::session::{Attached, DeskHandle, DeskTask, Sink};

/// How often a port is looked for that is free on both protocols.
const ANY_PORT_TRIES: usize = 16;

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
    /// There is no thread to be had.
    #[error("cannot start the thread that hands events on")]
    Thread(#[source] io::Error),
}

/// The agents' side of one node.
///
/// It opens sessions only while the node holds a lease, which somebody else has to renew. Until then agents are
/// connected and acked.
pub struct Gateway {
    enrollment: Arc<Enrollment>,
    channel: Arc<Channel>,
    events: Arc<Events>,
    desk: DeskHandle,
    desk_task: DeskTask,
    listeners: Vec<JoinHandle<()>>,
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
        let ports = ChannelPorts::open(&config.channel)?;
        let channel_address = ports.address;
        let metrics = Metrics::register(registry);
        let events = Arc::new(Events::start(&config.events, metrics.clone()).map_err(StartError::Thread)?);
        let (desk, desk_task) = DeskTask::spawn(config.sessions.clone(), replica.clone(), metrics.clone());
        let channel = Channel::new(config.clone(), replica.clone(), desk.clone(), events.clone(), metrics.clone());
        tracing::info!(node = %config.node_name, %enrollment_address, %channel_address, "agents are served");
        let enrollment = Enrollment::new(config, replica, tls, metrics);
        let stop_listening = CancellationToken::new();
        let mut listeners = vec![tokio::spawn(enrollment.clone().listen(enrollment_listener, stop_listening.clone()))];
        if let Some(tcp) = ports.tcp {
            listeners.push(tokio::spawn(channel.clone().listen(tcp, stop_listening.clone())));
        }
        if let Some(udp) = ports.udp {
            listeners.push(tokio::spawn(channel.clone().listen_for_datagrams(udp, stop_listening.clone())));
        }
        Ok(Self {
            enrollment,
            channel,
            events,
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

    /// Where the secure channel is served, on TCP and UDP alike.
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
        self.events.finish(deadline).await;
    }
}

/// The ports of the secure channel, opened.
struct ChannelPorts {
    tcp: Option<Listener>,
    udp: Option<UdpSocket>,
    address: SocketAddr,
}

impl ChannelPorts {
    /// Opens the same port on both protocols, as far as they are wanted.
    fn open(config: &ChannelConfig) -> Result<Self, StartError> {
        let attempt = || {
            let mut address = config.listen;
            let mut tcp = None;
            if config.tcp {
                let (listener, bound) = listen(address, config.max_connections)?;
                (tcp, address) = (Some(listener), bound);
            }
            let mut udp = None;
            if config.udp {
                let failed = |source| StartError::Listen { address, source };
                let socket = bind_datagrams(address, config.udp_receive_buffer).map_err(failed)?;
                address = socket.local_addr().map_err(failed)?;
                udp = Some(socket);
            }
            Ok(Self { tcp, udp, address })
        };
        // Any port that is free on TCP may be taken on UDP; another one is not.
        let tries = if config.listen.port() == 0 { ANY_PORT_TRIES } else { 1 };
        (1..tries).find_map(|_| attempt().ok()).map_or_else(attempt, Ok)
    }
}

fn listen(address: SocketAddr, limit: usize) -> Result<(Listener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = Listener::bind(address, limit).map_err(failed)?;
    let bound = listener.address().map_err(failed)?;
    Ok((listener, bound))
}
