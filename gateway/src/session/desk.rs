//! The desk: where connections, statements and committed events of this node's agents meet. Pure, one owner, no lock.

mod batch;
mod deliveries;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use muster_control::{AgentId, CloseCause, Evidence, Generation, NodeId, RefusedStartup, StatusCode};
use tokio::time::Instant;

use super::input::{Beginning, Connected, Heard, Input};
use super::queue::StatementQueue;
use super::seat::{Line, Seat};
use super::sink::{LineId, Ticket};
use super::statement::{Opening, Sight, Statement};
use crate::metrics::Metrics;

pub(crate) use batch::{Batch, Next};

/// What a desk has to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeskConfig {
    /// This node.
    pub(crate) node: NodeId,
    /// Its incarnation.
    pub(crate) generation: Generation,
    /// An agent that was not heard of for so long is disconnected.
    pub(crate) disconnection_time: Duration,
    /// Most statements in one change.
    pub(crate) batch_limit: usize,
}

/// State of this node's side of all its agents.
pub(crate) struct Desk {
    config: DeskConfig,
    seats: HashMap<AgentId, Seat>,
    queue: StatementQueue,
    /// Agents with keepalives that wait for the next interval.
    sighted: Vec<AgentId>,
    /// Startups that were refused. One that is lost on its way to the log is told again: agents try again for ever.
    refused: BTreeMap<AgentId, StatusCode>,
    metrics: Metrics,
}

impl Desk {
    /// A desk without agents.
    pub(crate) fn new(config: DeskConfig, metrics: Metrics) -> Self {
        Self {
            config,
            seats: HashMap::new(),
            queue: StatementQueue::default(),
            sighted: Vec::new(),
            refused: BTreeMap::new(),
            metrics,
        }
    }

    /// Takes what a connection told.
    pub(crate) fn input(&mut self, input: Input) {
        match input {
            Input::Connected(connected) => self.connected(connected),
            Input::Heard { agent, line, heard } => self.heard(agent, line, heard),
            Input::Disconnected { agent, line, unwritten } => self.disconnected(agent, line, unwritten),
            Input::Refused { agent, code } => _ = self.refused.insert(agent, code),
        }
    }

    /// Whether everything that was to be stated is in the log.
    pub(crate) fn is_settled(&self) -> bool {
        self.queue.is_empty()
    }

    /// A new connection takes over from the old one: it has shown the key, and the agent has only one process.
    fn connected(&mut self, new: Connected) {
        self.flush_sight(new.agent);
        let seat =
            self.seats.entry(new.agent).or_insert_with(|| Seat::new(new.line, new.peer.clone(), new.pulse.clone()));
        if !seat.is_on(new.line) {
            seat.hang_up();
        }
        seat.line = Some(Line { id: new.line, sink: new.sink, epoch: None, announced: false, questioned: false });
        seat.newest = (new.line, new.peer.clone());
        seat.pulse = new.pulse;
        let opening = match new.began {
            Beginning::Resumed(ended) => seat.resumption(ended),
            Beginning::Startup { version, at } => {
                let Connected { line, peer, .. } = new;
                Opening { line, peer, version, spoke: false, resume: None, startup_at: Some(at) }
            }
        };
        self.queue.push(new.agent, Statement::Open(opening));
    }

    /// The session stays open: a connection that breaks says nothing about the agent.
    fn disconnected(&mut self, agent: AgentId, line: LineId, unwritten: Vec<Ticket>) {
        for ticket in unwritten {
            self.unwritten(agent, ticket);
        }
        if let Some(seat) = self.seats.get_mut(&agent).filter(|seat| seat.is_on(line)) {
            seat.line = None;
            self.flush_sight(agent);
        }
    }

    fn heard(&mut self, agent: AgentId, line: LineId, heard: Heard) {
        let live = self.seats.get(&agent).is_some_and(|seat| seat.is_on(line));
        let (command, evidence) = match heard {
            // Evidence counts from whatever connection it comes; the rest is about one connection only.
            Heard::Answered(command) => (Some(command), Evidence::Answered),
            Heard::Refused(command, text) => (Some(command), Evidence::Refused(text)),
            Heard::State(command, state) => (Some(command), Evidence::State(state)),
            _ if !live => return,
            Heard::Spoke => return self.spoke(agent),
            Heard::Keepalive { at, report } => return self.keepalive(agent, Sight { keepalive_at: Some(at), report }),
            Heard::Shutdown => return self.shutdown(agent),
            Heard::Started => (None, Evidence::Started),
        };
        if live {
            self.spoke(agent);
        }
        if self.seats.contains_key(&agent) {
            self.queue.push(agent, Statement::Evidence(command, evidence));
        }
    }

    /// Makes the agent active by its first message after the ack, and without waiting for an interval.
    fn spoke(&mut self, agent: AgentId) {
        let Some(line) = self.seats.get_mut(&agent).and_then(|seat| seat.line.as_mut()) else { return };
        if line.announced {
            return;
        }
        line.announced = true;
        match self.queue.waiting_open(agent) {
            Some(opening) => opening.spoke = true,
            None => self.queue.push(agent, Statement::Sighting(Sight::default())),
        }
    }

    /// The first keepalive of a connection goes out at once: it tells the version, and that the process sends them.
    fn keepalive(&mut self, agent: AgentId, sight: Sight) {
        let Some(seat) = self.seats.get_mut(&agent) else { return };
        let announced = seat.line.as_ref().is_some_and(|line| line.announced);
        let is_news = sight.report.is_some();
        match &mut seat.sight {
            Some(waiting) => waiting.absorb(sight),
            None => {
                seat.sight = Some(sight);
                self.sighted.push(agent);
            }
        }
        if !announced || is_news {
            self.spoke(agent);
            self.flush_sight(agent);
        }
    }

    fn shutdown(&mut self, agent: AgentId) {
        self.spoke(agent);
        self.flush_sight(agent);
        if let Some(seat) = self.seats.get_mut(&agent) {
            seat.hang_up();
            self.queue.push(agent, Statement::Close(CloseCause::Shutdown));
        }
    }

    /// States the keepalives of the interval that ends.
    pub(crate) fn end_interval(&mut self) {
        for agent in std::mem::take(&mut self.sighted) {
            self.flush_sight(agent);
        }
    }

    /// The refused startups of one change.
    fn take_refused(&mut self) -> Vec<RefusedStartup> {
        let rest = self.refused.keys().nth(self.config.batch_limit).copied();
        let rest = rest.map(|first| self.refused.split_off(&first)).unwrap_or_default();
        let taken = std::mem::replace(&mut self.refused, rest);
        taken.into_iter().map(|(agent, code)| RefusedStartup { agent, code }).collect()
    }

    fn flush_sight(&mut self, agent: AgentId) {
        if let Some(sight) = self.seats.get_mut(&agent).and_then(|seat| seat.sight.take()) {
            self.queue.push(agent, Statement::Sighting(sight));
        }
    }

    /// Disconnects agents that fell silent, and forgets those of which nothing is left.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let Self { seats, queue, config, .. } = self;
        seats.retain(|agent, seat| {
            if seat.pulse.silence(now) >= config.disconnection_time {
                seat.hang_up();
                if seat.epoch.is_some() && !queue.holds(*agent) {
                    queue.push(*agent, Statement::Close(CloseCause::Silent));
                }
            }
            !seat.is_vacant() || queue.holds(*agent)
        });
    }
}
