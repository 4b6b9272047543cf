//! The configuration as it stands in the file. `deploy/muster.example.toml` says what each key means.
//!
//! Every default comes from the crate that uses it, so that it is written down once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use muster_gateway::GatewayConfig;
use muster_http::ApiConfig;
use muster_raft::Tuning;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::unit::{Size, Span};

/// One file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    pub(crate) node: RawNode,
    pub(crate) cluster: RawCluster,
    pub(crate) peers: RawPeers,
    #[serde(default)]
    pub(crate) raft: RawRaft,
    #[serde(default)]
    pub(crate) api: RawApi,
    #[serde(default)]
    pub(crate) enrollment: RawEnrollment,
    #[serde(default)]
    pub(crate) channel: RawChannel,
    #[serde(default)]
    pub(crate) agents: RawAgents,
    #[serde(default)]
    pub(crate) events: RawEvents,
    #[serde(default)]
    pub(crate) users: RawUsers,
    #[serde(default)]
    pub(crate) log: RawLog,
}

/// This node.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNode {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) data_dir: PathBuf,
    #[serde(default = "ten_seconds")]
    pub(crate) session_lease: Span,
    #[serde(default = "ten_seconds")]
    pub(crate) stop_within: Span,
}

/// The cluster, the same on every node.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCluster {
    pub(crate) id: String,
    #[serde(default = "cluster_name")]
    pub(crate) name: String,
    pub(crate) members: Vec<RawMember>,
}

/// One member.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMember {
    pub(crate) id: u64,
    pub(crate) address: String,
}

/// Connections between nodes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPeers {
    #[serde(default = "peers_listen")]
    pub(crate) listen: SocketAddr,
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Times and sizes of replication.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawRaft {
    pub(crate) heartbeat: Span,
    pub(crate) election_min: Span,
    pub(crate) election_max: Span,
    pub(crate) propose_deadline: Span,
    pub(crate) read_deadline: Span,
    pub(crate) proposals_in_flight: usize,
    pub(crate) change_size: Size,
    pub(crate) snapshot_size: Size,
    pub(crate) logs_to_keep: u64,
    pub(crate) disk_reserve: Size,
    pub(crate) tail_cache: Size,
    pub(crate) notice_backlog: usize,
}

/// The clients' side.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawApi {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) request_timeout: Span,
    pub(crate) max_body: Size,
    pub(crate) requests_per_minute: u32,
    pub(crate) failed_logins: u32,
    pub(crate) login_block: Span,
    pub(crate) token_lifetime: Span,
    pub(crate) logins_at_once: usize,
    pub(crate) send_within: Span,
    pub(crate) max_connections: usize,
    pub(crate) handshake_timeout: Span,
    pub(crate) header_timeout: Span,
}

/// The enrollment server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawEnrollment {
    pub(crate) listen: SocketAddr,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) password: Option<Secret>,
    pub(crate) use_source_ip: bool,
    pub(crate) max_in_flight: usize,
    pub(crate) max_per_peer: usize,
    pub(crate) request_within: Span,
    pub(crate) commit_within: Span,
    pub(crate) force: RawForce,
}

/// When a registered agent gives way to a new one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawForce {
    pub(crate) enabled: bool,
    pub(crate) only_disconnected: bool,
    pub(crate) disconnected_for: Span,
    pub(crate) registered_for: Span,
    pub(crate) key_mismatch: bool,
}

/// The secure channel.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawChannel {
    pub(crate) listen: SocketAddr,
    pub(crate) protocol: Vec<Protocol>,
    pub(crate) max_connections: usize,
    pub(crate) max_strangers: usize,
    pub(crate) startup_within: Span,
    pub(crate) write_within: Span,
    pub(crate) write_backlog: Size,
    pub(crate) identify_within: Span,
    pub(crate) connection_overtake_time: Span,
    pub(crate) verify_msg_id: bool,
    pub(crate) udp_backlog: Size,
    pub(crate) udp_receive_buffer: Size,
}

/// What agents may come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What holds for agents on either port.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawAgents {
    pub(crate) manager_version: String,
    pub(crate) allow_higher_versions: bool,
    pub(crate) seen_interval: Span,
    pub(crate) disconnection_time: Span,
    pub(crate) batch_limit: usize,
    pub(crate) commit_within: Span,
}

/// Where the events of agents go.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawEvents {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) backlog: Size,
}

/// The users a new cluster is founded with.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawUsers {
    pub(crate) wazuh_password: Option<Secret>,
    pub(crate) wazuh_wui_password: Option<Secret>,
}

