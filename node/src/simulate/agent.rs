//! One simulated agent, as seen by whoever runs it.

use std::sync::{Arc, Mutex, PoisonError};

use muster_gateway::codec::ClientKeyLine;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinHandle;

use super::config::AgentConfig;
use super::life::Life;
use super::order::Order;
use super::quirks::Quirks;
use super::stats::AgentStats;

/// A running agent. Dropping it kills it: the connection closes without a shutdown message.
#[derive(Debug)]
pub struct Agent {
    identity: Arc<ClientKeyLine>,
    stats: Arc<AgentStats>,
    quirks: Arc<Mutex<Quirks>>,
    orders: UnboundedSender<Order>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Starts an agent that owns `identity` on the current runtime.
    ///
    /// `first_server` is the index of the server that each of its processes tries first. `fleet` collects what it
    /// counts.
    ///
    /// # Panics
    /// If `config` has no servers.
    pub fn start(
        config: Arc<AgentConfig>,
        identity: ClientKeyLine,
        first_server: usize,
        fleet: Option<Arc<AgentStats>>,
    ) -> Self {
        assert!(!config.servers.is_empty(), "an agent needs a server to connect to");
        let identity = Arc::new(identity);
        let stats = AgentStats::new(fleet);
        let quirks = Arc::new(Mutex::new(Quirks::default()));
        let (orders, received) = mpsc::unbounded_channel();
        let life = Life::new(config, identity.clone(), first_server, stats.clone(), quirks.clone());
        let task = tokio::spawn(life.run(received));
        Self { identity, stats, quirks, orders, task }
    }

    /// Who it is.
    pub fn identity(&self) -> &ClientKeyLine {
        &self.identity
    }

    /// What it saw and did so far.
    pub fn stats(&self) -> &Arc<AgentStats> {
        &self.stats
    }

    /// Changes its quirks; what is already under way goes on as it began.
    pub fn set_quirks(&self, quirks: Quirks) {
        *self.quirks.lock().unwrap_or_else(PoisonError::into_inner) = quirks;
    }

    /// Lets it close its connection and go to another server, as after a change of its network.
    ///
    /// An agent whose process is not running at the moment ignores it.
    pub fn move_to(&self, server: usize) {
        self.order(Order::MoveTo(server));
    }

    /// Lets it send an event payload `Q:location:message`.
    pub fn send_event(&self, payload: impl Into<Vec<u8>>) {
        self.order(Order::Event(payload.into()));
    }

    /// Restarts it as its operator would.
    pub fn restart(&self) {
        self.order(Order::Restart);
    }

    /// Lets it send its shutdown message and end; returns when it has.
    ///
    /// # Cancel safety
    /// A cancelled stop leaves nothing behind: the agent is killed.
    pub async fn stop(mut self) {
        self.order(Order::Stop);
        // An error means that the task was aborted or panicked: it has ended either way.
        let _ = (&mut self.task).await;
    }

    /// Whether it has ended for good.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    fn order(&self, order: Order) {
        // An agent that has ended takes no orders, and none would change anything.
        let _ = self.orders.send(order);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}
