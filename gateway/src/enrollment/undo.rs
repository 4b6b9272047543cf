//! Taking registrations back that nobody learned of.

use std::time::Duration;

use muster_control::{
    AgentId, AgentName, AgentSet, Change, ChangeId, ClientKey, Millis, Outcome, Refusal, RemoveAgents, Status,
};
use muster_raft::{NotApplied, ProposeError, ReadError, View};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::log::Log;

/// For so long a registration nobody learned of is tried to be undone; the cluster remembers change ids for two minutes.
const UNDO_FOR: Duration = Duration::from_secs(40);

/// Pause between attempts to undo.
const UNDO_PAUSE: Duration = Duration::from_millis(200);

/// Undoes in the background, among tasks that are waited for when the node stops.
#[derive(Clone)]
pub(crate) struct Undo<L> {
    log: L,
    tasks: TaskTracker,
}

/// How an agent that was told "no" is found if it is registered after all: nobody else has its key.
pub(crate) type ToldNo = (AgentName, ClientKey);

impl<L: Log> Undo<L> {
    /// Undoes through `log`, among `tasks`.
    pub(crate) fn new(log: L, tasks: TaskTracker) -> Self {
        Self { log, tasks }
    }

    /// Removes an agent that never learned its key.
    pub(crate) fn enrolled(&self, agent: AgentId) {
        let undo = self.clone();
        self.tasks.spawn(async move { undo.remove(vec![agent]).await });
    }

    /// Makes sure that agents that were told "no" are not registered, now or later, although what was proposed for them
    /// under `id` may still be on its way.
    ///
    /// Proposing it again would find out, and would register them late. So the id is used up by a change that does
    /// nothing: either that comes first, and the proposal will be refused; or the proposal was first, and its agents
    /// are known by their keys. If this fails, or the node dies before, a proposal that arrives late can only leave
    /// agents behind that never connect: it replaces nothing that was registered after it was made, because
    /// [`asked_at`](muster_control::EnrollAgent::asked_at) travels with it.
    pub(crate) fn unknown(&self, id: ChangeId, told_no: Vec<ToldNo>) {
        let undo = self.clone();
        self.tasks.spawn(async move {
            let nobody = AgentSet::Only(Vec::new());
            let nothing = RemoveAgents { agents: nobody, statuses: None, older_than: Millis::new(0) };
            match undo.insist(id, Change::RemoveAgents(nothing)).await {
                Some(Outcome::Refused(Refusal::ChangeIdReused)) => {}
                Some(_) => return,
                None => return gave_up(told_no.len()),
            }
            let Some(View { control, .. }) = undo.insist_on_reading().await else {
                return gave_up(told_no.len());
            };
            let registered = |(name, key): ToldNo| control.agents().named(&name).filter(|agent| agent.key == key);
            undo.remove(told_no.into_iter().filter_map(registered).map(|agent| agent.id).collect()).await;
        });
    }

    /// Removes agents unless they have connected: then they know their keys after all.
    async fn remove(&self, agents: Vec<AgentId>) {
        if agents.is_empty() {
            return;
        }
        let count = agents.len();
        let change = Change::RemoveAgents(RemoveAgents {
            agents: AgentSet::Only(agents),
            statuses: Some(vec![Status::NeverConnected]),
            older_than: Millis::new(0),
        });
        if self.insist(ChangeId::new(rand::random()), change).await.is_none() {
            gave_up(count);
        }
    }

    /// Proposes until there is an outcome, for a while.
    async fn insist(&self, id: ChangeId, change: Change) -> Option<Outcome> {
        let end = Instant::now() + UNDO_FOR;
        while Instant::now() < end {
            match self.log.propose_as(id, change.clone(), end).await {
                Ok(proposed) => return Some(proposed.outcome),
                Err(ProposeError::Stopped | ProposeError::NotApplied(NotApplied::Stopping)) => return None,
                Err(_) => sleep(UNDO_PAUSE).await,
            }
        }
        None
    }

    /// Reads until there is an answer, for a while.
    async fn insist_on_reading(&self) -> Option<View> {
        let end = Instant::now() + UNDO_FOR;
        while Instant::now() < end {
            match self.log.read().await {
                Ok(view) => return Some(view),
                Err(ReadError::Stopped) => return None,
                Err(_) => sleep(UNDO_PAUSE).await,
            }
        }
        None
    }
}

fn gave_up(agents: usize) {
    tracing::warn!(agents, "agents that did not learn their keys may stay registered");
}
