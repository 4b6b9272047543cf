//! Statements on their way to the log: batched over agents, in order for each agent.

use std::collections::{HashMap, VecDeque};

use muster_control::{AgentId, CloseCause};

use super::statement::{Kind, Opening, Statement};

/// Statements of one agent that may wait at once; only a flood of answers without a quorum comes near it.
const LANE_LIMIT: usize = 64;

/// All statements that are not settled yet.
///
/// Of one agent only statements of one kind are under way at any time, those at the front of its lane; the next ones
/// wait until the log has answered. So a close never overtakes the evidence before it, while agents do not wait for
/// each other.
#[derive(Debug, Default)]
pub(crate) struct StatementQueue {
    lanes: HashMap<AgentId, Lane>,
    /// Agents whose front statement is of the kind, and not under way.
    ready: [VecDeque<AgentId>; Kind::ALL.len()],
}

/// Statements of one agent; never empty while it is stored.
#[derive(Debug, Default)]
struct Lane {
    statements: VecDeque<Statement>,
    /// How many at the front are under way.
    taken: usize,
}

impl StatementQueue {
    /// Whether nothing waits and nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether [`StatementQueue::take`] has something to look at.
    pub(crate) fn has_ready(&self, kind: Kind) -> bool {
        !self.ready[kind.index()].is_empty()
    }

    /// Whether anything of this agent waits or is under way.
    pub(crate) fn holds(&self, agent: AgentId) -> bool {
        self.lanes.contains_key(&agent)
    }

    /// Adds a statement behind those of the same agent; sightings in a row become one.
    pub(crate) fn push(&mut self, agent: AgentId, statement: Statement) {
        let lane = self.lanes.entry(agent).or_default();
        let count = lane.statements.len();
        match (lane.statements.back_mut().filter(|_| count > lane.taken), statement) {
            (Some(Statement::Sighting(last)), Statement::Sighting(sight)) => last.absorb(sight),
            (_, Statement::Evidence(..)) if count >= LANE_LIMIT => {
                tracing::warn!(agent_id = %agent, "evidence dropped, too much of it waits");
            }
            (_, statement) => {
                lane.statements.push_back(statement);
                if lane.statements.len() == 1 {
                    self.make_ready(agent);
                }
            }
        }
    }

    /// Puts a statement in front of all that wait; what is under way stays before it.
    pub(crate) fn push_next(&mut self, agent: AgentId, statement: Statement) {
        let lane = self.lanes.entry(agent).or_default();
        lane.statements.insert(lane.taken, statement);
        if lane.taken == 0 {
            self.make_ready(agent);
        }
    }

    /// The last session of this agent that waits to be opened.
    pub(crate) fn waiting_open(&mut self, agent: AgentId) -> Option<&mut Opening> {
        let lane = self.lanes.get_mut(&agent)?;
        lane.statements.iter_mut().skip(lane.taken).rev().find_map(|statement| match statement {
            Statement::Open(opening) => Some(opening),
            _ => None,
        })
    }

    /// Whether the agent's shutdown is still to be stated for the session at the front of its lane.
    pub(crate) fn has_shutdown(&self, agent: AgentId) -> bool {
        let Some(lane) = self.lanes.get(&agent) else { return false };
        let is_open = |statement: &Statement| matches!(statement, Statement::Open(_));
        let own_open = usize::from(lane.statements.front().is_some_and(is_open));
        let mut session = lane.statements.iter().skip(own_open).take_while(|statement| !is_open(statement));
        session.any(|statement| *statement == Statement::Close(CloseCause::Shutdown))
    }

    /// Takes the next agent with a front statement of `kind`, and that run of statements.
    ///
    /// Each run taken is given back by [`StatementQueue::settle`], [`StatementQueue::put_back`] or
    /// [`StatementQueue::drop_session`].
    pub(crate) fn take(&mut self, kind: Kind) -> Option<(AgentId, Vec<Statement>)> {
        loop {
            let agent = self.ready[kind.index()].pop_front()?;
            // An agent may be listed again after something was put in front; the older listing is void then.
            let Some(lane) = self.lanes.get_mut(&agent).filter(|lane| lane.taken == 0) else { continue };
            let run = match kind {
                Kind::Receipt => lane.statements.iter().take_while(|statement| statement.kind() == kind).count(),
                _ => usize::from(lane.statements.front().is_some_and(|statement| statement.kind() == kind)),
            };
            if run > 0 {
                lane.taken = run;
                return Some((agent, lane.statements.iter().take(run).cloned().collect()));
            }
        }
    }

    /// The log has answered what was taken of this agent.
    pub(crate) fn settle(&mut self, agent: AgentId) {
        let Some(lane) = self.lanes.get_mut(&agent) else { return };
        lane.statements.drain(..lane.taken);
        lane.taken = 0;
        self.make_ready(agent);
    }

    /// What was taken of this agent was certainly not applied, and waits again at its front.
    pub(crate) fn put_back(&mut self, agent: AgentId) {
        if let Some(lane) = self.lanes.get_mut(&agent) {
            lane.taken = 0;
            self.make_ready(agent);
        }
    }

