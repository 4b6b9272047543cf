//! The desk against the real state machine, without a replica: every interleaving here is written down.

mod deliveries;
mod evidence;
mod histories;
mod sessions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_control::{
    AgentId, AgentSet, Applied, Change, ChangeId, Command, CommandId, CommandKind, Control, EnrollAgent, Entry, Event,
    Generation, IssueCommand, Label, LogIndex, Millis, NodeId, OpenSession, OpenSessions, Outcome, ProcessState,
    Reason, RemoveAgents, RenewLease, Report, Selector, Stage, Stamp, Status,
};
use tokio::time::Instant;

use super::{Batch, Desk, DeskConfig};
use crate::metrics::Metrics;
use crate::session::input::{Beginning, Connected, Heard, Input};
use crate::session::pulse::Pulses;
use crate::session::sink::{LineId, NotTaken, Outgoing, Sink};
use crate::session::statement::Kind;

const HERE: NodeId = NodeId::new(1);
const ELSEWHERE: NodeId = NodeId::new(2);
const FIRST: Generation = Generation::new(1);
const LEASE: Millis = Millis::from_secs(10);
const SILENCE: Duration = Duration::from_secs(900);

/// Keeps what it is given.
#[derive(Default)]
struct Recorder(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    sent: Vec<String>,
    closed: bool,
}

impl Sink for Recorder {
    fn send(&self, outgoing: Outgoing) -> Result<(), NotTaken> {
        let mut recorded = self.0.lock().unwrap();
        if recorded.closed {
            return Err(NotTaken);
        }
        recorded.sent.push(String::from_utf8(outgoing.payload).unwrap());
        Ok(())
    }

    fn close(&self) {
        self.0.lock().unwrap().closed = true;
    }
}

/// A node's desk, the state machine, and the connections between.
struct Story {
    control: Control,
    desk: Desk,
    pulses: Pulses,
    now: Instant,
    stamp: Stamp,
    lines: HashMap<AgentId, (LineId, Arc<Recorder>)>,
    next_line: u64,
}

impl Story {
    fn new() -> Self {
        let config = DeskConfig { node: HERE, generation: FIRST, disconnection_time: SILENCE, batch_limit: 1000 };
        let mut story = Self {
            control: Control::default(),
            desk: Desk::new(config, Metrics::default()),
            pulses: Pulses::new(),
            now: Instant::now(),
            stamp: Stamp::from_millis(1_000_000),
            lines: HashMap::new(),
            next_line: 0,
        };
        story.renew(HERE);
        story.renew(ELSEWHERE);
        story
    }

