//! What the API is started with.

use std::net::SocketAddr;
use std::time::Duration;

use muster_control::NodeName;

/// Settings of the API of one node. The defaults are those of the reference where it has the setting.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Name of this node.
    pub node_name: NodeName,
    /// Name of the cluster, as `GET /cluster/local/info` tells it.
    pub cluster_name: String,
    /// How long a request waits for the cluster. Default 10 s.
    pub request_timeout: Duration,
    /// Largest body, in bytes; 0 takes any. Default 10,485,760.
    pub max_body_bytes: usize,
    /// Requests a minute, over all clients; 0 takes any number. Default 300.
    pub requests_per_minute: u32,
    /// Failed logins after which an address is blocked; 0 blocks none. Default 50.
    pub failed_logins: u32,
    /// How long an address stays blocked. Default 300 s.
    pub login_block: Duration,
    /// Life of a token; the same on every node, or each refuses the others' tokens. Default 900 s.
    pub token_lifetime: Duration,
    /// Passwords compared at a time. Default 2.
    pub logins_at_once: usize,
    /// A command that an agent was not sent for so long is not sent any more. Default 300 s.
    pub send_within: Duration,
    /// Connections at a time; beyond, new ones are closed at once. Default 4096.
    pub max_connections: usize,
    /// How long a TLS handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection may take to send the head of a request, the wait for it included. Default 30 s.
    pub header_timeout: Duration,
}

impl ApiConfig {
    /// The defaults.
    pub fn new(listen: Vec<SocketAddr>, node_name: NodeName, cluster_name: String) -> Self {
        Self {
            listen,
            node_name,
            cluster_name,
            request_timeout: Duration::from_secs(10),
            max_body_bytes: 10_485_760,
            requests_per_minute: 300,
            failed_logins: 50,
            login_block: Duration::from_secs(300),
            token_lifetime: Duration::from_secs(900),
            logins_at_once: 2,
            send_within: Duration::from_secs(300),
            max_connections: 4096,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
        }
    }
}
