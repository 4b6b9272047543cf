//! What is to be imported: the manager's files, put together.

use std::collections::{BTreeMap, BTreeSet};

use muster_control::{AgentId, GroupName};
use muster_gateway::codec::{ClientKeyLine, KeyFile};
use muster_http::{IMPORT_LIMIT, ImportAgent, ImportBatch};

use super::global_db::{GlobalDb, Known};

/// Agents of one batch: its entry in the log is some hundred kilobytes.
const BATCH: usize = 1_000;

const _: () = assert!(BATCH <= IMPORT_LIMIT);

/// Everything that is to be imported, and what of the files is not.
#[derive(Debug)]
pub(super) struct Plan {
    /// In order of their ids.
    pub(super) agents: Vec<ImportAgent>,
    /// All groups, those of the agents included.
    pub(super) groups: BTreeSet<String>,
    /// Ids that are used up.
    pub(super) removed: Vec<AgentId>,
    /// The highest id there is.
    pub(super) through: AgentId,
    /// What was left out and why, a line each.
    pub(super) left_out: Vec<String>,
}

impl Plan {
    /// Identities and keys are those of the key file: agents connect with them. The database adds what it knows.
    pub(super) fn new(keys: &KeyFile, db: Option<GlobalDb>, directories: BTreeSet<String>) -> Self {
        let removed: Vec<AgentId> = keys.removed.iter().copied().collect();
        let mut plan = Self {
            agents: Vec::with_capacity(keys.agents.len()),
            groups: BTreeSet::new(),
            through: removed.last().copied().unwrap_or(AgentId::MANAGER),
            removed,
            left_out: Vec::new(),
        };
        let GlobalDb { agents: mut known, groups } = db.unwrap_or_default();
        let has_db = !known.is_empty();
        for group in groups.into_iter().chain(directories) {
            plan.add_group(group, "it");
        }
        let identities: BTreeMap<AgentId, &ClientKeyLine> =
            keys.agents.iter().map(|line| (line.id.parse().expect("the key file was checked"), line)).collect();
        for (id, line) in &identities {
            let known = known.remove(&i64::from(id.get()));
            if known.is_none() && has_db {
                plan.left_out.push(format!("agent {id} is not in global.db: it counts as never connected"));
            }
            let agent = plan.agent(line, known.unwrap_or_default());
            plan.agents.push(agent);
        }
        for (id, known) in known {
            let name = known.name.unwrap_or_default();
            plan.left_out.push(format!("agent {id:03} ({name}) has no key in client.keys: it could not connect"));
        }
        plan.through = identities.keys().next_back().copied().map_or(plan.through, |last| plan.through.max(last));
        plan
    }

    fn agent(&mut self, line: &ClientKeyLine, known: Known) -> ImportAgent {
        let id = &line.id;
        let known = match &known.name {
            Some(name) if name != line.name.as_str() => {
                let why = "nothing that global.db tells about it is taken";
                self.left_out
                    .push(format!("agent {id} is {} in client.keys and {name} in global.db: {why}", line.name));
                Known::default()
            }
            _ => known,
        };
        let mut groups = Vec::new();
        for group in known.groups {
            if self.add_group(group.clone(), &format!("agent {id}")) && !groups.contains(&group) {
                groups.push(group);
            }
        }
        ImportAgent {
            id: id.clone(),
            name: line.name.to_string(),
            address: line.address.to_string(),
            key: line.key.to_string(),
            groups,
            registered_at: known.registered_at,
            past: known.past,
            report: known.report,
        }
    }

    /// Whether the name is one that a group can have.
    fn add_group(&mut self, group: String, of: &str) -> bool {
        let valid = group.parse::<GroupName>();
        if let Err(error) = &valid {
            self.left_out.push(format!("{of} has the group '{}': {error}", group.escape_debug()));
        } else {
            self.groups.insert(group);
        }
        valid.is_ok()
    }

