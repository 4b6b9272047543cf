//! Configuration: read, checked as a whole, and typed, before any port or data file is opened.

mod error;
mod raw;
mod relations;
mod secret;
#[cfg(test)]
mod tests;
mod unit;
mod validate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_control::{NodeId, NodeName};
use muster_gateway::GatewayConfig;
use muster_http::ApiConfig;
use muster_raft::{ClusterId, MemberConfig, Tuning};
use tracing_subscriber::filter::Targets;

pub use error::ConfigError;
pub(crate) use raw::LogFormat;
use raw::RawConfig;
pub(crate) use secret::Secret;

/// Everything one node runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: NodeConfig,
    /// The cluster it belongs to.
    pub cluster_id: ClusterId,
    /// Connections between nodes, and replication over them.
    pub peers: PeersConfig,
    /// The clients' side.
    pub api: ApiConfig,
    /// Certificate of the clients' side; `None`: one is made.
    pub api_tls: Option<TlsFiles>,
    /// The agents' side.
    pub gateway: GatewayConfig,
    /// Certificate of the enrollment server; `None`: one is made.
    pub enrollment_tls: Option<TlsFiles>,
    /// Passwords for a cluster that this node founds.
    pub users: UsersConfig,
    /// The process's own log.
    pub log: LogConfig,
    effective: RawConfig,
}

/// What a node is.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its id in the Raft group.
    pub id: NodeId,
    /// Its name as operators and clients write it.
    pub name: NodeName,
    /// Host name or address at which agents and clients reach it.
    pub address: String,
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// How long its sessions outlive its last sign of life.
    pub session_lease: Duration,
    /// How long a clean stop may take.
    pub stop_within: Duration,
}

/// How a node talks to its peers.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// Where to serve them.
    pub listen: SocketAddr,
    /// The first members of the cluster.
    pub members: Vec<MemberConfig>,
    /// The authority of the cluster, a PEM file.
    pub ca: PathBuf,
    /// What this node shows to its peers.
    pub tls: TlsFiles,
    /// Times and sizes of replication.
    pub tuning: Tuning,
}

/// A certificate chain and its private key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the end entity first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Passwords of the first users; those that are missing are made up.
#[derive(Clone, Debug)]
pub struct UsersConfig {
    /// Of `wazuh`.
    pub wazuh: Option<Secret>,
    /// Of `wazuh-wui`.
    pub wazuh_wui: Option<Secret>,
}

/// How the process tells what it does.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// What is told.
    pub filter: Targets,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The first thing that is wrong, with the line or the key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a file; relative paths in it start where `path` is.
    ///
    /// # Errors
    /// The first thing that is wrong, with the line or the key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', ", "),
        })?;
        raw.validate(path.parent().unwrap_or(Path::new("")))
    }

    /// The configuration with every default filled in and every secret replaced, as TOML.
    pub fn effective(&self) -> String {
        toml::to_string(&self.effective).expect("the configuration came from TOML")
    }

    /// The same on one line, for the log.
    pub fn effective_line(&self) -> String {
        serde_json::to_string(&self.effective).expect("the configuration has text keys only")
    }
}

fn line_of(text: &str, position: usize) -> usize {
    text.as_bytes().iter().take(position).filter(|byte| **byte == b'\n').count() + 1
}
