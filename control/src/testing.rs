//! A script of changes with a clock of its own, for the tests of this crate.

use std::sync::Arc;

use crate::agent::Agent;
use crate::change::{
    Change, CloseCause, CloseSession, CloseSessions, EnrollAgent, Evidence, IssueCommand, MarkSent, OpenSession,
    OpenSessions, Receipt, Receipts, RemoveAgents, RenewLease, Seen, Send, Sighting,
};
use crate::command::{CommandKind, Delivery};
use crate::control::Control;
use crate::entry::Entry;
use crate::event::{Dispatch, Event};
use crate::ids::{AgentId, ChangeId, CommandId, Epoch, Generation, LogIndex, NodeId};
use crate::outcome::{Issued, Outcome, PerAgent, Refusal, SessionAnswer};
use crate::selector::{AgentSet, Selector};
use crate::stamp::{Millis, Stamp};
use crate::text::Label;

#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) control: Control,
    pub(crate) lease: Millis,
    /// Events of the last change.
    pub(crate) events: Vec<Event>,
    now: Stamp,
    generations: [u64; 10],
    names: u32,
}

pub(crate) fn node(number: u64) -> NodeId {
    NodeId::new(number)
}

/// Without force: whoever has the name or address keeps it.
pub(crate) fn enrollment(name: &str) -> EnrollAgent {
    EnrollAgent::new(name.parse().expect("a valid agent name"), "00".repeat(32).parse().expect("a valid key"))
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            control: Control::default(),
            lease: Millis::from_secs(10),
            events: Vec::new(),
            now: Stamp::from_millis(1_700_000_000_000),
            generations: [1; 10],
            names: 0,
        }
    }

    pub(crate) fn apply(&mut self, change: Change) -> Outcome {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.control.index().next().get().to_be_bytes());
        self.apply_as(ChangeId::new(id), change)
    }

    pub(crate) fn apply_as(&mut self, change_id: ChangeId, change: Change) -> Outcome {
        let index = LogIndex::new(self.control.index().get() + 1);
        let bytes = change.to_bytes();
        let change = Change::from_bytes(&bytes).expect("just encoded");
        let retried = Change::bytes_without_author(&bytes).expect("just encoded");
        let fingerprint = retried.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        let applied = self.control.apply(&Entry { index, stamp: self.now, change_id, fingerprint, change });
        self.events = applied.events;
        applied.outcome
    }

    /// Lets time pass and the clock notice it.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(Millis::new(millis));
        self.apply(Change::Tick);
    }

    /// Lets time pass while every node that has a lease renews it.
    pub(crate) fn keep_leases(&mut self, millis: u64) {
        let step = self.lease.get() / 2;
        let mut left = millis;
        while left > 0 {
            self.pass(left.min(step));
            left -= left.min(step);
            let leased: Vec<_> =
                self.control.nodes().filter(|node| node.lease_until.is_some()).map(|node| node.id.get()).collect();
            leased.into_iter().for_each(|number| self.node(number));
        }
    }

    pub(crate) fn renewal(&self, number: u64) -> Change {
        Change::RenewLease(RenewLease {
            node: node(number),
            name: format!("node-{number}").parse().expect("a valid node name"),
            generation: self.generation(number),
            lease: self.lease,
            address: Label::truncated("127.0.0.1"),
            version: Label::truncated("0.1.0"),
        })
    }

    pub(crate) fn node(&mut self, number: u64) {
        let renewal = self.renewal(number);
        assert_eq!(self.apply(renewal), Outcome::Done);
    }

    pub(crate) fn restart_node(&mut self, number: u64) {
        self.generations[number as usize] += 1;
        self.node(number);
    }

    pub(crate) fn generation(&self, number: u64) -> Generation {
        Generation::new(self.generations[number as usize])
    }

    pub(crate) fn enroll(&mut self) -> AgentId {
        self.names += 1;
        let enrollment = enrollment(&format!("agent-{}", self.names));
        match self.apply(Change::EnrollAgent(enrollment)) {
            Outcome::Enrolled(enrolled) => enrolled.agent,
            other => panic!("not enrolled: {other:?}"),
        }
    }

    pub(crate) fn remove(&mut self, agent: AgentId) {
        let remove = RemoveAgents { agents: AgentSet::Only(vec![agent]), statuses: None, older_than: Millis::new(0) };
        let done = PerAgent { done: vec![agent], ..PerAgent::default() };
        assert_eq!(self.apply(Change::RemoveAgents(remove)), Outcome::Agents(done));
    }

    pub(crate) fn open_under(&self, agent: AgentId, number: u64, generation: u64) -> Change {
        let peer = Label::truncated("127.0.0.1:40000");
        Change::OpenSessions(OpenSessions {
            node: node(number),
            generation: Generation::new(generation),
            sessions: vec![OpenSession {
                agent,
                peer,
                version: None,
                spoke: false,
                resume: None,
                startup_at: Some(self.control.index()),
            }],
        })
    }

    fn open_with(&mut self, agent: AgentId, number: u64, resume: Option<Epoch>) -> SessionAnswer {
        let Change::OpenSessions(mut open) = self.open_under(agent, number, self.generation(number).get()) else {
            unreachable!("it is made above")
        };
        open.sessions[0].resume = resume;
        open.sessions[0].spoke = resume.is_some();
        match self.apply(Change::OpenSessions(open)) {
            Outcome::Sessions(answers) => answers[0].clone(),
            Outcome::Refused(refusal) => SessionAnswer::Refused(refusal),
            other => panic!("no answer about sessions: {other:?}"),
        }
    }

    pub(crate) fn open(&mut self, agent: AgentId, number: u64) -> SessionAnswer {
        self.open_with(agent, number, None)
    }

    pub(crate) fn resume(&mut self, agent: AgentId, number: u64, epoch: Epoch) -> SessionAnswer {
        self.open_with(agent, number, Some(epoch))
    }

    pub(crate) fn opened(&mut self, agent: AgentId, number: u64) -> Epoch {
        match self.open(agent, number) {
            SessionAnswer::Opened(epoch) => epoch,
            SessionAnswer::Refused(refusal) => panic!("not opened: {refusal}"),
        }
    }

    pub(crate) fn sighting(&mut self, agent: AgentId, epoch: Epoch) -> Result<(), Refusal> {
        let sighting = Sighting { agent, epoch, keepalive_at: Some(self.now), report: None };
        single(self.apply(Change::Seen(Seen { sightings: vec![sighting], refused: None })))
    }

    /// Opens a session and lets the agent send a keepalive in it.
    pub(crate) fn connect(&mut self, agent: AgentId, number: u64) -> Epoch {
        let epoch = self.opened(agent, number);
        self.sighting(agent, epoch).expect("the session was just opened");
        epoch
    }

    pub(crate) fn connected(&mut self, number: u64) -> (AgentId, Epoch) {
        let agent = self.enroll();
        (agent, self.connect(agent, number))
    }

    pub(crate) fn close(&mut self, agent: AgentId, epoch: Epoch, cause: CloseCause) -> Result<(), Refusal> {
        single(self.apply(Change::CloseSessions(CloseSessions { closes: vec![CloseSession { agent, epoch, cause }] })))
    }

    pub(crate) fn issue(&mut self, kind: CommandKind, selector: Selector) -> Result<Issued, Refusal> {
        let send_within = Millis::from_secs(120);
        match self.apply(Change::IssueCommand(IssueCommand { kind, selector, issuer: None, send_within })) {
            Outcome::Issued(issued) => Ok(issued),
            Outcome::Refused(refusal) => Err(refusal),
            other => panic!("neither issued nor refused: {other:?}"),
        }
    }

    pub(crate) fn restart(&mut self, agent: AgentId) -> CommandId {
        self.issue(CommandKind::Restart, Selector::Agents(vec![agent])).expect("a list is never refused whole").command
    }

    pub(crate) fn send(&mut self, agent: AgentId, epoch: Epoch, command: CommandId) -> Result<(), Refusal> {
        single(self.apply(Change::MarkSent(MarkSent { sends: vec![Send { agent, epoch, command }] })))
    }

    pub(crate) fn receipt(
        &mut self,
        agent: AgentId,
        epoch: Epoch,
        command: Option<CommandId>,
        evidence: Evidence,
    ) -> Result<(), Refusal> {
        single(self.apply(Change::Receipts(Receipts { receipts: vec![Receipt { agent, epoch, command, evidence }] })))
    }

    pub(crate) fn agent(&self, id: AgentId) -> Arc<Agent> {
        Arc::clone(self.control.agents().get(id).expect("the agent is registered"))
    }

    pub(crate) fn delivery(&self, command: CommandId, agent: AgentId) -> Delivery {
        self.control.command(command).expect("it is remembered").deliveries.get(&agent).expect("a target").clone()
    }

    /// What the last change offered to owners.
    pub(crate) fn offered(&self) -> Vec<Dispatch> {
        let offer = |event: &Event| if let Event::DeliveryQueued(dispatch) = event { Some(*dispatch) } else { None };
        self.events.iter().filter_map(offer).collect()
    }

    /// What the last change allowed owners to send.
    pub(crate) fn allowed(&self) -> Vec<Dispatch> {
        let allow = |event: &Event| if let Event::DeliverySent(dispatch) = event { Some(*dispatch) } else { None };
        self.events.iter().filter_map(allow).collect()
    }
}

fn single(outcome: Outcome) -> Result<(), Refusal> {
    match outcome {
        Outcome::Agents(PerAgent { refused, .. }) => refused.first().map_or(Ok(()), |refused| Err(refused.refusal)),
        other => panic!("not an answer per agent: {other:?}"),
    }
}
