//! Simulated agents of a test's cluster.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use muster_gateway::codec::ClientKeyLine;
use muster_node::simulate::{AgentConfig, Enroller, Pace};

use crate::cluster::Cluster;

/// Agents that do in a fifth of a second what takes a real one several, and that look for another node at once.
pub const QUICK: Pace = Pace {
    notify: Duration::from_secs(2),
    silence: Duration::from_secs(60),
    retry: Duration::from_millis(100),
    attempts: 2,
    handshake: Duration::from_secs(10),
    reaction: Duration::from_millis(5),
    gap: Duration::from_millis(200),
    settle: Duration::from_millis(200),
};

/// Enrolls `count` agents, all at once and spread over the nodes; in order of their ids.
///
/// # Panics
/// When one is not enrolled after all its attempts.
pub async fn enroll(cluster: &Cluster, prefix: &str, count: usize) -> Vec<ClientKeyLine> {
    let servers = cluster.places().map(|place| place.enrollment.to_string()).collect();
    let names = (1..=count).map(|number| format!("{prefix}-{number:04}"));
    let enroller = Enroller::new(servers);
    let results: Vec<_> = enroller.enroll_all(names, count).collect().await;
    let enrolled = results.into_iter().map(|result| result.unwrap_or_else(|error| panic!("not enrolled: {error:?}")));
    let mut identities: Vec<ClientKeyLine> = enrolled.collect();
    identities.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
    identities
}

/// The configuration of agents that know all nodes of a cluster.
pub fn fleet_config(cluster: &Cluster, pace: Pace) -> Arc<AgentConfig> {
    let servers = cluster.places().map(|place| place.channel.to_string()).collect();
    Arc::new(AgentConfig { pace, ..AgentConfig::new(servers) })
}
