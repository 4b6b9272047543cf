//! Clients that change things in a loop, and write down what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use muster_tests::{Api, Cluster, Ledger, Told};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A writer for each node. Every round makes a group, registers an agent, and puts the one into the other.
pub(crate) struct Writers {
    stop: CancellationToken,
    tasks: JoinSet<Writer>,
    acknowledged: Arc<AtomicUsize>,
}

/// What clients were told.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    groups: Ledger,
    agents: Ledger,
    /// `<id>/<group>`
    assignments: Ledger,
    /// Names by id of agents that were acknowledged.
    names: BTreeMap<String, String>,
}

#[derive(Default)]
struct Writer {
    ledgers: Ledgers,
    acknowledged: Arc<AtomicUsize>,
}

impl Writers {
    /// Starts them; `prefix` sets their names apart from those of others.
    pub(crate) fn start(cluster: &Cluster, prefix: &str) -> Self {
        let (stop, acknowledged) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..cluster.size() {
            let (api, stop) = (cluster.api(number).clone(), stop.clone());
            let mut writer = Writer { acknowledged: Arc::clone(&acknowledged), ..Writer::default() };
            let prefix = format!("{prefix}-{number}");
            tasks.spawn(async move {
                for round in 0.. {
                    // A request under way is waited for: its answer belongs into the ledger.
                    if stop.is_cancelled() {
                        break;
                    }
                    writer.round(&api, &format!("{prefix}-{round}")).await;
                }
                writer
            });
        }
        Self { stop, tasks, acknowledged }
    }

    /// How many changes were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Stops them.
    pub(crate) async fn stop(self) -> Ledgers {
        self.stop.cancel();
        let mut all = Ledgers::default();
        for writer in self.tasks.join_all().await {
            all.merge(writer.ledgers);
        }
        all
    }
}

impl Writer {
    async fn round(&mut self, api: &Api, name: &str) {
        let group = Told::by(&api.post("/groups", json!({ "group_id": name })).await);
        self.count(group);
        self.ledgers.groups.note(name, group);
        let answer = api.post("/agents", json!({ "name": name })).await;
        let agent = Told::by(&answer);
        self.count(agent);
        self.ledgers.agents.note(name, agent);
        let (Ok(answer), Told::Acknowledged, Told::Acknowledged) = (answer, group, agent) else { return };
        let id = answer.body["data"]["id"].as_str().expect("an id").to_owned();
        let assigned = Told::by(&api.put(&format!("/agents/{id}/group/{name}")).await);
        self.count(assigned);
        self.ledgers.assignments.note(format!("{id}/{name}"), assigned);
        self.ledgers.names.insert(id, name.to_owned());
    }

    fn count(&self, told: Told) {
        if told == Told::Acknowledged {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Ledgers {
    /// Adds what other clients were told.
    pub(crate) fn merge(&mut self, other: Self) {
        let Self { groups, agents, assignments, names } = other;
        for (mine, theirs) in
            [(&mut self.groups, groups), (&mut self.agents, agents), (&mut self.assignments, assignments)]
        {
            mine.acknowledged.extend(theirs.acknowledged);
            mine.not_applied.extend(theirs.not_applied);
            mine.unknown.extend(theirs.unknown);
        }
        self.names.extend(names);
    }

    /// How many changes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.groups.acknowledged.len() + self.agents.acknowledged.len() + self.assignments.acknowledged.len()
    }

    /// Compares with what a node has.
    pub(crate) async fn check(&self, api: &Api) {
        self.check_besides(api, &[]).await;
    }

    /// Compares with what a node has besides these groups, which others made.
    pub(crate) async fn check_besides(&self, api: &Api, others: &[&str]) {
        let groups = api.texts("/groups", "name").await;
        let is_ours = |name: &String| name != "default" && !others.contains(&&**name);
        self.groups.check("groups", &groups.into_iter().filter(is_ours).collect());

        let agents = api.all("/agents?select=id,name,group&sort=id").await;
        let agents: Vec<_> = agents.iter().filter(|agent| agent["id"] != "000").collect();
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        self.agents.check("agents", &agents.iter().map(|agent| text(&agent["name"])).collect());
        for agent in &agents {
            let known = self.names.get(agent["id"].as_str().expect("an id"));
            assert!(known.is_none_or(|name| agent["name"] == **name), "{agent} was told to be {known:?}");
        }

        let member_of = |agent: &&serde_json::Value| -> Vec<String> {
            let groups = agent["group"].as_array().into_iter().flatten().map(text);
            groups.filter(|group| group != "default").map(|group| format!("{}/{group}", text(&agent["id"]))).collect()
        };
        let assignments: BTreeSet<String> = agents.iter().flat_map(member_of).collect();
        self.assignments.check("assignments", &assignments);
    }
}

/// How often each kind of answer was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

impl Tally {
    /// Counts one.
    pub(crate) fn count(&self, kind: impl ToString) {
        *self.0.lock().expect("nobody panics with it").entry(kind.to_string()).or_default() += 1;
    }

    /// How many of a kind.
    pub(crate) fn of(&self, kind: &str) -> u64 {
        self.0.lock().expect("nobody panics with it").get(kind).copied().unwrap_or_default()
    }

    /// How many of all kinds that begin with a word of their own.
    pub(crate) fn total(&self, word: &str) -> u64 {
        let tally = self.0.lock().expect("nobody panics with it");
        tally
            .iter()
            .filter(|(kind, _)| kind.split_once(' ').is_some_and(|(first, _)| first == word))
            .map(|(_, n)| n)
            .sum()
    }
}
