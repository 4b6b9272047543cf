//! Groups and who is in them.

use crate::agent::Agent;
use crate::apply::enrollment::GROUPS_LIMIT;
use crate::change::{AssignGroup, LeaveGroups, RemoveGroups, UnassignGroup};
use crate::control::{Control, Turn};
use crate::group::Group;
use crate::ids::{AgentId, LogIndex};
use crate::outcome::{Outcome, PerAgent, PerGroup, Refusal, RefusedAgent, RefusedGroup};
use crate::text::GroupName;

impl Control {
    pub(crate) fn create_group(&mut self, name: &GroupName, turn: &Turn) -> Outcome {
        let taken = self.groups.contains_key(name) || name.as_str().eq_ignore_ascii_case("default");
        if taken {
            return Outcome::Refused(Refusal::GroupExists);
        }
        let group = Group { name: name.clone(), created_at: turn.now, revision: turn.index };
        self.groups.insert(name.clone(), group);
        Outcome::Done
    }

    pub(crate) fn remove_groups(&mut self, remove: &RemoveGroups, turn: &Turn) -> Outcome {
        let default = GroupName::default_group();
        let all = || self.groups.keys().filter(|name| **name != default).cloned().collect();
        let wanted: Vec<GroupName> = remove.groups.clone().unwrap_or_else(all);
        let mut result = PerGroup::default();
        for group in wanted {
            if group == default {
                result.refused.push(RefusedGroup { group, refusal: Refusal::GroupReserved });
            } else if self.groups.remove(&group).is_none() {
                result.refused.push(RefusedGroup { group, refusal: Refusal::UnknownGroup });
            } else {
                let members: Vec<_> = self.agents.in_group(&group).collect();
                for member in members {
                    self.agents.update(member, |agent| leave(agent, &group, turn.index));
                }
                result.done.push(group);
            }
        }
        Outcome::Groups(result)
    }

    pub(crate) fn assign_group(&mut self, assign: &AssignGroup, turn: &Turn) -> Outcome {
        if self.group(&assign.group).is_none() {
            return Outcome::Refused(Refusal::UnknownGroup);
        }
        let agents = self.resolve(&assign.agents);
        per_agent(agents, |id| {
            let agent = self.registered(id)?;
            if !assign.replace && agent.groups.contains(&assign.group) {
                return Err(Refusal::AlreadyMember);
            }
            if !assign.replace && agent.groups.len() >= GROUPS_LIMIT {
                return Err(Refusal::TooManyGroups);
            }
            self.agents.update(id, |agent| {
                let groups = agent.groups.make_mut();
                if assign.replace {
                    groups.clear();
                }
                groups.push(assign.group.clone());
                agent.revision = turn.index;
            });
            Ok(())
        })
    }

    pub(crate) fn unassign_group(&mut self, unassign: &UnassignGroup, turn: &Turn) -> Outcome {
        if self.group(&unassign.group).is_none() {
            return Outcome::Refused(Refusal::UnknownGroup);
        }
        let mut result = PerAgent::default();
        for agent in self.resolve(&unassign.agents) {
            let left = self.registered(agent).map(|agent| agent.groups.len() == 1);
            let left = left.and_then(|last| self.leave_group(agent, &unassign.group, turn).map(|()| last));
            match left {
                Ok(last) => {
                    result.done.push(agent);
                    result.fell_back.extend(last.then_some(agent));
                }
                Err(refusal) => result.refused.push(RefusedAgent { agent, refusal }),
            }
        }
        Outcome::Agents(result)
    }

    /// Takes an agent out of several groups, the default one last: leaving the others may put it there.
    pub(crate) fn leave_groups(&mut self, leave: &LeaveGroups, turn: &Turn) -> Outcome {
        let own = match self.registered(leave.agent) {
            Err(refusal) => return Outcome::Refused(refusal),
            Ok(agent) => agent.groups.clone(),
        };
        let mut groups = leave.groups.clone().unwrap_or_else(|| own.to_vec());
        let default = GroupName::default_group();
        groups.sort_by_key(|group| *group == default);
        let mut result = PerGroup::default();
        for group in groups {
            let known = if self.groups.contains_key(&group) { Ok(()) } else { Err(Refusal::UnknownGroup) };
            match known.and_then(|()| self.leave_group(leave.agent, &group, turn)) {
                Ok(()) => result.done.push(group),
                Err(refusal) => result.refused.push(RefusedGroup { group, refusal }),
            }
        }
        Outcome::Groups(result)
    }

    fn leave_group(&mut self, id: AgentId, group: &GroupName, turn: &Turn) -> Result<(), Refusal> {
        let agent = self.agents.get(id).ok_or(Refusal::UnknownAgent)?;
        if !agent.groups.contains(group) {
            return Err(Refusal::NotMember);
        }
        if agent.groups.len() == 1 && *group == GroupName::default_group() {
            return Err(Refusal::OnlyDefault);
        }
        self.agents.update(id, |agent| leave(agent, group, turn.index));
        Ok(())
    }

    fn registered(&self, id: AgentId) -> Result<&Agent, Refusal> {
        if id == AgentId::MANAGER {
            return Err(Refusal::Manager);
        }
        self.agents.get(id).map(|agent| &**agent).ok_or(Refusal::UnknownAgent)
    }
}

/// Takes the agent out of the group, and puts it into the default one if that was its last.
fn leave(agent: &mut Agent, group: &GroupName, revision: LogIndex) {
    let groups = agent.groups.make_mut();
    groups.retain(|own| own != group);
    if groups.is_empty() {
        groups.push(GroupName::default_group());
    }
    agent.revision = revision;
}

