//! Removing agents.

use crate::agent::{Agent, Status};
use crate::change::RemoveAgents;
use crate::command::{Reason, Stage};
use crate::control::{Control, Turn};
use crate::event::{EndCause, Event};
use crate::ids::AgentId;
use crate::outcome::{Outcome, PerAgent, Refusal, RefusedAgent};
use crate::selector::AgentSet;
use crate::stamp::Stamp;

impl Control {
    pub(crate) fn remove_agents(&mut self, remove: &RemoveAgents, turn: &mut Turn) -> Outcome {
        let mut result = PerAgent::default();
        for agent in self.resolve(&remove.agents) {
            match self.removable(agent, remove, turn.now) {
                Ok(()) => {
                    self.remove_agent(agent, EndCause::AgentRemoved, turn);
                    result.done.push(agent);
                }
                Err(refusal) => result.refused.push(RefusedAgent { agent, refusal }),
            }
        }
        Outcome::Agents(result)
    }

    fn removable(&self, agent: AgentId, remove: &RemoveAgents, now: Stamp) -> Result<(), Refusal> {
        if agent == AgentId::MANAGER {
            return Err(Refusal::Manager);
        }
        let agent = self.agents.get(agent).ok_or(Refusal::UnknownAgent)?;
        let wanted = remove.statuses.as_ref().is_none_or(|statuses| statuses.contains(&agent.status));
        if wanted && now.since(last_sign(agent)) >= remove.older_than { Ok(()) } else { Err(Refusal::NotEligible) }
    }

    pub(crate) fn remove_agent(&mut self, id: AgentId, cause: EndCause, turn: &mut Turn) {
        let Some(agent) = self.agents.remove(id) else { return };
        self.end_lane(id, Stage::Cancelled, &Reason::AgentRemoved, turn);
        if let Some(session) = &agent.session {
            turn.events.push(Event::SessionEnded { agent: id, node: session.node, epoch: session.epoch, cause });
        }
        turn.events.push(Event::AgentRemoved { agent: id });
    }

    /// The agents of a set, in order of ids and each once; ids of an explicit set need not exist.
    pub(crate) fn resolve(&self, set: &AgentSet) -> Vec<AgentId> {
        match set {
            AgentSet::All => self.agents.iter().map(|agent| agent.id).collect(),
            AgentSet::Only(ids) => sorted(ids),
        }
    }
}

/// The ids in order, each once.
pub(crate) fn sorted(ids: &[AgentId]) -> Vec<AgentId> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// When an agent last gave a sign: its registration, if it never connected.
fn last_sign(agent: &Agent) -> Stamp {
    match agent.status {
        Status::NeverConnected => agent.registered_at,
        _ => agent.last_keepalive.unwrap_or(agent.registered_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use crate::stamp::Millis;
    use crate::testing::Script;

    fn remove(script: &mut Script, agents: AgentSet, statuses: Option<Vec<Status>>, older_than: u64) -> PerAgent {
        let older_than = Millis::new(older_than);
        match script.apply(Change::RemoveAgents(RemoveAgents { agents, statuses, older_than })) {
            Outcome::Agents(result) => result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_agent_is_removed_or_refused_alone() {
        let mut script = Script::new();
        let agent = script.enroll();
        let unknown = AgentId::new(99);
        let set = AgentSet::Only(vec![unknown, agent, AgentId::MANAGER, agent]);
        let result = remove(&mut script, set, None, 0);
        assert_eq!(result.done, [agent]);
        let refused: Vec<_> = result.refused.iter().map(|refused| (refused.agent, refused.refusal)).collect();
        assert_eq!(refused, [(AgentId::MANAGER, Refusal::Manager), (unknown, Refusal::UnknownAgent)]);
    }

    #[test]
    fn conditions_are_judged_when_the_change_is_applied() {
        let mut script = Script::new();
        script.node(1);
        let (active, _) = script.connected(1);
        let young = script.enroll();
        let statuses = Some(vec![Status::NeverConnected]);
        assert_eq!(remove(&mut script, AgentSet::All, statuses.clone(), 60_000).done, []);
        script.keep_leases(60_000);
        let result = remove(&mut script, AgentSet::All, statuses, 60_000);
        assert_eq!((result.done, result.refused[0].agent), (vec![young], active));
    }

    #[test]
    fn removal_ends_the_session_and_tells_its_owner() {
        let mut script = Script::new();
        script.node(1);
        let (agent, epoch) = script.connected(1);
        script.remove(agent);
        let cause = EndCause::AgentRemoved;
        let node = crate::testing::node(1);
        assert!(script.events.contains(&Event::SessionEnded { agent, node, epoch, cause }));
        assert!(script.events.contains(&Event::AgentRemoved { agent }));
        assert_eq!(script.sighting(agent, epoch), Err(Refusal::UnknownAgent));
    }
}
