//! The registered agents and every index over them. All changes go through here, so no index can lag.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::agent::{Agent, Status};
use crate::counters::Counters;
use crate::ids::{AgentId, NodeId};
use crate::pool::Pool;
use crate::text::{AgentName, GroupName, RegisteredAddress};

/// All registered agents, by id, name, address, group and session.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    by_id: OrdMap<AgentId, Arc<Agent>>,
    by_name: OrdMap<AgentName, AgentId>,
    by_address: OrdMap<RegisteredAddress, AgentId>,
    by_group: OrdMap<GroupName, OrdSet<AgentId>>,
    by_session: OrdMap<NodeId, OrdSet<AgentId>>,
    counters: Counters,
    pool: Pool,
}

impl Agents {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// One of them.
    pub fn get(&self, id: AgentId) -> Option<&Arc<Agent>> {
        self.by_id.get(&id)
    }

    /// All of them in order of ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.by_id.values()
    }

    /// Those with an id above `id`, in order of ids: the next page.
    pub fn after(&self, id: AgentId) -> impl Iterator<Item = &Arc<Agent>> {
        self.by_id.range((std::ops::Bound::Excluded(id), std::ops::Bound::Unbounded)).map(|(_, agent)| agent)
    }

    /// The agent with this name.
    pub fn named(&self, name: &AgentName) -> Option<&Arc<Agent>> {
        self.by_name.get(name).and_then(|id| self.by_id.get(id))
    }

    /// The agent registered with this address; none for `any`, which several may have.
    pub fn at_address(&self, address: &RegisteredAddress) -> Option<&Arc<Agent>> {
        self.by_address.get(address).and_then(|id| self.by_id.get(id))
    }

    /// Ids of the members of a group, in order.
    pub fn in_group(&self, group: &GroupName) -> impl Iterator<Item = AgentId> {
        self.by_group.get(group).into_iter().flat_map(|ids| ids.iter().copied())
    }

    /// How many members a group has.
    pub fn group_len(&self, group: &GroupName) -> usize {
        self.by_group.get(group).map_or(0, OrdSet::len)
    }

    /// Ids of the agents with an open session on a node, in order.
    pub fn with_session_on(&self, node: NodeId) -> impl Iterator<Item = AgentId> {
        self.by_session.get(&node).into_iter().flat_map(|ids| ids.iter().copied())
    }

    /// Ids of the active agents, in order.
    pub fn active(&self) -> impl Iterator<Item = AgentId> {
        self.iter().filter(|agent| agent.status == Status::Active).map(|agent| agent.id)
    }

    /// How many there are of each kind.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn insert(&mut self, mut agent: Agent) {
        let before = self.by_id.get(&agent.id).cloned();
        self.pool.share(&mut agent, before.as_deref());
        self.reindex(before.as_deref(), Some(&agent));
        self.by_id.insert(agent.id, Arc::new(agent));
    }

    /// Changes one agent and whatever follows from it; `false` if there is no such agent.
    pub(crate) fn update(&mut self, id: AgentId, change: impl FnOnce(&mut Agent)) -> bool {
        let Some(before) = self.by_id.get(&id).cloned() else { return false };
        let mut agent = Agent::clone(&before);
        change(&mut agent);
        self.pool.share(&mut agent, Some(&before));
        self.reindex(Some(&before), Some(&agent));
        self.by_id.insert(id, Arc::new(agent));
        true
    }

    pub(crate) fn remove(&mut self, id: AgentId) -> Option<Arc<Agent>> {
        let agent = self.by_id.remove(&id)?;
        self.reindex(Some(&agent), None);
        Some(agent)
    }

    fn reindex(&mut self, before: Option<&Agent>, after: Option<&Agent>) {
        self.counters.replace(before, after);
        let id = after.or(before).map(|agent| agent.id).expect("one side of a change is an agent");
        if before.map(|agent| &agent.name) != after.map(|agent| &agent.name) {
            before.map(|agent| self.by_name.remove(&agent.name));
            after.map(|agent| self.by_name.insert(agent.name.clone(), id));
        }
        if before.map(|agent| &agent.address) != after.map(|agent| &agent.address) {
            before.map(|agent| self.by_address.remove(&agent.address));
            after
                .filter(|agent| !agent.address.is_any())
                .map(|agent| self.by_address.insert(agent.address.clone(), id));
        }
        if before.map(|agent| &*agent.groups) != after.map(|agent| &*agent.groups) {
            before
                .into_iter()
                .flat_map(|agent| agent.groups.iter())
                .for_each(|group| leave(&mut self.by_group, group, id));
            after
                .into_iter()
                .flat_map(|agent| agent.groups.iter())
                .for_each(|group| join(&mut self.by_group, group, id));
        }
        let (left, joined) = (before.and_then(Agent::session_node), after.and_then(Agent::session_node));
        if left != joined {
            left.iter().for_each(|node| leave(&mut self.by_session, node, id));
            joined.iter().for_each(|node| join(&mut self.by_session, node, id));
        }
    }
}

fn join<K: Ord + Clone>(index: &mut OrdMap<K, OrdSet<AgentId>>, key: &K, id: AgentId) {
    match index.get_mut(key) {
        Some(ids) => _ = ids.insert(id),
        None => _ = index.insert(key.clone(), OrdSet::unit(id)),
    }
}

fn leave<K: Ord + Clone>(index: &mut OrdMap<K, OrdSet<AgentId>>, key: &K, id: AgentId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
