//! From waiting statements to one change, and from its outcome back to the agents.

use std::collections::HashMap;
use std::time::Duration;

use muster_control::{
    AgentId, Change, CloseCause, CloseSession, CloseSessions, Control, Epoch, Evidence, LogIndex, MarkSent,
    OpenSession, OpenSessions, Outcome, Receipt, Receipts, Refusal, RefusedAgent, Seen, Send, SessionAnswer, Sighting,
};
use tokio::time::Instant;

use super::Desk;
use crate::session::sink::LineId;
use crate::session::statement::{Kind, Opening, Statement};

/// A session that could not be opened for so long without a word of the agent is not opened any more: without a
/// quorum a connection may be dead long before it is noticed, and the agent may be elsewhere.
const STALE_OPENING: Duration = Duration::from_secs(120);

/// Statements of many agents in one change.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Of which kind they are.
    pub(crate) kind: Kind,
    /// What to propose.
    pub(crate) change: Change,
    /// How many statements it carries.
    pub(crate) statements: usize,
    parts: Vec<Part>,
}

/// One agent's part of a batch.
#[derive(Clone, Copy, Debug)]
struct Part {
    agent: AgentId,
    under: Under,
}

/// What a statement refers to.
#[derive(Clone, Copy, Debug)]
enum Under {
    /// The connection to open a session for.
    Line(LineId),
    /// The session.
    Epoch(Option<Epoch>),
}

/// What to do next about a kind of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Go on.
    GoOn,
    /// The node holds no lease: try again a little later.
    Wait,
}

impl Desk {
    /// Whether something of one kind waits. What is collected of one kind may leave something of another kind waiting.
    pub(crate) fn has_waiting(&self, kind: Kind) -> bool {
        self.queue.has_ready(kind) || (kind == Kind::Sighting && !self.refused.is_empty())
    }

    /// Collects what waits of one kind, or `None` if nothing does. At most one batch of a kind may be out.
    pub(crate) fn take(&mut self, kind: Kind, control: &Control, now: Instant) -> Option<Batch> {
        let mut parts = Vec::new();
        let mut content = Content::default();
        while content.len() < self.config.batch_limit
            && let Some((agent, run)) = self.queue.take(kind)
        {
            let before = content.len();
            let under = match run.first() {
                Some(Statement::Open(opening)) => {
                    if !self.is_worth_opening(agent, opening, now) {
                        self.queue.drop_session(agent);
                        continue;
                    }
                    Under::Line(opening.line)
                }
                _ => Under::Epoch(self.seats.get(&agent).and_then(|seat| seat.epoch)),
            };
            for statement in run {
                self.add(agent, statement, under, control, &mut content);
            }
            if content.len() == before {
                self.queue.settle(agent);
            } else {
                parts.push(Part { agent, under });
            }
        }
        let refused = (kind == Kind::Sighting).then(|| self.take_refused()).filter(|refused| !refused.is_empty());
        let statements = content.len() + refused.as_ref().map_or(0, Vec::len);
        let (node, generation) = (self.config.node, self.config.generation);
        (statements > 0).then(|| {
            let change = match kind {
                Kind::Open => Change::OpenSessions(OpenSessions { node, generation, sessions: content.opens }),
                Kind::Send => Change::MarkSent(MarkSent { sends: content.sends }),
                Kind::Receipt => Change::Receipts(Receipts { receipts: content.receipts }),
                Kind::Sighting => Change::Seen(Seen { sightings: content.sightings, refused }),
                Kind::Close => Change::CloseSessions(CloseSessions { closes: content.closes }),
            };
            Batch { kind, change, statements, parts }
        })
    }

    /// The agent of a connection that is gone has gone elsewhere; opening a session for it now could only take the
    /// agent from where it is. Unless it shut down here: that has to be told, and only a session can tell it.
    fn is_worth_opening(&mut self, agent: AgentId, opening: &Opening, now: Instant) -> bool {
        let Some(seat) = self.seats.get_mut(&agent) else { return false };
        if seat.is_on(opening.line) && seat.pulse.silence(now) >= STALE_OPENING {
            seat.hang_up();
        }
        seat.is_on(opening.line) || self.queue.has_shutdown(agent)
    }

    fn add(&self, agent: AgentId, statement: Statement, under: Under, control: &Control, content: &mut Content) {
        match (statement, under) {
            (Statement::Open(Opening { peer, version, spoke, resume, startup_at, .. }), _) => {
                content.opens.push(OpenSession { agent, peer, version, spoke, resume, startup_at });
            }
            (Statement::Send(ticket), _) => {
                content.sends.push(Send { agent, epoch: ticket.epoch, command: ticket.command });
            }
            (Statement::Unwritten(ticket), _) => {
                let (epoch, command) = (ticket.epoch, Some(ticket.command));
                content.receipts.push(Receipt { agent, epoch, command, evidence: Evidence::Unwritten });
            }
            (Statement::Evidence(_, Evidence::Started), Under::Epoch(Some(epoch)))
                if !self.is_start_awaited(agent, epoch, control) => {}
            (Statement::Evidence(command, evidence), Under::Epoch(Some(epoch))) => {
                content.receipts.push(Receipt { agent, epoch, command, evidence });
            }
            (Statement::Sighting(sight), Under::Epoch(Some(epoch))) => {
                let report = sight.report.map(|report| *report);
                content.sightings.push(Sighting { agent, epoch, keepalive_at: sight.keepalive_at, report });
            }
            (Statement::Close(cause), Under::Epoch(Some(epoch))) => {
                content.closes.push(CloseSession { agent, epoch, cause });
            }
            // The session is over, and not by a lapsed lease, or its resumption would stand before this.
            (Statement::Evidence(..) | Statement::Sighting(_) | Statement::Close(_), _) => {}
        }
    }