    /// The batches in the order in which they are to be written. An empty import is one batch too.
    pub(super) fn batches(&self, skip_conflicts: bool, dry_run: bool) -> Vec<ImportBatch> {
        let through = self.through.to_string();
        let empty = || ImportBatch { through: through.clone(), skip_conflicts, dry_run, ..ImportBatch::default() };
        let mut batches: Vec<ImportBatch> = Vec::new();
        let of_agents = self.agents.chunks(BATCH).map(|agents| {
            let groups: BTreeSet<&String> = agents.iter().flat_map(|agent| &agent.groups).collect();
            ImportBatch { agents: agents.to_vec(), groups: groups.into_iter().cloned().collect(), ..empty() }
        });
        batches.extend(of_agents);
        let (groups, removed): (Vec<_>, Vec<_>) =
            (self.groups.iter().cloned().collect(), self.removed.iter().map(AgentId::to_string).collect());
        batches.extend(groups.chunks(BATCH).map(|groups| ImportBatch { groups: groups.to_vec(), ..empty() }));
        batches.extend(removed.chunks(BATCH).map(|removed| ImportBatch { removed: removed.to_vec(), ..empty() }));
        if batches.is_empty() {
            batches.push(empty());
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> KeyFile {
        KeyFile::parse(text.as_bytes()).unwrap()
    }

    fn known(name: &str, groups: &[&str]) -> Known {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Known { name: Some(name.to_owned()), groups, registered_at: Some(7), ..Known::default() }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_key_file_says_who_there_is_and_the_database_what_is_known_of_them() {
        let db = GlobalDb {
            agents: BTreeMap::from([
                (1, known("web-01", &["web", "a b", "db", "web"])),
                (2, known("other", &["db"])),
                (9, known("gone", &[])),
            ]),
            groups: set(&["spare", "all"]),
        };
        let keys = keys("1000 last any k4\n001 web-01 10.0.0.1 k1\n002 web-02 any k2\n003 !old any k3\n");
        let plan = Plan::new(&keys, Some(db), set(&["dir"]));
        let agents: Vec<_> =
            plan.agents.iter().map(|agent| (&*agent.id, &*agent.address, agent.registered_at)).collect();
        assert_eq!(agents, [("001", "10.0.0.1", Some(7)), ("002", "any", None), ("1000", "any", None)]);
        assert_eq!(plan.agents[0].groups, ["web", "db"]);
        assert_eq!(plan.groups, set(&["db", "dir", "spare", "web"]));
        assert_eq!((plan.through.get(), plan.removed.len()), (1000, 1));
        let words =
            ["'all'", "'a b'", "other in global.db", "agent 1000 is not in global.db", "agent 009 (gone) has no key"];
        for word in words {
            assert!(plan.left_out.iter().any(|line| line.contains(word)), "{word}: {:?}", plan.left_out);
        }
        assert_eq!(plan.left_out.len(), words.len(), "{:?}", plan.left_out);
    }

    #[test]
    fn batches_are_bounded_and_bring_the_groups_their_agents_are_in() {
        let text: String = (1..=BATCH + 1).map(|id| format!("{id:03} web-{id} any k{id}\n")).collect();
        let last = BATCH as i64 + 1;
        let db = GlobalDb {
            agents: BTreeMap::from([(last, known(&format!("web-{last}"), &["late"]))]),
            groups: set(&["spare"]),
        };
        let plan = Plan::new(&keys(&(text + "5000 !old any k\n")), Some(db), BTreeSet::new());
        let batches = plan.batches(true, false);
        let sizes: Vec<_> =
            batches.iter().map(|batch| (batch.agents.len(), batch.groups.len(), batch.removed.len())).collect();
        assert_eq!(sizes, [(BATCH, 0, 0), (1, 1, 0), (0, 2, 0), (0, 0, 1)]);
        assert!(batches.iter().all(|batch| batch.through == "5000" && batch.skip_conflicts && !batch.dry_run));
        assert_eq!(Plan::new(&KeyFile::default(), None, BTreeSet::new()).batches(false, true).len(), 1);
    }
}