    /// Like [`StatementQueue::put_back`], behind `resume`; of what was taken only `kept` stays.
    pub(crate) fn put_back_behind(&mut self, agent: AgentId, resume: Statement, kept: impl Fn(&Statement) -> bool) {
        let Some(lane) = self.lanes.get_mut(&agent) else { return };
        let taken: Vec<_> = lane.statements.drain(..lane.taken).filter(|statement| kept(statement)).collect();
        lane.taken = 0;
        // It may be there already, if the end of the session was noticed before this answer came.
        let announced = |statement: &Statement| match (statement, &resume) {
            (Statement::Open(waiting), Statement::Open(new)) => waiting.resume == new.resume,
            _ => false,
        };
        if lane.statements.front().is_some_and(announced) {
            lane.statements.pop_front();
        }
        taken.into_iter().rev().for_each(|statement| lane.statements.push_front(statement));
        lane.statements.push_front(resume);
        self.make_ready(agent);
    }

    /// Drops what was taken of this agent and all that belongs to the same session.
    pub(crate) fn drop_session(&mut self, agent: AgentId) {
        let Some(lane) = self.lanes.get_mut(&agent) else { return };
        lane.statements.drain(..lane.taken);
        lane.taken = 0;
        let next = lane.statements.iter().position(|statement| matches!(statement, Statement::Open(_)));
        lane.statements.drain(..next.unwrap_or(lane.statements.len()));
        self.make_ready(agent);
    }

    fn make_ready(&mut self, agent: AgentId) {
        let Some(lane) = self.lanes.get_mut(&agent) else { return };
        match lane.statements.front() {
            Some(front) => self.ready[front.kind().index()].push_back(agent),
            None => _ = self.lanes.remove(&agent),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_control::{CommandId, Evidence, Label, Stamp};

    use super::*;
    use crate::session::sink::LineId;
    use crate::session::statement::Sight;

    const AGENT: AgentId = AgentId::new(1);

    fn open(line: u64) -> Statement {
        let peer = Label::truncated("10.0.0.1:4000");
        Statement::Open(Opening {
            line: LineId(line),
            peer,
            version: None,
            spoke: false,
            resume: None,
            startup_at: None,
        })
    }

    fn answered(command: u64) -> Statement {
        Statement::Evidence(Some(CommandId::new(command)), Evidence::Answered)
    }

    fn seen(at: u64) -> Statement {
        Statement::Sighting(Sight { keepalive_at: Some(Stamp::from_millis(at)), report: None })
    }

    fn queue(statements: impl IntoIterator<Item = Statement>) -> StatementQueue {
        let mut queue = StatementQueue::default();
        statements.into_iter().for_each(|statement| queue.push(AGENT, statement));
        queue
    }

    #[test]
    fn a_close_waits_until_the_evidence_before_it_is_answered() {
        let close = Statement::Close(CloseCause::Shutdown);
        let mut queue = queue([answered(1), answered(2), close.clone()]);
        assert_eq!(queue.take(Kind::Close), None);
        assert_eq!(queue.take(Kind::Receipt), Some((AGENT, vec![answered(1), answered(2)])));
        assert_eq!(queue.take(Kind::Close), None);
        queue.settle(AGENT);
        assert_eq!(queue.take(Kind::Close), Some((AGENT, vec![close])));
        queue.settle(AGENT);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_not_applied_is_taken_again_in_the_same_order() {
        let mut queue = queue([answered(1), seen(1)]);
        let first = queue.take(Kind::Receipt);
        queue.put_back(AGENT);
        assert_eq!(queue.take(Kind::Sighting), None);
        assert_eq!(queue.take(Kind::Receipt), first);
    }

    #[test]
    fn sightings_in_a_row_become_one_but_not_with_one_under_way() {
        let mut queue = queue([seen(1), seen(2)]);
        assert_eq!(queue.take(Kind::Sighting), Some((AGENT, vec![seen(2)])));
        queue.push(AGENT, seen(3));
        queue.settle(AGENT);
        assert_eq!(queue.take(Kind::Sighting), Some((AGENT, vec![seen(3)])));
    }

    #[test]
    fn agents_do_not_wait_for_each_other() {
        let mut queue = queue([answered(1), answered(2)]);
        let other = AgentId::new(2);
        queue.push(other, answered(3));
        queue.take(Kind::Receipt);
        assert_eq!(queue.take(Kind::Receipt), Some((other, vec![answered(3)])));
    }

    #[test]
    fn refused_evidence_is_stated_again_behind_one_resumption() {
        let mut queue = queue([answered(1), Statement::Close(CloseCause::Shutdown)]);
        queue.take(Kind::Receipt);
        queue.push_next(AGENT, open(1));
        queue.put_back_behind(AGENT, open(1), |_| true);
        assert_eq!(queue.take(Kind::Open), Some((AGENT, vec![open(1)])));
        queue.settle(AGENT);
        assert_eq!(queue.take(Kind::Open), None);
        assert_eq!(queue.take(Kind::Receipt), Some((AGENT, vec![answered(1)])));
    }

    #[test]
    fn dropping_a_session_spares_the_next_one() {
        let close = Statement::Close(CloseCause::Shutdown);
        let mut queue = queue([open(1), answered(1), seen(1), open(2), answered(2), close]);
        assert!(!queue.has_shutdown(AGENT));
        queue.take(Kind::Open);
        queue.drop_session(AGENT);
        assert_eq!(queue.take(Kind::Open), Some((AGENT, vec![open(2)])));
        assert!(queue.has_shutdown(AGENT));
    }

    #[test]
    fn a_flood_of_evidence_is_bounded() {
        let mut queue = queue((0..1000).map(answered));
        let taken = queue.take(Kind::Receipt).map(|(_, run)| run.len());
        assert_eq!(taken, Some(LANE_LIMIT));
    }
}
