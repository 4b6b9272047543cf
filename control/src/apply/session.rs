//! Sessions: who holds an agent's connection, and whose statements about it count.

use crate::agent::{Agent, Session, Status, StatusCode};
use crate::change::{
    CloseCause, CloseSession, CloseSessions, OpenSession, OpenSessions, RefusedStartup, Seen, Sighting,
};
use crate::control::{Control, Turn};
use crate::event::{EndCause, Event};
use crate::ids::{AgentId, Epoch, Generation, NodeId};
use crate::outcome::{Outcome, PerAgent, Refusal, RefusedAgent, SessionAnswer};
use crate::report::Report;
use crate::shared::Shared;
use crate::text::GroupName;

impl Control {
    pub(crate) fn open_sessions(&mut self, open: &OpenSessions, turn: &mut Turn) -> Outcome {
        match self.leased(open.node, open.generation) {
            Err(refusal) => Outcome::Refused(refusal),
            Ok(()) => {
                let one = |session| match self.open_session(open, session, turn) {
                    Ok(epoch) => SessionAnswer::Opened(epoch),
                    Err(refusal) => SessionAnswer::Refused(refusal),
                };
                Outcome::Sessions(open.sessions.iter().map(one).collect())
            }
        }
    }

    fn leased(&self, node: NodeId, generation: Generation) -> Result<(), Refusal> {
        match self.nodes.get(&node) {
            None => Err(Refusal::NoLease),
            Some(node) if node.generation != generation => Err(Refusal::StaleGeneration),
            Some(node) if node.lease_until.is_none() => Err(Refusal::NoLease),
            Some(_) => Ok(()),
        }
    }

    fn open_session(&mut self, open: &OpenSessions, new: &OpenSession, turn: &mut Turn) -> Result<Epoch, Refusal> {
        let agent = self.agents.get(new.agent).ok_or(Refusal::UnknownAgent)?;
        let lost = agent.session.is_none() && agent.status_code == StatusCode::NodeLost;
        if new.resume.is_some_and(|epoch| epoch != agent.epoch || !lost) {
            return Err(Refusal::StaleEpoch);
        }
        let epoch = agent.epoch.next();
        if let Some(old) = agent.session.clone() {
            self.note_process(new.agent);
            let (node, epoch) = (old.node, old.epoch);
            turn.events.push(Event::SessionEnded { agent: new.agent, node, epoch, cause: EndCause::Superseded });
        }
        let session =
            Session { epoch, node: open.node, opened_at: turn.now, peer: new.peer.clone(), kept_alive: false };
        self.agents.update(new.agent, |agent| {
            agent.epoch = epoch;
            agent.session = Some(Shared::new(session));
            agent.owner = Some(open.node);
            agent.revision = turn.index;
            if new.resume.is_none() {
                agent.last_keepalive = Some(turn.now);
                agent.startup_at = new.startup_at.unwrap_or_default();
            }
            if let Some(version) = &new.version {
                agent.report.make_mut().version = Some(version.clone());
            }
            if agent.groups.is_empty() {
                agent.groups.make_mut().push(GroupName::default_group());
            }
            let status = if new.spoke { Status::Active } else { Status::Pending };
            agent.transition(turn.index, turn.now, status, StatusCode::None);
        });
        turn.events.push(Event::SessionOpened { agent: new.agent, node: open.node, epoch });
        self.lane_meets_session(new.agent, new.resume.is_none(), turn);
        Ok(epoch)
    }

    pub(crate) fn close_sessions(&mut self, close: &CloseSessions, turn: &mut Turn) -> Outcome {
        refused(close.closes.iter().map(|close| (close.agent, self.close_session(close, turn))))
    }

    fn close_session(&mut self, close: &CloseSession, turn: &mut Turn) -> Result<(), Refusal> {
        self.current(close.agent, close.epoch)?;
        match close.cause {
            CloseCause::Shutdown => {
                self.note_shutdown(close.agent);
                self.end_session(close.agent, StatusCode::Shutdown, EndCause::Shutdown, turn);
            }
            CloseCause::Silent => self.end_session(close.agent, StatusCode::Silent, EndCause::Silent, turn),
        }
        Ok(())
    }

    /// Ends the open session of an agent, if it has one.
    pub(crate) fn end_session(&mut self, id: AgentId, code: StatusCode, cause: EndCause, turn: &mut Turn) {
        let Some(session) = self.agents.get(id).and_then(|agent| agent.session.clone()) else { return };
        self.note_process(id);
        self.agents.update(id, |agent| {
            agent.session = None;
            agent.revision = turn.index;
            agent.transition(turn.index, turn.now, Status::Disconnected, code);
        });
        turn.events.push(Event::SessionEnded { agent: id, node: session.node, epoch: session.epoch, cause });
    }

