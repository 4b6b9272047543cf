//! What an import tells at its end.

use std::collections::BTreeMap;
use std::fmt;

use muster_http::{ImportAnswer, ImportConflict};

use super::plan::Plan;

/// What became of everything in the manager's files.
#[derive(Debug)]
pub(super) struct Report<'a> {
    plan: &'a Plan,
    /// Whether this was to be written, and was.
    written: bool,
    registered: usize,
    unchanged: usize,
    conflicts: BTreeMap<String, String>,
}

impl<'a> Report<'a> {
    /// Nothing so far.
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self { plan, written: false, registered: 0, unchanged: 0, conflicts: BTreeMap::new() }
    }

    /// Adds what the cluster said to one batch when it compared.
    pub(super) fn compared(&mut self, answer: &ImportAnswer) {
        self.registered += answer.added.len();
        self.unchanged += answer.unchanged;
        self.add_conflicts(&answer.conflicts);
    }

    /// Adds what the cluster said to one batch when it wrote. It counts as it was compared, also when a repetition
    /// found done what it asked for; what collides only now, since the cluster changed meanwhile, was not registered.
    pub(super) fn wrote(&mut self, answer: &ImportAnswer) {
        self.registered = self.registered.saturating_sub(self.add_conflicts(&answer.conflicts));
    }

    /// Everything was written.
    pub(super) fn complete(&mut self) {
        self.written = true;
    }

    /// How many agents collide with what the cluster has.
    pub(super) fn conflicts(&self) -> usize {
        self.conflicts.len()
    }

    /// How many of them were not known yet.
    fn add_conflicts(&mut self, conflicts: &[ImportConflict]) -> usize {
        let known = self.conflicts.len();
        self.conflicts.extend(conflicts.iter().map(|conflict| (conflict.id.clone(), conflict.reason.clone())));
        self.conflicts.len() - known
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, written, registered, unchanged, conflicts } = self;
        let names: BTreeMap<&str, &str> = plan.agents.iter().map(|agent| (&*agent.id, &*agent.name)).collect();
        for (id, reason) in conflicts {
            writeln!(f, "conflict: agent {id} ({}): {reason}", names.get(&**id).unwrap_or(&"?"))?;
        }
        plan.left_out.iter().try_for_each(|line| writeln!(f, "left out: {line}"))?;
        let done = if *written { "registered" } else { "to register" };
        writeln!(
            f,
            "agents: {} in client.keys, {registered} {done}, {unchanged} there already, {} in conflict",
            plan.agents.len(),
            conflicts.len()
        )?;
        writeln!(f, "groups: {}", plan.groups.len())?;
        writeln!(
            f,
            "ids: {} of removed agents are used up, the next agent that enrolls gets one above {}",
            plan.removed.len(),
            plan.through
        )
    }
}

#[cfg(test)]
mod tests {
    use muster_gateway::codec::KeyFile;

    use super::*;

    fn answer(added: &[&str], unchanged: usize, conflicts: &[&str]) -> ImportAnswer {
        let conflict = |id: &&str| ImportConflict { id: (*id).to_owned(), reason: "a node has this name".to_owned() };
        ImportAnswer {
            written: true,
            added: added.iter().map(|id| (*id).to_owned()).collect(),
            unchanged,
            conflicts: conflicts.iter().map(conflict).collect(),
        }
    }

    #[test]
    fn a_report_tells_what_was_taken_what_was_not_and_why() {
        let text = "001 web-01 any k1\n002 web-02 any k2\n003 node-1 any k3\n004 late any k4\n009 !old any k9\n";
        let mut plan = Plan::new(&KeyFile::parse(text.as_bytes()).unwrap(), None, ["web".to_owned()].into());
        plan.left_out.push("something".to_owned());
        let mut report = Report::new(&plan);
        report.compared(&answer(&["001", "004"], 1, &["003"]));
        assert!(report.to_string().contains("2 to register, 1 there already, 1 in conflict"), "{report}");
        report.wrote(&answer(&["001"], 1, &["003", "004"]));
        report.complete();
        assert_eq!(
            report.to_string(),
            "conflict: agent 003 (node-1): a node has this name\n\
             conflict: agent 004 (late): a node has this name\n\
             left out: something\n\
             agents: 4 in client.keys, 1 registered, 1 there already, 2 in conflict\n\
             groups: 1\n\
             ids: 1 of removed agents are used up, the next agent that enrolls gets one above 009\n"
        );
    }
}
