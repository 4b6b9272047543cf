//! What agents of a fleet have in common: where they connect, how fast they are, what they say of themselves.

use std::time::Duration;

use muster_gateway::codec::Method;

/// Configuration of an agent, as its `ossec.conf` would hold it. Shared by a fleet.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// `host:port` of each manager's secure channel. Agents fail over along this list and wrap around.
    pub servers: Vec<String>,
    /// Times of the agent.
    pub pace: Pace,
    /// Version told at startup and in keepalives, such as `v4.14.7`; `None` tells none in either.
    pub version: Option<String>,
    /// Cipher of the secure channel.
    pub method: Method,
    /// Whether `ar.conf` is there, without which restarts of the form `restart-wazuh0` do nothing.
    pub has_ar_conf: bool,
}

/// Times of an agent.
///
/// [`Pace::real`] is a real 4.14.7 agent at its defaults; tests scale them down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `notify_time`: from the first ack of a process to its first keepalive, and between keepalives.
    pub notify: Duration,
    /// `time-reconnect`: longest silence of the manager; raised to three times `notify` if not longer than `notify`.
    pub silence: Duration,
    /// `retry_interval`: between attempts to connect.
    pub retry: Duration,
    /// `max_retries`: attempts on one server before the next one is tried.
    pub attempts: u32,
    /// `agent.recv_timeout`: longest wait for the first ack, and for TCP to connect.
    pub handshake: Duration,
    /// From a restart command to the shutdown message.
    pub reaction: Duration,
    /// From the end of a process to the connection of the next one.
    pub gap: Duration,
    /// From "Agent started" to the earliest next restart: the lock of the control script.
    pub settle: Duration,
}

impl AgentConfig {
    /// A real agent's configuration with these servers.
    pub fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            pace: Pace::real(),
            version: Some("v4.14.7".to_owned()),
            method: Method::Aes,
            has_ar_conf: false,
        }
    }
}

impl Pace {
    /// The times measured on a real agent (agent protocol, sections 4.2, 4.5, 4.7).
    pub const fn real() -> Self {
        Self {
            notify: Duration::from_secs(20),
            silence: Duration::from_secs(60),
            retry: Duration::from_secs(10),
            attempts: 5,
            handshake: Duration::from_secs(60),
            reaction: Duration::from_millis(150),
            gap: Duration::from_secs(5),
            settle: Duration::from_secs(5),
        }
    }

    /// How long the manager may say nothing before the agent reconnects.
    pub(super) fn longest_silence(&self) -> Duration {
        if self.silence <= self.notify { self.notify * 3 } else { self.silence }
    }
}
