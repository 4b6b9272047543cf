//! Many agents with one configuration.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use muster_gateway::codec::ClientKeyLine;

use super::agent::Agent;
use super::config::AgentConfig;
use super::stats::AgentStats;

/// Running agents, and what they counted together. Dropping it kills them all.
#[derive(Debug)]
pub struct Fleet {
    agents: Vec<Agent>,
    servers: usize,
    stats: Arc<AgentStats>,
}

impl Fleet {
    /// Starts an agent for each identity, all at once. Agent `i` tries server `i` modulo their number first, so that
    /// they spread evenly.
    pub fn launch(config: Arc<AgentConfig>, identities: impl IntoIterator<Item = ClientKeyLine>) -> Self {
        let stats = AgentStats::new(None);
        let servers = config.servers.len();
        let agents = identities
            .into_iter()
            .enumerate()
            .map(|(index, identity)| Agent::start(config.clone(), identity, index % servers, Some(stats.clone())))
            .collect();
        Self { agents, servers, stats }
    }

    /// Its agents, in the order of their identities.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// How many servers its agents know.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// What all agents counted together.
    pub fn stats(&self) -> &Arc<AgentStats> {
        &self.stats
    }

    /// Waits until every agent has a session.
    pub async fn all_online(&self) {
        self.stats.until(|stats| stats.online() >= self.agents.len() as u64).await;
    }

    /// Lets every agent say its shutdown and end; those that have not within `grace` are killed.
    pub async fn stop(self, grace: Duration) {
        let all = future::join_all(self.agents.into_iter().map(Agent::stop));
        // Whoever is late is killed by being dropped with the future.
        let _ = tokio::time::timeout(grace, all).await;
    }
}
