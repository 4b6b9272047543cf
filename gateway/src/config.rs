//! What a gateway is started with: typed values, checked by whoever read them from a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use muster_control::{Force, NodeName};

use crate::codec::AgentVersion;

/// Everything [`Gateway::start`](crate::Gateway::start) needs to know beside the replica and the certificate.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Name of this node, for the log.
    pub node_name: NodeName,
    /// Host name of this node, which no agent may take as its name.
    pub host_name: String,
    /// Version this node claims towards agents: agents of a newer line are refused.
    pub manager_version: AgentVersion,
    /// Whether agents of a newer line are taken all the same. Default no.
    pub allow_higher_versions: bool,
    /// The enrollment server.
    pub enrollment: EnrollmentConfig,
    /// The secure channel.
    pub channel: ChannelConfig,
    /// What is told to the cluster about connected agents.
    pub sessions: SessionConfig,
    /// Where events go.
    pub events: EventsConfig,
}

/// Where the events of agents go.
#[derive(Clone, Debug)]
pub struct EventsConfig {
    /// The Unix datagram socket of the analysis side; `None` drops events. Default none.
    pub socket: Option<PathBuf>,
    /// Bytes of events that may wait for it; further ones are dropped. Default 64 MiB.
    pub backlog: usize,
}

/// The enrollment server.
#[derive(Clone, Debug)]
pub struct EnrollmentConfig {
    /// Where to listen; port 1515 for agents as they are shipped.
    pub listen: SocketAddr,
    /// What agents have to know to enroll; `None` leaves enrollment open.
    pub password: Option<String>,
    /// Whether an agent that names no address is registered with the one it comes from. Default no.
    pub use_source_ip: bool,
    /// When a registered agent of the same name or address gives way.
    pub force: Force,
    /// Requests in flight at once; further connections are closed. Default 999.
    pub max_in_flight: usize,
    /// Requests in flight at once from one address. Default 500.
    pub max_per_peer: usize,
    /// How long the TLS handshake may take, and then the request line. Default 10 s each.
    pub request_within: Duration,
    /// How long the cluster may take to commit; then the agent gets an error. Default 1 s: some agents wait no longer.
    pub commit_within: Duration,
}

/// The secure channel.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Where to listen; port 1514 for agents as they are shipped.
    pub listen: SocketAddr,
    /// Whether agents are served over TCP. Default yes.
    pub tcp: bool,
    /// Whether agents are served over UDP. Default yes.
    pub udp: bool,
    /// Connections at once, each an open file; further ones are closed. Default 200,000.
    pub max_connections: usize,
    /// Connections at once that have not shown a valid startup yet. Default 16,384.
    pub max_strangers: usize,
    /// How long a new connection may take to show a valid startup. Default 10 s.
    pub startup_within: Duration,
    /// How long a started write may make no progress: half a frame freezes an agent. Default 10 s.
    pub write_within: Duration,
    /// Bytes that may wait for a connection that does not read; then it is closed. Default 128 KiB.
    pub write_backlog: usize,
    /// Bytes of datagrams that were read and wait to be handled; further ones are dropped. Default 16 MiB.
    pub udp_backlog: usize,
    /// Bytes of datagrams that the kernel is asked to keep until they are read. Default 4 MiB.
    pub udp_receive_buffer: usize,
    /// How long the holder of a key that two machines use may be silent before the other one gets its place; zero is for
    /// ever. Default 60 s.
    pub connection_overtake_time: Duration,
    /// Whether a datagram is dropped that came before, by its counters. Default yes, unlike the reference: anybody who saw
    /// a datagram can send it again.
    pub verify_msg_id: bool,
    /// How long an id that this node does not know may wait for a linearizable read. Default 3 s.
    pub identify_within: Duration,
}

/// What is told to the cluster about connected agents.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// How often collected keepalives are proposed. Default 5 s.
    pub seen_interval: Duration,
    /// An agent that was not heard of for so long is disconnected. Default 900 s.
    pub disconnection_time: Duration,
    /// Most statements in one change. Default 4096.
    pub batch_limit: usize,
    /// How long one attempt to commit a batch may take before it counts as failed and is repeated. Default 5 s.
    pub commit_within: Duration,
}

impl GatewayConfig {
    /// The defaults, for a node of this name that listens on these addresses.
    pub fn new(node_name: NodeName, enrollment: SocketAddr, channel: SocketAddr) -> Self {
        Self {
            host_name: node_name.as_str().to_owned(),
            node_name,
            manager_version: AgentVersion::new(4, 14, 9),
            allow_higher_versions: false,
            enrollment: EnrollmentConfig {
                listen: enrollment,
                password: None,
                use_source_ip: false,
                force: Force::enrollment_default(),
                max_in_flight: 999,
                max_per_peer: 500,
                request_within: Duration::from_secs(10),
                commit_within: Duration::from_secs(1),
            },
            channel: ChannelConfig {
                listen: channel,
                tcp: true,
                udp: true,
                max_connections: 200_000,
                max_strangers: 16_384,
                startup_within: Duration::from_secs(10),
                write_within: Duration::from_secs(10),
                write_backlog: 128 * 1024,
                udp_backlog: 16 << 20,
                udp_receive_buffer: 4 << 20,
                connection_overtake_time: Duration::from_secs(60),
                verify_msg_id: true,
                identify_within: Duration::from_secs(3),
            },
            sessions: SessionConfig {
                seen_interval: Duration::from_secs(5),
                disconnection_time: Duration::from_secs(900),
                batch_limit: 4096,
                commit_within: Duration::from_secs(5),
            },
            events: EventsConfig { socket: None, backlog: 64 << 20 },
        }
    }
}
