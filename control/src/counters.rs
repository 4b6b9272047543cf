//! Counts kept while applying, so that a summary costs no scan.

use imbl::OrdMap;

use crate::agent::{Agent, Status};
use crate::ids::NodeId;
use crate::text::Label;

/// How many agents there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    statuses: [u32; Status::ALL.len()],
    active_by_node: OrdMap<NodeId, u32>,
    versions: OrdMap<Label, u32>,
    platforms: OrdMap<Label, u32>,
}

impl Counters {
    /// How many agents have this status.
    pub fn status(&self, status: Status) -> u32 {
        self.statuses[status as usize]
    }

    /// How many active agents this node owns.
    pub fn active_on(&self, node: NodeId) -> u32 {
        self.active_by_node.get(&node).copied().unwrap_or(0)
    }

    /// Versions that agents told, with their numbers.
    pub fn versions(&self) -> impl Iterator<Item = (&Label, u32)> {
        self.versions.iter().map(|(version, count)| (version, *count))
    }

    /// Platforms that agents told, with their numbers.
    pub fn platforms(&self) -> impl Iterator<Item = (&Label, u32)> {
        self.platforms.iter().map(|(platform, count)| (platform, *count))
    }

    pub(crate) fn replace(&mut self, before: Option<&Agent>, after: Option<&Agent>) {
        let facets = |agent: &Agent| (agent.status, agent.owner);
        if before.map(facets) != after.map(facets) {
            if let Some(agent) = before {
                self.statuses[agent.status as usize] -= 1;
                step(&mut self.active_by_node, active_owner(agent), false);
            }
            if let Some(agent) = after {
                self.statuses[agent.status as usize] += 1;
                step(&mut self.active_by_node, active_owner(agent), true);
            }
        }
        let version = |agent: &Agent| agent.report.version.clone();
        shift(&mut self.versions, before.and_then(version), after.and_then(version));
        let platform = |agent: &Agent| agent.report.os.platform.clone();
        shift(&mut self.platforms, before.and_then(platform), after.and_then(platform));
    }
}

fn active_owner(agent: &Agent) -> Option<NodeId> {
    agent.owner.filter(|_| agent.status == Status::Active)
}

fn shift<K: Ord + Clone>(counts: &mut OrdMap<K, u32>, before: Option<K>, after: Option<K>) {
    if before != after {
        step(counts, before, false);
        step(counts, after, true);
    }
}

fn step<K: Ord + Clone>(counts: &mut OrdMap<K, u32>, key: Option<K>, up: bool) {
    let Some(key) = key else { return };
    let count = counts.get(&key).copied().unwrap_or(0);
    let now = if up { count + 1 } else { count - 1 };
    if now == 0 {
        counts.remove(&key);
    } else {
        counts.insert(key, now);
    }
}
