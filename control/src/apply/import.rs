//! Taking over the agents of another manager, under the ids and keys they have.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::{Agent, Identity, Status};
use crate::apply::enrollment::GROUPS_LIMIT;
use crate::control::{Control, Turn};
use crate::event::Event;
use crate::group::Group;
use crate::ids::AgentId;
use crate::import::{ImportAgents, ImportVerdict, ImportedAgent};
use crate::outcome::{Outcome, PerAgent, Refusal, RefusedAgent};
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::text::{AgentName, GroupName, RegisteredAddress};

/// What the agents of one batch that come first take from those behind them.
#[derive(Default)]
struct Taken<'a> {
    ids: BTreeSet<AgentId>,
    names: BTreeMap<&'a AgentName, AgentId>,
    addresses: BTreeMap<&'a RegisteredAddress, AgentId>,
}

impl<'a> Taken<'a> {
    fn take(&mut self, agent: &'a ImportedAgent) -> Result<(), Refusal> {
        if self.ids.contains(&agent.id) {
            return Err(Refusal::IdTaken);
        }
        if let Some(other) = self.names.get(&agent.name) {
            return Err(Refusal::DuplicateName(*other));
        }
        if let Some(other) = self.addresses.get(&agent.address) {
            return Err(Refusal::DuplicateAddress(*other));
        }
        self.ids.insert(agent.id);
        self.names.insert(&agent.name, agent.id);
        if !agent.address.is_any() {
            self.addresses.insert(&agent.address, agent.id);
        }
        Ok(())
    }
}

impl Control {
    pub(crate) fn import_agents(&mut self, import: &ImportAgents, turn: &mut Turn) -> Outcome {
        let mut result = PerAgent::default();
        let mut new = Vec::new();
        for (agent, verdict) in import.agents.iter().zip(self.judge_import(import)) {
            match verdict {
                ImportVerdict::New => new.push(agent),
                ImportVerdict::Known => {}
                ImportVerdict::Conflict(refusal) => result.refused.push(RefusedAgent { agent: agent.id, refusal }),
            }
        }
        result.refused.sort_unstable_by_key(|refused| refused.agent);
        if !result.refused.is_empty() && !import.skip_conflicts {
            return Outcome::Agents(result);
        }
        self.keep_free(import);
        for name in &import.groups {
            if !self.groups.contains_key(name) {
                let group = Group { name: name.clone(), created_at: turn.now, revision: turn.index };
                self.groups.insert(name.clone(), group);
            }
        }
        for agent in new {
            self.free_ids.take(agent.id);
            self.agents.insert(registered(agent, turn));
            turn.events.push(Event::AgentEnrolled { agent: agent.id });
            result.done.push(agent.id);
        }
        result.done.sort_unstable();
        Outcome::Agents(result)
    }

    /// What would become of each agent of an import if it were applied to this state, in its order.
    pub fn judge_import(&self, import: &ImportAgents) -> Vec<ImportVerdict> {
        let groups: BTreeSet<&GroupName> = import.groups.iter().collect();
        let mut taken = Taken::default();
        let one = |agent| self.judge(agent, &groups, &mut taken);
        import.agents.iter().map(one).collect()
    }

    fn judge<'a>(
        &self,
        agent: &'a ImportedAgent,
        groups: &BTreeSet<&GroupName>,
        taken: &mut Taken<'a>,
    ) -> ImportVerdict {
        if self.agents.get(agent.id).is_some_and(|known| is_same(known, agent)) {
            return ImportVerdict::Known;
        }
        let free = self.collides(agent).and_then(|()| self.fits_groups(agent, groups));
        free.and_then(|()| taken.take(agent)).map_or_else(ImportVerdict::Conflict, |()| ImportVerdict::New)
    }

    /// Whether something of this agent belongs to another one.
    fn collides(&self, agent: &ImportedAgent) -> Result<(), Refusal> {
        if agent.id == AgentId::MANAGER {
            return Err(Refusal::Manager);
        }
        if self.agents.get(agent.id).is_some() {
            return Err(Refusal::IdTaken);
        }
        if agent.id <= self.last_agent && !self.free_ids.contains(agent.id) {
            return Err(Refusal::IdUsedUp);
        }
        if let Some(other) = self.agents.named(&agent.name) {
            return Err(Refusal::DuplicateName(other.id));
        }
        if let Some(other) = self.agents.at_address(&agent.address) {
            return Err(Refusal::DuplicateAddress(other.id));
        }
        if self.nodes.values().any(|node| node.name.as_str() == agent.name.as_str()) {
            return Err(Refusal::NameOfNode);
        }
        Ok(())
    }

    fn fits_groups(&self, agent: &ImportedAgent, new: &BTreeSet<&GroupName>) -> Result<(), Refusal> {
        if agent.groups.len() > GROUPS_LIMIT {
            return Err(Refusal::TooManyGroups);
        }
        let exists = |group: &GroupName| self.groups.contains_key(group) || new.contains(group);
        if agent.groups.iter().all(exists) { Ok(()) } else { Err(Refusal::UnknownGroup) }
    }

    /// Lets enrollment go on behind the import, and uses up the ids that the other manager used up.
    fn keep_free(&mut self, import: &ImportAgents) {
        let ids = import.agents.iter().map(|agent| agent.id).chain(import.removed.iter().copied());
        let through = ids.fold(import.through, AgentId::max);
        if let Some(first) = self.last_agent.next().filter(|first| *first <= through) {
            self.free_ids.add(first, through);
            self.last_agent = through;
        }
        for removed in &import.removed {
            self.free_ids.take(*removed);
        }
    }
}

fn is_same(known: &Agent, agent: &ImportedAgent) -> bool {
    known.name == agent.name && known.key == agent.key && known.address == agent.address
}

/// The record of an imported agent.
///
/// One that was connected there is disconnected here until it shows up. The session it had there counts as its first
/// one, so that the next one is the second: an agent without any is one that never connected.
fn registered(import: &ImportedAgent, turn: &Turn) -> Agent {
    // By another clock; what is said to be later than now was not.
    let at = |stamp: Option<Stamp>| stamp.map_or(turn.now, |stamp| stamp.min(turn.now));
    let (name, key, address) = (import.name.clone(), import.key.clone(), import.address.clone());
    let identity = Identity { id: import.id, name, key, address };
    let mut agent = Agent::registered(identity, &import.groups, at(import.registered_at), turn.index);
    agent.report = Shared::new(import.report.clone());
    if let Some(past) = &import.past {
        if agent.groups.is_empty() {
            agent.groups.make_mut().push(GroupName::default_group());
        }
        agent.epoch = agent.epoch.next();
        agent.last_keepalive = past.last_keepalive.map(|stamp| stamp.min(turn.now));
        agent.transition(turn.index, at(past.disconnected_at), Status::Disconnected, past.status_code);
    }
    agent
}

#[cfg(test)]
mod tests;
