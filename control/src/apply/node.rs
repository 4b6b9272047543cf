//! Nodes and the leases of their sessions.

use crate::agent::StatusCode;
use crate::change::{ReleaseLease, RenewLease};
use crate::control::{Control, Turn};
use crate::event::{EndCause, Event};
use crate::ids::NodeId;
use crate::node::Node;
use crate::outcome::{Outcome, Refusal};
use crate::timer::Timer;

impl Control {
    pub(crate) fn renew_lease(&mut self, renew: &RenewLease, turn: &mut Turn) -> Outcome {
        if self.nodes.values().any(|node| node.name == renew.name && node.id != renew.node) {
            return Outcome::Refused(Refusal::NodeNameTaken);
        }
        let known = self.nodes.get(&renew.node).cloned();
        match known.as_ref().map(|node| node.generation) {
            Some(generation) if renew.generation < generation => {
                return Outcome::Refused(Refusal::StaleGeneration);
            }
            Some(generation) if renew.generation > generation => self.lose_node(renew.node, turn),
            _ => {}
        }
        let until = turn.now.plus(renew.lease);
        let mut node = Node {
            id: renew.node,
            name: renew.name.clone(),
            generation: renew.generation,
            started_at: turn.now,
            lease_until: Some(until),
            address: renew.address.clone(),
            version: renew.version.clone(),
            revision: turn.index,
        };
        if let Some(known) = known.filter(|known| known.generation == renew.generation) {
            node.started_at = known.started_at;
            if let Some(due) = known.lease_until {
                self.timers.clear(due, Timer::Lease(renew.node));
            }
            if known == (Node { lease_until: known.lease_until, revision: known.revision, ..node.clone() }) {
                node.revision = known.revision; // nothing but the lease moved
            }
        }
        self.timers.set(until, Timer::Lease(renew.node));
        self.nodes.insert(renew.node, node);
        Outcome::Done
    }

    pub(crate) fn release_lease(&mut self, release: &ReleaseLease, turn: &mut Turn) -> Outcome {
        match self.nodes.get(&release.node) {
            None => Outcome::Refused(Refusal::UnknownNode),
            Some(node) if node.generation != release.generation => Outcome::Refused(Refusal::StaleGeneration),
            Some(_) => {
                self.lose_node(release.node, turn);
                Outcome::Done
            }
        }
    }

    /// Ends the lease of a node and with it all its sessions, at once.
    pub(crate) fn lose_node(&mut self, id: NodeId, turn: &mut Turn) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Some(due) = node.lease_until.take() {
            self.timers.clear(due, Timer::Lease(id));
        }
        node.revision = turn.index;
        turn.events.push(Event::NodeLost { node: id, generation: node.generation });
        let sessions: Vec<_> = self.agents.with_session_on(id).collect();
        for agent in sessions {
            self.end_session(agent, StatusCode::NodeLost, EndCause::NodeLost, turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::{Status, StatusCode};
    use crate::outcome::{Outcome, Refusal, SessionAnswer};
    use crate::testing::{Script, node};

    #[test]
    fn a_lapsed_lease_ends_all_sessions_of_the_node_in_one_entry() {
        let mut script = Script::new();
        script.node(1);
        script.node(2);
        let agents = [script.connected(1), script.connected(1), script.connected(2)];
        script.pass(script.lease.get() - 1);
        script.node(2);
        script.pass(1);
        let statuses = agents.map(|(agent, _)| script.agent(agent).status);
        assert_eq!(statuses, [Status::Disconnected, Status::Disconnected, Status::Active]);
        assert_eq!(script.agent(agents[0].0).status_code, StatusCode::NodeLost);
    }

    #[test]
    fn a_new_generation_ends_the_sessions_of_the_one_before() {
        let mut script = Script::new();
        script.node(1);
        let (agent, epoch) = script.connected(1);
        script.restart_node(1);
        assert_eq!(script.agent(agent).status, Status::Disconnected);
        assert_eq!(script.sighting(agent, epoch), Err(Refusal::StaleEpoch));
    }

    #[test]
    fn a_statement_of_an_older_generation_is_refused() {
        let mut script = Script::new();
        script.node(1);
        let old = script.renewal(1);
        script.restart_node(1);
        assert_eq!(script.apply(old), Outcome::Refused(Refusal::StaleGeneration));
        let agent = script.enroll();
        let open = script.open_under(agent, 1, 1);
        assert_eq!(script.apply(open), Outcome::Refused(Refusal::StaleGeneration));
    }

    #[test]
    fn a_node_without_a_lease_opens_no_session() {
        let mut script = Script::new();
        script.node(1);
        let agent = script.enroll();
        script.pass(script.lease.get());
        assert_eq!(script.open(agent, 1), SessionAnswer::Refused(Refusal::NoLease));
    }

    #[test]
    fn two_nodes_cannot_have_one_name() {
        let mut script = Script::new();
        script.node(1);
        let crate::change::Change::RenewLease(mut renewal) = script.renewal(2) else { panic!("a renewal") };
        renewal.name = script.control.node(node(1)).expect("registered above").name.clone();
        let outcome = script.apply(crate::change::Change::RenewLease(renewal));
        assert_eq!(outcome, Outcome::Refused(Refusal::NodeNameTaken));
    }

    #[test]
    fn a_renewal_is_no_new_revision() {
        let mut script = Script::new();
        script.node(1);
        let before = script.control.node(node(1)).expect("registered above").revision;
        script.pass(1_000);
        script.node(1);
        assert_eq!(script.control.node(node(1)).expect("registered above").revision, before);
    }
}