/// The process's own log.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawLog {
    pub(crate) format: LogFormat,
    pub(crate) filter: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn ten_seconds() -> Span {
    Span(std::time::Duration::from_secs(10))
}

fn cluster_name() -> String {
    "wazuh".to_owned()
}

fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

fn peers_listen() -> SocketAddr {
    everywhere(1516)
}

/// The gateway's defaults; the name stands in for one that the file always gives.
fn gateway() -> GatewayConfig {
    GatewayConfig::new("node".parse().expect("a node name"), everywhere(1515), everywhere(1514))
}

impl Default for RawRaft {
    fn default() -> Self {
        let tuning = Tuning::default();
        Self {
            heartbeat: Span(tuning.heartbeat),
            election_min: Span(tuning.election_min),
            election_max: Span(tuning.election_max),
            propose_deadline: Span(tuning.propose_deadline),
            read_deadline: Span(tuning.read_deadline),
            proposals_in_flight: tuning.proposals_in_flight,
            change_size: Size(tuning.change_bytes as u64),
            snapshot_size: Size(tuning.snapshot_bytes),
            logs_to_keep: tuning.logs_to_keep,
            disk_reserve: Size(tuning.disk_reserve_bytes),
            tail_cache: Size(tuning.tail_cache_bytes as u64),
            notice_backlog: tuning.notice_backlog,
        }
    }
}

impl Default for RawApi {
    fn default() -> Self {
        let name = "node".parse().expect("a node name");
        let api = ApiConfig::new(vec![everywhere(55000)], name, cluster_name());
        Self {
            listen: api.listen,
            certificate: None,
            key: None,
            request_timeout: Span(api.request_timeout),
            max_body: Size(api.max_body_bytes as u64),
            requests_per_minute: api.requests_per_minute,
            failed_logins: api.failed_logins,
            login_block: Span(api.login_block),
            token_lifetime: Span(api.token_lifetime),
            logins_at_once: api.logins_at_once,
            send_within: Span(api.send_within),
            max_connections: api.max_connections,
            handshake_timeout: Span(api.handshake_timeout),
            header_timeout: Span(api.header_timeout),
        }
    }
}

impl Default for RawEnrollment {
    fn default() -> Self {
        let enrollment = gateway().enrollment;
        Self {
            listen: enrollment.listen,
            certificate: None,
            key: None,
            password: enrollment.password.map(Secret::new),
            use_source_ip: enrollment.use_source_ip,
            max_in_flight: enrollment.max_in_flight,
            max_per_peer: enrollment.max_per_peer,
            request_within: Span(enrollment.request_within),
            commit_within: Span(enrollment.commit_within),
            force: RawForce::default(),
        }
    }
}

impl Default for RawForce {
    fn default() -> Self {
        let force = gateway().enrollment.force;
        Self {
            enabled: force.enabled,
            only_disconnected: force.disconnected_for.is_some(),
            disconnected_for: Span(force.disconnected_for.unwrap_or_default().into()),
            registered_for: Span(force.registered_for.into()),
            key_mismatch: force.key_mismatch,
        }
    }
}

impl Default for RawChannel {
    fn default() -> Self {
        let channel = gateway().channel;
        Self {
            listen: channel.listen,
            protocol: [(channel.tcp, Protocol::Tcp), (channel.udp, Protocol::Udp)]
                .into_iter()
                .filter_map(|(is_on, protocol)| is_on.then_some(protocol))
                .collect(),
            max_connections: channel.max_connections,
            max_strangers: channel.max_strangers,
            startup_within: Span(channel.startup_within),
            write_within: Span(channel.write_within),
            write_backlog: Size(channel.write_backlog as u64),
            identify_within: Span(channel.identify_within),
            connection_overtake_time: Span(channel.connection_overtake_time),
            verify_msg_id: channel.verify_msg_id,
            udp_backlog: Size(channel.udp_backlog as u64),
            udp_receive_buffer: Size(channel.udp_receive_buffer as u64),
        }
    }
}

impl Default for RawEvents {
    fn default() -> Self {
        let events = gateway().events;
        Self { socket: events.socket, backlog: Size(events.backlog as u64) }
    }
}

impl Default for RawAgents {
    fn default() -> Self {
        let GatewayConfig { manager_version, allow_higher_versions, sessions, .. } = gateway();
        Self {
            manager_version: manager_version.to_string(),
            allow_higher_versions,
            seen_interval: Span(sessions.seen_interval),
            disconnection_time: Span(sessions.disconnection_time),
            batch_limit: sessions.batch_limit,
            commit_within: Span(sessions.commit_within),
        }
    }
}

impl Default for RawLog {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,openraft=warn".to_owned() }
    }
}