    pub(crate) fn seen(&mut self, seen: &Seen, turn: &mut Turn) -> Outcome {
        for startup in seen.refused.iter().flatten() {
            self.refused_startup(startup, turn);
        }
        refused(seen.sightings.iter().map(|sighting| (sighting.agent, self.sighting(sighting, turn))))
    }

    /// Only the reason changes, and not while somebody holds a session: a refusal has no epoch to be right with.
    fn refused_startup(&mut self, startup: &RefusedStartup, turn: &Turn) {
        let is_reason = matches!(startup.code, StatusCode::TooNew | StatusCode::NoVersion);
        let told = |agent: &Agent| agent.session.is_none() && agent.status_code != startup.code;
        if is_reason && self.agents.get(startup.agent).is_some_and(|agent| told(agent)) {
            self.agents.update(startup.agent, |agent| {
                agent.status_code = startup.code;
                agent.revision = turn.index;
            });
        }
    }

    fn sighting(&mut self, sighting: &Sighting, turn: &Turn) -> Result<(), Refusal> {
        self.current(sighting.agent, sighting.epoch)?;
        self.agents.update(sighting.agent, |agent| {
            if sighting.keepalive_at.is_some() {
                // By the owner's clock; one that is ahead must not make the agent seem alive for longer.
                agent.last_keepalive = agent.last_keepalive.max(sighting.keepalive_at.map(|at| at.min(turn.now)));
                mark_kept_alive(agent);
            }
            let news = sighting.report.as_ref().is_some_and(|report| learn(agent, report));
            if news {
                agent.revision = turn.index;
            }
        });
        self.heard(sighting.agent, turn);
        Ok(())
    }

    /// The agent spoke in its open session, whatever it said.
    pub(crate) fn heard(&mut self, agent: AgentId, turn: &Turn) {
        if self.agents.get(agent).is_none_or(|agent| agent.status == Status::Active) {
            return;
        }
        self.agents.update(agent, |agent| {
            agent.revision = turn.index;
            agent.transition(turn.index, turn.now, Status::Active, StatusCode::None);
        });
    }

    /// Whether a statement under this epoch counts.
    pub(crate) fn current(&self, agent: AgentId, epoch: Epoch) -> Result<(), Refusal> {
        let agent = self.agents.get(agent).ok_or(Refusal::UnknownAgent)?;
        if agent.holds(epoch) { Ok(()) } else { Err(Refusal::StaleEpoch) }
    }
}

fn mark_kept_alive(agent: &mut Agent) {
    if let Some(session) = agent.session.as_mut().filter(|session| !session.kept_alive) {
        session.make_mut().kept_alive = true;
    }
}

/// Merges a report; tells whether it brought anything new.
fn learn(agent: &mut Agent, report: &Report) -> bool {
    let before = agent.report.clone();
    agent.report.make_mut().merge(report);
    *before != *agent.report
}

