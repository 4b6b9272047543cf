//! Registering agents, and which ones give way.

use sha1::{Digest, Sha1};

use crate::agent::{Agent, Identity, Status};
use crate::change::{EnrollAgent, EnrollAgents, Force};
use crate::control::{Control, Turn};
use crate::event::{EndCause, Event};
use crate::ids::AgentId;
use crate::outcome::{Enrolled, EnrollmentAnswer, Outcome, Refusal};
use crate::stamp::Stamp;
use crate::text::Label;

/// Most groups of one agent.
pub(crate) const GROUPS_LIMIT: usize = 128;

/// Who stands in the way of a new agent.
enum Rival {
    ByAddress(AgentId),
    ByName(AgentId),
}

impl Control {
    pub(crate) fn enroll_agent(&mut self, enroll: &EnrollAgent, turn: &mut Turn) -> Outcome {
        self.enroll(enroll, turn).map_or_else(Outcome::Refused, Outcome::Enrolled)
    }

    /// One after the other: a later one of the change meets what the earlier ones registered.
    pub(crate) fn enroll_agents(&mut self, enroll: &EnrollAgents, turn: &mut Turn) -> Outcome {
        let answer = |one| self.enroll(one, turn).map_or_else(EnrollmentAnswer::Refused, EnrollmentAnswer::Enrolled);
        Outcome::Enrollments(enroll.enrollments.iter().map(answer).collect())
    }

    fn enroll(&mut self, enroll: &EnrollAgent, turn: &mut Turn) -> Result<Enrolled, Refusal> {
        let (id, replaced) = self.admit(enroll, turn.now)?;
        for rival in &replaced {
            self.remove_agent(*rival, EndCause::AgentRemoved, turn);
        }
        self.last_agent = id;
        self.agents.insert(new_agent(id, enroll, turn));
        turn.events.push(Event::AgentEnrolled { agent: id });
        Ok(Enrolled { agent: id, replaced })
    }

    /// The id of the new agent and the agents that give way to it, in order of ids.
    fn admit(&self, enroll: &EnrollAgent, now: Stamp) -> Result<(AgentId, Vec<AgentId>), Refusal> {
        if enroll.groups.len() > GROUPS_LIMIT {
            return Err(Refusal::TooManyGroups);
        }
        if enroll.groups.iter().any(|group| self.group(group).is_none()) {
            return Err(Refusal::UnknownGroup);
        }
        let mut replaced = Vec::new();
        for rival in self.rivals(enroll) {
            let (id, refusal) = match rival {
                Rival::ByAddress(id) => (id, Refusal::DuplicateAddress(id)),
                Rival::ByName(id) => (id, Refusal::DuplicateName(id)),
            };
            let agent = self.agents.get(id).expect("an index leads to an agent");
            if !gives_way(agent, enroll, now) {
                return Err(refusal);
            }
            replaced.push(id);
        }
        if self.nodes.values().any(|node| node.name.as_str() == enroll.name.as_str()) {
            return Err(Refusal::NameOfNode);
        }
        replaced.sort_unstable();
        replaced.dedup();
        let id = self.last_agent.next().ok_or(Refusal::IdsExhausted)?;
        Ok((id, replaced))
    }

    /// By address first: that is the order in which the reference tells of them.
    fn rivals(&self, enroll: &EnrollAgent) -> impl Iterator<Item = Rival> {
        let by_address = self.agents.at_address(&enroll.address).map(|agent| Rival::ByAddress(agent.id));
        let by_name = self.agents.named(&enroll.name).map(|agent| Rival::ByName(agent.id));
        by_address.into_iter().chain(by_name)
    }
}

fn new_agent(id: AgentId, enroll: &EnrollAgent, turn: &Turn) -> Agent {
    let (name, key, address) = (enroll.name.clone(), enroll.key.clone(), enroll.address.clone());
    let agent = Agent::registered(Identity { id, name, key, address }, &enroll.groups, turn.now, turn.index);
    Agent { registered_from: enroll.registered_from.clone(), ..agent }
}

/// Whether a registered agent gives way to the one that enrolls (agent protocol, section 1.7).
///
/// Two rules are ours. Who registered an agent that never connected may do so again at once, or an answer that got
/// lost would lock the name for an hour. And nothing gives way that changed after the request was made: the request may
/// be an earlier attempt of that very agent, held up on its way, which nobody waits for any more. Only an order of
/// indexes keeps it out for good: there is no time after which nothing is on its way.
fn gives_way(agent: &Agent, enroll: &EnrollAgent, now: Stamp) -> bool {
    if enroll.asked_at.is_some_and(|asked_at| agent.revision > asked_at) {
        return false;
    }
    let Force { enabled, disconnected_for, registered_for, key_mismatch } = &enroll.force;
    let same_peer = enroll.registered_from.is_some() && agent.registered_from == enroll.registered_from;
    if *enabled && same_peer && agent.status == Status::NeverConnected {
        return true;
    }
    let long_gone = disconnected_for.is_none_or(|span| match (agent.status, agent.disconnected_at()) {
        (Status::NeverConnected, _) => true,
        (_, Some(at)) => now.since(at) >= span,
        (_, None) => false,
    });
    let old_enough = now.since(agent.registered_at) >= *registered_for;
    let other_key = !key_mismatch || enroll.key_hash.as_ref().is_none_or(|hash| *hash != key_hash(agent));
    *enabled && long_gone && old_enough && other_key
}

