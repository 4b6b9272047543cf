//! Issuing commands: to whom they go is decided here, from the state at their index.

use std::sync::Arc;

use imbl::OrdMap;

use crate::agent::Status;
use crate::apply::removal::sorted;
use crate::change::IssueCommand;
use crate::command::{Command, CommandHead, Delivery};
use crate::control::{Control, Turn};
use crate::ids::{AgentId, CommandId};
use crate::outcome::{Issued, Outcome, Refusal, RefusedAgent};
use crate::selector::Selector;
use crate::shared::Shared;
use crate::timer::Timer;

/// Beyond so many deliveries in all, commands that are finished are forgotten, the oldest first.
const REMEMBERED_DELIVERIES: usize = 500_000;

/// So many commands are remembered at most, however few deliveries they have.
const REMEMBERED_COMMANDS: usize = 10_000;

/// A command that would bring the deliveries in all beyond this is refused.
const DELIVERIES_LIMIT: usize = 2_000_000;

impl Control {
    pub(crate) fn issue_command(&mut self, issue: &IssueCommand, turn: &mut Turn) -> Outcome {
        let (targets, refused) = match self.targets(&issue.selector) {
            Ok(split) => split,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        self.forget_commands(targets.len());
        if self.deliveries() + targets.len() > DELIVERIES_LIMIT {
            return Outcome::Refused(Refusal::TooManyDeliveries);
        }
        let id = CommandId::new(turn.index.get());
        let head = CommandHead {
            id,
            kind: issue.kind,
            selector: Shared::new(issue.selector.clone()),
            issuer: issue.issuer.clone(),
            issued_at: turn.now,
            send_before: turn.now.plus(issue.send_within),
            revision: turn.index,
        };
        turn.events.reserve_exact(targets.len()); // memory that is touched for the first time is most of the cost here
        let mut delivery = |agent: &AgentId| {
            let shares = self.enqueue(*agent, id, issue.kind, turn);
            (*agent, Delivery::queued(turn.now, turn.index, shares))
        };
        let deliveries: OrdMap<AgentId, Delivery> = targets.iter().map(&mut delivery).collect();
        self.timers.set(head.send_before, Timer::SendBefore(id));
        self.commands.insert(id, Arc::new(Command::new(head, deliveries)));
        Outcome::Issued(Issued { command: id, targets, refused })
    }

    /// The agents it will go to, and of an explicit list those it will not; both in order of ids.
    fn targets(&self, selector: &Selector) -> Result<(Vec<AgentId>, Vec<RefusedAgent>), Refusal> {
        let is_active = |id: &AgentId| self.agents.get(*id).is_some_and(|agent| agent.status == Status::Active);
        let targets = match selector {
            Selector::All => self.agents.active().collect(),
            Selector::Group(name) => {
                self.group(name).ok_or(Refusal::UnknownGroup)?;
                self.agents.in_group(name).filter(is_active).collect()
            }
            Selector::Node(name) => {
                let node = self.node_named(name).ok_or(Refusal::UnknownNode)?;
                self.agents.with_session_on(node.id).filter(is_active).collect()
            }
            Selector::Agents(ids) => return Ok(self.split(ids)),
        };
        Ok((targets, Vec::new()))
    }

    fn split(&self, ids: &[AgentId]) -> (Vec<AgentId>, Vec<RefusedAgent>) {
        let (mut targets, mut refused) = (Vec::new(), Vec::new());
        for agent in sorted(ids) {
            let refusal = match self.agents.get(agent).map(|agent| agent.status) {
                _ if agent == AgentId::MANAGER => Refusal::Manager,
                None => Refusal::UnknownAgent,
                Some(Status::Active) => {
                    targets.push(agent);
                    continue;
                }
                Some(_) => Refusal::NotActive,
            };
            refused.push(RefusedAgent { agent, refusal });
        }
        (targets, refused)
    }

    fn deliveries(&self) -> usize {
        self.commands.values().map(|command| command.deliveries.len()).sum()
    }

    /// Makes room for a command with so many deliveries.
    fn forget_commands(&mut self, coming: usize) {
        let mut deliveries = self.deliveries() + coming;
        let mut finished: Vec<_> =
            self.commands.values().filter(|command| command.is_finished()).map(|command| command.head.id).collect();
        finished.reverse();
        while deliveries > REMEMBERED_DELIVERIES || self.commands.len() >= REMEMBERED_COMMANDS {
            let Some(command) = finished.pop().and_then(|oldest| self.commands.remove(&oldest)) else { break };
            deliveries -= command.deliveries.len();
            self.timers.clear(command.head.send_before, Timer::SendBefore(command.head.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CommandKind, Stage};
    use crate::testing::Script;

    #[test]
    fn each_agent_of_a_list_is_accepted_or_refused_alone() {
        let mut script = Script::new();
        script.node(1);
        let (active, _) = script.connected(1);
        let idle = script.enroll();
        let pending = script.enroll();
        script.opened(pending, 1);
        let unknown = AgentId::new(99);
        let list = vec![unknown, idle, active, AgentId::MANAGER, pending, active];
        let issued = script.issue(CommandKind::Restart, Selector::Agents(list)).expect("nothing refuses it whole");
        assert_eq!(issued.targets, [active]);
        let refused: Vec<_> = issued.refused.iter().map(|refused| (refused.agent, refused.refusal)).collect();
        let expected = [
            (AgentId::MANAGER, Refusal::Manager),
            (idle, Refusal::NotActive),
            (pending, Refusal::NotActive),
            (unknown, Refusal::UnknownAgent),
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn an_active_agent_that_never_told_a_version_is_commanded_like_any_other() {
        let mut script = Script::new();
        script.node(1);
        let (silent, _) = script.connected(1);
        let (other, _) = script.connected(1);
        assert_eq!(script.agent(silent).report.version, None);
        let issued = script.issue(CommandKind::Restart, Selector::All).expect("nothing refuses it whole");
        assert_eq!(issued.targets, [silent, other]);
    }

    #[test]
    fn a_node_is_commanded_through_the_agents_it_owns() {
        let mut script = Script::new();
        script.node(1);
        script.node(2);
        let (stays, _) = script.connected(1);
        let (moves, _) = script.connected(1);
        script.connect(moves, 2);
        let one = script.control.node(crate::testing::node(1)).expect("it is registered").name.clone();
        let issued = script.issue(CommandKind::Reconnect, Selector::Node(one)).expect("the node is known");
        assert_eq!(issued.targets, [stays]);
        let nobody = "nobody".parse().expect("a node name");
        assert_eq!(script.issue(CommandKind::Restart, Selector::Node(nobody)), Err(Refusal::UnknownNode));
    }

    #[test]
    fn what_is_open_is_never_forgotten() {
        let mut script = Script::new();
        script.node(1);
        script.connected(1);
        let first = script.issue(CommandKind::Restart, Selector::All).expect("an agent is active");
        for _ in 0..3 {
            script.issue(CommandKind::Restart, Selector::Agents(vec![])).expect("an empty list is a command too");
        }
        script.control.forget_commands(REMEMBERED_DELIVERIES);
        let kept: Vec<_> = script.control.commands().map(|command| command.head.id).collect();
        assert_eq!(kept, [first.command]);
        assert_eq!(script.control.command(first.command).expect("kept").count(Stage::Queued), 1);
    }
}