    /// Takes the outcome of a batch. `control` may be behind it.
    pub(crate) fn settled(&mut self, batch: Batch, index: LogIndex, outcome: Outcome, control: &Control) -> Next {
        match outcome {
            Outcome::Sessions(answers) if answers.len() == batch.parts.len() => {
                for (part, answer) in batch.parts.into_iter().zip(answers) {
                    self.session_answered(part, answer, index, control);
                }
            }
            Outcome::Agents(result) => {
                let refused = by_agent(&result.refused);
                for part in batch.parts {
                    match refused.get(&part.agent) {
                        None => self.queue.settle(part.agent),
                        Some(refusal) => self.statement_refused(part, batch.kind, *refusal),
                    }
                }
            }
            Outcome::Refused(Refusal::NoLease | Refusal::StaleGeneration) => {
                self.failed(batch);
                return Next::Wait;
            }
            other => {
                tracing::error!(change = batch.change.name(), outcome = ?other, "statements have an outcome of another kind");
                batch.parts.iter().for_each(|part| self.queue.drop_session(part.agent));
            }
        }
        Next::GoOn
    }

    /// The batch was certainly not applied: its statements wait again.
    pub(crate) fn failed(&mut self, batch: Batch) {
        batch.parts.iter().for_each(|part| self.queue.put_back(part.agent));
    }

    fn session_answered(&mut self, part: Part, answer: SessionAnswer, index: LogIndex, control: &Control) {
        let (agent, Under::Line(line)) = (part.agent, part.under) else { return };
        let Some(seat) = self.seats.get_mut(&agent) else { return self.queue.drop_session(agent) };
        match answer {
            SessionAnswer::Opened(epoch) => {
                seat.epoch = Some(epoch);
                seat.opened_at = index;
                if let Some(live) = seat.line.as_mut().filter(|live| live.id == line) {
                    live.epoch = Some(epoch);
                    live.questioned = false;
                }
                self.queue.settle(agent);
                self.reconcile(agent, control);
            }
            SessionAnswer::Refused(refusal) => {
                tracing::debug!(agent_id = %agent, %refusal, "session refused");
                if seat.is_on(line) {
                    seat.hang_up();
                }
                self.queue.drop_session(agent);
            }
        }
    }

    fn statement_refused(&mut self, part: Part, kind: Kind, refusal: Refusal) {
        self.metrics.refused.inc();
        let Part { agent, under } = part;
        if kind == Kind::Send {
            // Without the right it may be asked for again: the log offers the delivery when it can be sent.
            self.seats.entry(agent).and_modify(|seat| seat.asked = None);
            return self.queue.settle(agent);
        }
        let (Refusal::StaleEpoch, Under::Epoch(Some(epoch)), Some(seat)) = (refusal, under, self.seats.get_mut(&agent))
        else {
            return self.queue.settle(agent);
        };
        // Either the agent is elsewhere, or this node's lease had lapsed. The log knows: a resumption is refused in the
        // one case, and in the other what was heard meanwhile is stated again under the new epoch.
        seat.forget(epoch);
        let resume = Statement::Open(seat.resumption(epoch));
        self.queue.put_back_behind(agent, resume, |statement| {
            matches!(
                statement,
                Statement::Evidence(..) | Statement::Sighting(_) | Statement::Close(CloseCause::Shutdown)
            )
        });
    }
}

/// One refusal for each agent. Of several, that of the epoch counts: it holds for all that was stated under it.
fn by_agent(refused: &[RefusedAgent]) -> HashMap<AgentId, Refusal> {
    let mut refusals = HashMap::new();
    for RefusedAgent { agent, refusal } in refused {
        if *refusal == Refusal::StaleEpoch {
            refusals.insert(*agent, *refusal);
        } else {
            refusals.entry(*agent).or_insert(*refusal);
        }
    }
    refusals
}

/// The statements of one batch; those of other kinds stay empty.
#[derive(Default)]
struct Content {
    opens: Vec<OpenSession>,
    sends: Vec<Send>,
    receipts: Vec<Receipt>,
    sightings: Vec<Sighting>,
    closes: Vec<CloseSession>,
}

impl Content {
    fn len(&self) -> usize {
        self.opens.len() + self.sends.len() + self.receipts.len() + self.sightings.len() + self.closes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_refusals_of_an_agent_that_of_its_epoch_counts() {
        let agent = AgentId::new(1);
        for order in [[0, 1], [1, 0]] {
            let both = [Refusal::StaleEpoch, Refusal::NothingUnderWay];
            let refused = order.map(|number: usize| RefusedAgent { agent, refusal: both[number] });
            assert_eq!(by_agent(&refused)[&agent], Refusal::StaleEpoch);
        }
    }
}