/// Hash by which an agent tells which key it holds: lower-case hex SHA-1 of id, name and key without separators.
fn key_hash(agent: &Agent) -> Label {
    let hash = Sha1::new()
        .chain_update(agent.id.to_string())
        .chain_update(agent.name.as_str())
        .chain_update(agent.key.as_str())
        .finalize();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Label::truncated(&hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use crate::ids::LogIndex;
    use crate::stamp::Millis;
    use crate::testing::{Script, enrollment};

    fn enroll(script: &mut Script, change: EnrollAgent) -> Outcome {
        script.apply(Change::EnrollAgent(change))
    }

    fn forced(name: &str) -> EnrollAgent {
        EnrollAgent { force: Force::enrollment_default(), ..enrollment(name) }
    }

    fn enrolled(agent: u32, replaced: &[u32]) -> Outcome {
        let replaced = replaced.iter().map(|id| AgentId::new(*id)).collect();
        Outcome::Enrolled(Enrolled { agent: AgentId::new(agent), replaced })
    }

    const TAKEN: Outcome = Outcome::Refused(Refusal::DuplicateName(AgentId::new(1)));

    #[test]
    fn ids_are_never_given_twice() {
        let mut script = Script::new();
        assert_eq!(enroll(&mut script, enrollment("web-01")), enrolled(1, &[]));
        script.remove(AgentId::new(1));
        assert_eq!(enroll(&mut script, enrollment("web-01")), enrolled(2, &[]));
    }

    #[test]
    fn a_name_is_taken_while_its_agent_is_registered() {
        let mut script = Script::new();
        enroll(&mut script, enrollment("web-01"));
        assert_eq!(enroll(&mut script, enrollment("web-01")), TAKEN);
        assert_eq!(enroll(&mut script, enrollment("WEB-01")), enrolled(2, &[]));
    }

    #[test]
    fn a_young_registration_does_not_give_way() {
        let mut script = Script::new();
        enroll(&mut script, enrollment("web-01"));
        assert_eq!(enroll(&mut script, forced("web-01")), TAKEN);
        script.pass(3_600_000);
        assert_eq!(enroll(&mut script, forced("web-01")), enrolled(2, &[1]));
    }

    #[test]
    fn an_id_that_was_used_up_keeps_a_late_enrollment_out() {
        let mut script = Script::new();
        let nobody = || crate::change::RemoveAgents {
            agents: crate::selector::AgentSet::Only(Vec::new()),
            statuses: None,
            older_than: Millis::new(0),
        };
        let (early, late) = (crate::ids::ChangeId::new([1; 16]), crate::ids::ChangeId::new([2; 16]));
        let reused = Outcome::Refused(Refusal::ChangeIdReused);
        script.apply_as(late, Change::RemoveAgents(nobody()));
        assert_eq!(script.apply_as(late, Change::EnrollAgent(enrollment("web-01"))), reused);
        assert_eq!(script.apply_as(early, Change::EnrollAgent(enrollment("web-02"))), enrolled(1, &[]));
        assert_eq!(script.apply_as(early, Change::RemoveAgents(nobody())), reused);
        assert_eq!(script.control.agents().iter().map(|agent| agent.id.get()).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn one_refused_enrollment_does_not_spoil_its_batch() {
        let mut script = Script::new();
        let asked = |name| EnrollAgent {
            registered_from: Some(Label::truncated("10.0.0.5")),
            asked_at: Some(LogIndex::default()),
            ..forced(name)
        };
        let enrollments = vec![asked("web-01"), asked("web-02"), asked("web-01"), asked("web-03")];
        let Outcome::Enrollments(answers) = script.apply(Change::EnrollAgents(EnrollAgents { enrollments })) else {
            panic!("each is answered alone");
        };
        let enrolled =
            |agent| EnrollmentAnswer::Enrolled(Enrolled { agent: AgentId::new(agent), replaced: Vec::new() });
        // Of two attempts of one agent in one batch the first counts: it may have been told so.
        let taken = EnrollmentAnswer::Refused(Refusal::DuplicateName(AgentId::new(1)));
        assert_eq!(answers, [enrolled(1), enrolled(2), taken, enrolled(3)]);
        assert_eq!(script.events.len(), 3);
    }

    #[test]
    fn an_active_agent_never_gives_way() {
        let mut script = Script::new();
        script.node(1);
        enroll(&mut script, enrollment("web-01"));
        script.connect(AgentId::new(1), 1);
        script.keep_leases(3_600_000 * 2);
        assert_eq!(enroll(&mut script, forced("web-01")), TAKEN);
    }

    #[test]
    fn an_agent_that_holds_the_right_key_is_not_replaced() {
        let mut script = Script::new();
        enroll(&mut script, enrollment("web-01"));
        script.pass(3_600_000);
        let right = key_hash(&script.agent(AgentId::new(1)));
        let same = EnrollAgent { key_hash: Some(right), ..forced("web-01") };
        assert_eq!(enroll(&mut script, same), TAKEN);
        let other = EnrollAgent { key_hash: Some(Label::truncated("00")), ..forced("web-01") };
        assert_eq!(enroll(&mut script, other), enrolled(2, &[1]));
    }

    #[test]
    fn the_peer_of_a_lost_answer_may_enroll_again_at_once() {
        let mut script = Script::new();
        let from = |peer: &str| EnrollAgent { registered_from: Some(Label::truncated(peer)), ..forced("web-01") };
        enroll(&mut script, from("10.0.0.5"));
        assert_eq!(enroll(&mut script, from("10.0.0.6")), TAKEN);
        assert_eq!(enroll(&mut script, from("10.0.0.5")), enrolled(2, &[1]));
    }

    #[test]
    fn a_request_does_not_replace_what_was_registered_after_it_was_made() {
        let mut script = Script::new();
        let asked_at = |index| EnrollAgent {
            registered_from: Some(Label::truncated("10.0.0.5")),
            asked_at: Some(LogIndex::new(index)),
            force: Force { registered_for: Millis::new(0), ..Force::enrollment_default() },
            ..enrollment("web-01")
        };
        assert_eq!(enroll(&mut script, asked_at(0)), enrolled(1, &[]));
        assert_eq!(enroll(&mut script, asked_at(0)), TAKEN);
        assert_eq!(enroll(&mut script, asked_at(1)), enrolled(2, &[1]));
        let longer = EnrollAgent { force: Force::enrollment_default(), ..asked_at(2) };
        script.pass(3_600_000);
        let taken = Outcome::Refused(Refusal::DuplicateName(AgentId::new(2)));
        assert_eq!(enroll(&mut script, longer), taken);
    }

    #[test]
    fn one_request_can_replace_the_holder_of_the_name_and_that_of_the_address() {
        let mut script = Script::new();
        let at = |name: &str| EnrollAgent { address: "10.0.0.5".parse().expect("an address"), ..forced(name) };
        enroll(&mut script, at("web-01"));
        enroll(&mut script, enrollment("web-02"));
        script.pass(3_600_000);
        assert_eq!(enroll(&mut script, at("web-02")), enrolled(3, &[1, 2]));
        assert_eq!(script.control.agents().len(), 1);
    }

    #[test]
    fn groups_have_to_exist() {
        let mut script = Script::new();
        let web = vec!["web".parse().expect("a group name")];
        let change = EnrollAgent { groups: web.clone(), ..enrollment("web-01") };
        assert_eq!(enroll(&mut script, change.clone()), Outcome::Refused(Refusal::UnknownGroup));
        script.apply(Change::CreateGroup(web[0].clone()));
        assert_eq!(enroll(&mut script, change), enrolled(1, &[]));
        assert_eq!(script.control.agents().in_group(&web[0]).collect::<Vec<_>>(), [AgentId::new(1)]);
    }

    #[test]
    fn the_hash_is_that_of_the_protocol() {
        let mut script = Script::new();
        let key = "6f1c2b7a9d3e4f508172635445362718a9b8c7d6e5f4031221304f5e6d7c8b9a".parse().expect("a key");
        enroll(&mut script, EnrollAgent { key, ..enrollment("web-01") });
        assert_eq!(key_hash(&script.agent(AgentId::new(1))).as_str(), KEY_HASH);
    }

    /// `keys[0].enrollment_key_hash_sha1` of the protocol's vectors.
    const KEY_HASH: &str = "555884dca659ba9efc7e832888d58bc90507b730";

    #[test]
    fn the_test_of_age_can_be_disabled() {
        let mut script = Script::new();
        enroll(&mut script, enrollment("web-01"));
        let mut change = forced("web-01");
        change.force.registered_for = Millis::new(0);
        assert_eq!(enroll(&mut script, change), enrolled(2, &[1]));
    }
}