    /// Applies a change without telling the desk.
    fn apply_unseen(&mut self, change: Change) -> Applied {
        let index = LogIndex::new(self.control.index().get() + 1);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&index.get().to_be_bytes());
        self.control.apply(&Entry { index, stamp: self.stamp, change_id: ChangeId::new(id), fingerprint: 0, change })
    }

    fn apply(&mut self, change: Change) -> Outcome {
        let applied = self.apply_unseen(change);
        self.desk.applied(&applied.events, &self.control);
        applied.outcome
    }

    fn renew(&mut self, node: NodeId) {
        self.apply(renewal(node));
    }

    /// Lets time pass in the log; without renewals leases lapse.
    fn pass(&mut self, span: Millis) {
        self.stamp = self.stamp.plus(span);
        self.apply(Change::Tick);
    }

    fn enroll(&mut self) -> AgentId {
        let enroll = EnrollAgent::new(
            format!("agent-{}", self.control.agents().len()).parse().unwrap(),
            "0f".repeat(32).parse().unwrap(),
        );
        match self.apply(Change::EnrollAgent(enroll)) {
            Outcome::Enrolled(enrolled) => enrolled.agent,
            other => panic!("{other:?}"),
        }
    }

    fn connect(&mut self, agent: AgentId) -> Arc<Recorder> {
        self.next_line += 1;
        let (line, sink) = (LineId(self.next_line), Arc::new(Recorder::default()));
        self.lines.insert(agent, (line, sink.clone()));
        self.desk.input(Input::Connected(Connected {
            agent,
            line,
            peer: Label::truncated("10.0.0.1:4000"),
            began: Beginning::Startup { version: None, at: self.control.index() },
            pulse: self.pulses.start(),
            sink: sink.clone(),
        }));
        sink
    }

    fn connected(&mut self) -> (AgentId, Arc<Recorder>) {
        let agent = self.enroll();
        let sink = self.connect(agent);
        self.say(agent, Heard::Spoke);
        self.settle();
        (agent, sink)
    }

    fn disconnect(&mut self, agent: AgentId) {
        let line = self.lines[&agent].0;
        self.desk.input(Input::Disconnected { agent, line, unwritten: Vec::new() });
    }

    fn say(&mut self, agent: AgentId, heard: Heard) {
        let line = self.lines[&agent].0;
        self.desk.input(Input::Heard { agent, line, heard });
    }

    fn keepalive(&mut self, agent: AgentId, version: Option<&str>) {
        let report =
            version.map(|version| Box::new(Report { version: Some(Label::truncated(version)), ..Report::default() }));
        self.say(agent, Heard::Keepalive { at: self.stamp, report });
    }

    fn take(&mut self, kind: Kind) -> Option<Batch> {
        self.desk.take(kind, &self.control, self.now)
    }

    /// Commits a batch; the desk hears of the events first, or of the outcome.
    fn commit(&mut self, batch: Batch, events_first: bool) {
        let applied = self.apply_unseen(batch.change.clone());
        if events_first {
            self.desk.applied(&applied.events, &self.control);
        }
        self.desk.settled(batch, applied.index, applied.outcome, &self.control);
        if !events_first {
            self.desk.applied(&applied.events, &self.control);
        }
    }

    /// Commits whatever waits until nothing does; returns the names of the changes.
    fn settle(&mut self) -> Vec<&'static str> {
        let mut changes = Vec::new();
        while let Some(kind) = Kind::ALL.into_iter().find(|kind| self.desk.has_waiting(*kind)) {
            let Some(batch) = self.take(kind) else { continue };
            changes.push(batch.change.name());
            self.commit(batch, changes.len() % 2 == 0);
            assert!(changes.len() < 100, "{changes:?}");
        }
        assert!(self.desk.is_settled());
        changes
    }

    fn open_elsewhere(&mut self, agent: AgentId) {
        self.apply(elsewhere(agent, self.control.index()));
    }

    fn issue(&mut self, kind: CommandKind, agent: AgentId) -> CommandId {
        let selector = Selector::Agents(vec![agent]);
        let issue = IssueCommand { kind, selector, issuer: None, send_within: Millis::from_secs(600) };
        match self.apply(Change::IssueCommand(issue)) {
            Outcome::Issued(issued) => {
                assert_eq!(issued.targets, [agent]);
                issued.command
            }
            other => panic!("{other:?}"),
        }
    }

    fn restart(&mut self, agent: AgentId) -> CommandId {
        let command = self.issue(CommandKind::Restart, agent);
        self.settle();
        assert_eq!(self.stage(agent, command), Stage::Sent);
        command
    }

    fn delivery(&self, agent: AgentId, command: CommandId) -> muster_control::Delivery {
        let command: &Command = self.control.command(command).unwrap();
        command.deliveries[&agent].clone()
    }

    fn stage(&self, agent: AgentId, command: CommandId) -> Stage {
        self.delivery(agent, command).stage
    }

    fn proof(&self, agent: AgentId, command: CommandId) -> Option<Reason> {
        let delivery = self.delivery(agent, command);
        (delivery.stage == Stage::Confirmed).then_some(delivery.reason).flatten()
    }

    fn agent(&self, agent: AgentId) -> &muster_control::Agent {
        self.control.agents().get(agent).unwrap()
    }
}

fn renewal(node: NodeId) -> Change {
    Change::RenewLease(RenewLease {
        node,
        name: format!("node-{node}").parse().unwrap(),
        generation: FIRST,
        lease: LEASE,
        address: Label::truncated("127.0.0.1"),
        version: Label::truncated("0.1.0"),
    })
}

fn elsewhere(agent: AgentId, startup_at: LogIndex) -> Change {
    let (peer, startup_at) = (Label::truncated("10.0.0.1:5000"), Some(startup_at));
    let session = OpenSession { agent, peer, version: None, spoke: true, resume: None, startup_at };
    Change::OpenSessions(OpenSessions { node: ELSEWHERE, generation: FIRST, sessions: vec![session] })
}

fn sent(sink: &Recorder) -> Vec<String> {
    sink.0.lock().unwrap().sent.clone()
}

fn is_closed(sink: &Recorder) -> bool {
    sink.0.lock().unwrap().closed
}