/// Only what was refused: a batch of statements is as good as done.
pub(crate) fn refused(results: impl Iterator<Item = (AgentId, Result<(), Refusal>)>) -> Outcome {
    let refused = results.filter_map(|(agent, result)| result.err().map(|refusal| RefusedAgent { agent, refusal }));
    Outcome::Agents(PerAgent { refused: refused.collect(), ..PerAgent::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use crate::stamp::Stamp;
    use crate::testing::{Script, node};
    use crate::text::Label;

    fn report(version: Option<&str>) -> Report {
        Report { version: version.map(Label::truncated), ..Report::default() }
    }

    fn tell(script: &mut Script, agent: AgentId, epoch: Epoch, report: Report) {
        let keepalive_at = Some(script.control.clock());
        let sighting = Sighting { agent, epoch, keepalive_at, report: Some(report) };
        assert_eq!(
            script.apply(Change::Seen(Seen { sightings: vec![sighting], refused: None })),
            refused(std::iter::empty())
        );
    }

    #[test]
    fn an_agent_is_active_from_its_first_message_after_the_ack() {
        let mut script = Script::new();
        script.node(1);
        let agent = script.enroll();
        let epoch = script.opened(agent, 1);
        assert_eq!(script.agent(agent).status, Status::Pending);
        let sighting = Sighting { agent, epoch, keepalive_at: None, report: None };
        script.apply(Change::Seen(Seen { sightings: vec![sighting], refused: None }));
        assert_eq!(script.agent(agent).status, Status::Active);
        assert_eq!(script.agent(agent).report.version, None);
    }

    #[test]
    fn a_refused_startup_tells_its_reason_and_disturbs_no_session() {
        let mut script = Script::new();
        script.node(1);
        let agent = script.enroll();
        let refuse = |script: &mut Script, code| {
            let refused = Some(vec![RefusedStartup { agent, code }]);
            script.apply(Change::Seen(Seen { sightings: Vec::new(), refused }));
            let record = script.agent(agent);
            (record.status, record.status_code)
        };
        for code in [StatusCode::TooNew, StatusCode::NoVersion] {
            assert_eq!(refuse(&mut script, code), (Status::NeverConnected, code));
        }
        assert_eq!(refuse(&mut script, StatusCode::Shutdown).1, StatusCode::NoVersion, "that is no such reason");
        script.opened(agent, 1);
        assert_eq!(refuse(&mut script, StatusCode::TooNew), (Status::Pending, StatusCode::None));
    }

    #[test]
    fn a_late_statement_of_the_former_owner_changes_nothing() {
        let mut script = Script::new();
        script.node(1);
        script.node(2);
        let (agent, old) = script.connected(1);
        let new = script.connect(agent, 2);
        let before = script.agent(agent);
        for cause in [CloseCause::Shutdown, CloseCause::Silent] {
            let close = CloseSession { agent, epoch: old, cause };
            let outcome = script.apply(Change::CloseSessions(CloseSessions { closes: vec![close] }));
            let refusal = Refusal::StaleEpoch;
            let expected = PerAgent { refused: vec![RefusedAgent { agent, refusal }], ..PerAgent::default() };
            assert_eq!(outcome, Outcome::Agents(expected));
        }
        assert_eq!(script.sighting(agent, old), Err(Refusal::StaleEpoch));
        let after = script.agent(agent);
        assert_eq!((after.status, after.owner, after.epoch), (Status::Active, Some(node(2)), new));
        assert_eq!(after.revision, before.revision);
    }

    #[test]
    fn one_stale_statement_does_not_spoil_its_batch() {
        let mut script = Script::new();
        script.node(1);
        let (moved, old) = script.connected(1);
        script.connect(moved, 1);
        let fresh = script.enroll();
        let epoch = script.opened(fresh, 1);
        let sightings = [(moved, old), (fresh, epoch)]
            .map(|(agent, epoch)| Sighting { agent, epoch, keepalive_at: None, report: None })
            .to_vec();
        script.apply(Change::Seen(Seen { sightings, refused: None }));
        assert_eq!(script.agent(fresh).status, Status::Active);
    }

    #[test]
    fn a_report_without_version_does_not_erase_the_version() {
        let mut script = Script::new();
        script.node(1);
        let (agent, epoch) = script.connected(1);
        tell(&mut script, agent, epoch, report(Some("Wazuh v4.14.7")));
        tell(&mut script, agent, epoch, report(None));
        assert_eq!(script.agent(agent).report.version, Some(Label::truncated("Wazuh v4.14.7")));
    }

    #[test]
    fn a_session_is_resumed_only_if_there_was_no_other_since() {
        let mut script = Script::new();
        script.node(1);
        script.node(2);
        let (stayed, first) = script.connected(1);
        let (moved, old) = script.connected(1);
        script.pass(script.lease.get());
        script.node(1);
        script.node(2);
        let new = script.connect(moved, 2);
        assert_eq!(script.resume(moved, 1, old), SessionAnswer::Refused(Refusal::StaleEpoch));
        assert_eq!(script.resume(stayed, 1, first), SessionAnswer::Opened(first.next()));
        assert_eq!(script.agent(stayed).status, Status::Active);
        assert_eq!((script.agent(moved).owner, script.agent(moved).epoch), (Some(node(2)), new));
    }

    #[test]
    fn a_session_that_ended_with_a_goodbye_is_not_resumed() {
        let mut script = Script::new();
        script.node(1);
        let (agent, epoch) = script.connected(1);
        script.close(agent, epoch, CloseCause::Shutdown).expect("the session is open");
        assert_eq!(script.resume(agent, 1, epoch), SessionAnswer::Refused(Refusal::StaleEpoch));
    }

    #[test]
    fn the_history_of_an_agent_is_bounded() {
        let mut script = Script::new();
        script.node(1);
        script.node(2);
        let agent = script.enroll();
        for turn in 0..20 {
            script.connect(agent, 1 + turn % 2);
        }
        let history = script.agent(agent).history.clone();
        assert_eq!(history.len(), crate::history::History::LIMIT);
        assert!(history.is_sorted_by_key(|transition| transition.index));
        assert_eq!(history.last().expect("it is full").owner, Some(node(2)));
    }

    #[test]
    fn a_keepalive_that_comes_late_does_not_set_the_time_back() {
        let mut script = Script::new();
        script.node(1);
        let (agent, epoch) = script.connected(1);
        let before = script.agent(agent).last_keepalive;
        let late = Sighting { agent, epoch, keepalive_at: Some(Stamp::from_millis(1)), report: None };
        script.apply(Change::Seen(Seen { sightings: vec![late], refused: None }));
        assert_eq!(script.agent(agent).last_keepalive, before);
    }
}