fn per_agent(agents: Vec<AgentId>, mut change: impl FnMut(AgentId) -> Result<(), Refusal>) -> Outcome {
    let mut result = PerAgent::default();
    for agent in agents {
        match change(agent) {
            Ok(()) => result.done.push(agent),
            Err(refusal) => result.refused.push(RefusedAgent { agent, refusal }),
        }
    }
    Outcome::Agents(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use crate::selector::AgentSet;
    use crate::testing::Script;

    fn name(text: &str) -> GroupName {
        text.parse().expect("a group name")
    }

    fn assign(script: &mut Script, agent: AgentId, group: &str, replace: bool) -> Outcome {
        let agents = AgentSet::Only(vec![agent]);
        script.apply(Change::AssignGroup(AssignGroup { agents, group: name(group), replace }))
    }

    fn groups(script: &Script, agent: AgentId) -> Vec<String> {
        script.agent(agent).groups.iter().map(GroupName::to_string).collect()
    }

    fn done(agent: AgentId) -> Outcome {
        Outcome::Agents(PerAgent { done: vec![agent], ..PerAgent::default() })
    }

    fn no(agent: AgentId, refusal: Refusal) -> Outcome {
        Outcome::Agents(PerAgent { refused: vec![RefusedAgent { agent, refusal }], ..PerAgent::default() })
    }

    #[test]
    fn assignment_appends_in_order_of_priority() {
        let mut script = Script::new();
        let agent = script.enroll();
        script.apply(Change::CreateGroup(name("web")));
        script.apply(Change::CreateGroup(name("db")));
        assert_eq!(assign(&mut script, agent, "web", false), done(agent));
        assert_eq!(assign(&mut script, agent, "db", false), done(agent));
        assert_eq!(groups(&script, agent), ["web", "db"]);
        assert_eq!(assign(&mut script, agent, "web", false), no(agent, Refusal::AlreadyMember));
        assert_eq!(assign(&mut script, agent, "web", true), done(agent));
        assert_eq!(groups(&script, agent), ["web"]);
    }

    #[test]
    fn an_agent_without_a_group_falls_back_to_the_default_one() {
        let mut script = Script::new();
        let agent = script.enroll();
        script.apply(Change::CreateGroup(name("web")));
        assign(&mut script, agent, "web", false);
        let leave = LeaveGroups { agent, groups: None };
        let gone = Outcome::Groups(PerGroup { done: vec![name("web")], refused: vec![] });
        assert_eq!(script.apply(Change::LeaveGroups(leave.clone())), gone);
        assert_eq!(groups(&script, agent), ["default"]);
        let refused = vec![RefusedGroup { group: name("default"), refusal: Refusal::OnlyDefault }];
        let kept = Outcome::Groups(PerGroup { done: vec![], refused });
        assert_eq!(script.apply(Change::LeaveGroups(leave)), kept);
    }

    #[test]
    fn who_left_its_last_group_is_told_apart_from_who_has_others() {
        let mut script = Script::new();
        let [last, other] = [script.enroll(), script.enroll()];
        script.apply(Change::CreateGroup(name("web")));
        script.apply(Change::CreateGroup(name("db")));
        assign(&mut script, last, "web", false);
        assign(&mut script, other, "web", false);
        assign(&mut script, other, "db", false);
        let agents = AgentSet::Only(vec![last, other]);
        let left = script.apply(Change::UnassignGroup(UnassignGroup { agents, group: name("web") }));
        let expected = PerAgent { done: vec![last, other], refused: vec![], fell_back: vec![last] };
        assert_eq!(left, Outcome::Agents(expected));
    }

    #[test]
    fn members_of_a_removed_group_lose_it() {
        let mut script = Script::new();
        let agent = script.enroll();
        script.apply(Change::CreateGroup(name("web")));
        assign(&mut script, agent, "web", false);
        let remove = RemoveGroups { groups: Some(vec![name("default"), name("web"), name("web")]) };
        let Outcome::Groups(result) = script.apply(Change::RemoveGroups(remove)) else { panic!("per group") };
        assert_eq!(result.done, [name("web")]);
        let refusals: Vec<_> = result.refused.iter().map(|refused| refused.refusal).collect();
        assert_eq!(refusals, [Refusal::GroupReserved, Refusal::UnknownGroup]);
        assert_eq!(groups(&script, agent), ["default"]);
        assert_eq!(script.control.agents().group_len(&name("web")), 0);
    }

    #[test]
    fn the_default_group_exists_in_any_case() {
        let mut script = Script::new();
        for taken in ["default", "DEFAULT"] {
            let outcome = script.apply(Change::CreateGroup(name(taken)));
            assert_eq!(outcome, Outcome::Refused(Refusal::GroupExists));
        }
    }

    #[test]
    fn the_manager_is_in_no_group() {
        let mut script = Script::new();
        let outcome = assign(&mut script, AgentId::MANAGER, "default", false);
        assert_eq!(outcome, no(AgentId::MANAGER, Refusal::Manager));
    }

    #[test]
    fn an_agent_is_in_at_most_128_groups() {
        let mut script = Script::new();
        let agent = script.enroll();
        for number in 0..=GROUPS_LIMIT {
            script.apply(Change::CreateGroup(name(&format!("g{number}"))));
        }
        for number in 0..GROUPS_LIMIT {
            assert_eq!(assign(&mut script, agent, &format!("g{number}"), false), done(agent));
        }
        let last = format!("g{GROUPS_LIMIT}");
        assert_eq!(assign(&mut script, agent, &last, false), no(agent, Refusal::TooManyGroups));
    }
}
