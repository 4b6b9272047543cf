//! The desk against the real state machine, without a replica: every interleaving here is written down.

mod histories;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_control::{
    AgentId, AgentSet, Applied, Change, ChangeId, Command, CommandId, CommandKind, Control, EnrollAgent, Entry, Event,
    Force, Generation, IssueCommand, Label, LogIndex, Millis, NodeId, OpenSession, OpenSessions, Outcome, ProcessState,
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
        let enroll = EnrollAgent {
            name: format!("agent-{}", self.control.agents().len()).parse().unwrap(),
            key: "0f".repeat(32).parse().unwrap(),
            address: "any".parse().unwrap(),
            groups: Vec::new(),
            registered_from: None,
            force: Force::never(),
            key_hash: None,
            asked_at: None,
        };
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

#[test]
fn agents_that_connect_at_the_same_moment_travel_in_one_change() {
    let mut story = Story::new();
    let agents: Vec<_> = (0..50).map(|_| story.enroll()).collect();
    for agent in &agents {
        story.connect(*agent);
        story.say(*agent, Heard::Spoke);
    }
    assert_eq!(story.settle(), ["open_sessions"]);
    assert!(agents.iter().all(|agent| story.agent(*agent).status == Status::Active));
}

#[test]
fn the_first_message_after_the_session_opened_is_stated_at_once() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    story.settle();
    assert_eq!(story.agent(agent).status, Status::Pending);
    story.say(agent, Heard::Spoke);
    assert_eq!(story.settle(), ["seen"]);
    assert_eq!(story.agent(agent).status, Status::Active);
}

#[test]
fn keepalives_wait_for_their_interval_and_news_do_not() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.keepalive(agent, Some("Wazuh v4.14.7"));
    assert_eq!(story.settle(), ["seen"]);
    assert_eq!(story.agent(agent).report.version, Some(Label::truncated("Wazuh v4.14.7")));
    story.pass(Millis::from_secs(1));
    story.keepalive(agent, None);
    story.keepalive(agent, None);
    assert!(story.settle().is_empty());
    story.desk.end_interval();
    assert_eq!(story.settle(), ["seen"]);
    assert_eq!(story.agent(agent).last_keepalive, Some(story.stamp));
    assert_eq!(story.agent(agent).report.version, Some(Label::truncated("Wazuh v4.14.7")));
}

#[test]
fn a_delivery_is_written_once_its_right_is_committed_and_only_once() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.issue(CommandKind::Restart, agent);
    assert!(sent(&sink).is_empty());
    let batch = story.take(Kind::Send).unwrap();
    assert!(sent(&sink).is_empty(), "asked for, not granted");
    let applied = story.apply_unseen(batch.change.clone());
    story.desk.applied(&applied.events, &story.control);
    story.desk.applied(&applied.events, &story.control);
    story.desk.jumped(&story.control);
    story.desk.settled(batch, applied.index, applied.outcome, &story.control);
    let [message] = &sent(&sink)[..] else { panic!("{:?}", sent(&sink)) };
    let number = format!("#!-req d{:x}-", command.get());
    assert!(message.starts_with(&number) && message.ends_with(" com restart"), "{message}");
}

#[test]
fn a_reconnect_is_an_order_without_a_number() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.issue(CommandKind::Reconnect, agent);
    story.settle();
    assert_eq!(sent(&sink), ["#!-force_reconnect"]);
    story.connect(agent);
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Confirmed);
}

#[test]
fn a_right_that_cannot_be_used_any_more_is_given_back() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.issue(CommandKind::Restart, agent);
    let batch = story.take(Kind::Send).unwrap();
    story.disconnect(agent);
    story.commit(batch, true);
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Queued);
    let next = story.connect(agent);
    story.settle();
    assert_eq!((sent(&sink).len(), sent(&next).len()), (0, 1));
    assert_eq!(story.delivery(agent, command).attempts, 2);
}

#[test]
fn a_right_granted_for_the_connection_before_is_not_used_on_the_next() {
    let mut story = Story::new();
    let (agent, old) = story.connected();
    let command = story.issue(CommandKind::Restart, agent);
    let batch = story.take(Kind::Send).unwrap();
    let new = story.connect(agent);
    story.commit(batch, true);
    assert_eq!((sent(&old).len(), sent(&new).len()), (0, 0));
    story.settle();
    // Asked for its state first: when it came back, the log did not know yet that nothing was written.
    let [question, order] = &sent(&new)[..] else { panic!("{:?}", sent(&new)) };
    assert!(question.ends_with("getstate") && order.ends_with("com restart"), "{question} {order}");
    assert!(sent(&old).is_empty());
    assert_eq!(story.stage(agent, command), Stage::Sent);
}

#[test]
fn what_the_connection_gave_back_unwritten_is_sent_again() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    let (line, epoch) = (story.lines[&agent].0, story.agent(agent).epoch);
    let unwritten = vec![super::Ticket { command, epoch }];
    story.desk.input(Input::Disconnected { agent, line, unwritten });
    let next = story.connect(agent);
    story.settle();
    assert_eq!(sent(&next).len(), 1);
}

#[test]
fn agent_started_heard_before_the_epoch_is_known_confirms_the_restart() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Answered(command));
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Acknowledged);
    story.disconnect(agent);
    story.connect(agent);
    let open = story.take(Kind::Open).unwrap();
    story.say(agent, Heard::Started);
    story.commit(open, false);
    story.settle();
    assert_eq!(story.proof(agent, command), Some(Reason::Started));
}

#[test]
fn agent_started_is_not_stated_when_no_restart_is_under_way() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    story.say(agent, Heard::Started);
    assert_eq!(story.settle(), ["open_sessions"]);
}

#[test]
fn a_shutdown_and_the_next_startup_confirm_the_restart() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Answered(command));
    story.say(agent, Heard::Shutdown);
    assert!(is_closed(&sink));
    story.connect(agent);
    story.settle();
    assert_eq!(story.proof(agent, command), Some(Reason::ShutdownThenStartup));
}

#[test]
fn a_shutdown_right_after_a_startup_is_told_although_the_connection_is_gone() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.connect(agent);
    story.say(agent, Heard::Shutdown);
    assert_eq!(story.settle(), ["open_sessions", "close_sessions"]);
    assert_eq!(story.agent(agent).status, Status::Disconnected);
}

#[test]
fn a_mere_reconnect_makes_the_agent_be_asked_for_its_state() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.keepalive(agent, Some("Wazuh v4.14.7"));
    story.settle();
    let command = story.restart(agent);
    for (has_sent_keepalive, proof) in [(true, None), (false, Some(Reason::NewProcess))] {
        story.disconnect(agent);
        let sink = story.connect(agent);
        story.settle();
        let [question] = &sent(&sink)[..] else { panic!("{:?}", sent(&sink)) };
        assert!(question.ends_with(" agent getstate"), "{question}");
        story.say(agent, Heard::State(command, ProcessState { has_sent_keepalive }));
        story.settle();
        assert_eq!(story.proof(agent, command), proof);
    }
}

#[test]
fn a_refused_restart_is_sent_again_two_seconds_later() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Refused(command, Label::truncated("Connection refused")));
    story.settle();
    assert_eq!((story.stage(agent, command), sent(&sink).len()), (Stage::Queued, 1));
    story.pass(Millis::from_secs(2));
    story.settle();
    assert_eq!((story.stage(agent, command), sent(&sink).len()), (Stage::Sent, 2));
}

#[test]
fn an_answer_counts_from_the_connection_after() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    story.disconnect(agent);
    story.connect(agent);
    story.say(agent, Heard::Answered(command));
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Acknowledged);
}

#[test]
fn an_agent_that_is_elsewhere_loses_its_connection_here() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    story.open_elsewhere(agent);
    assert!(is_closed(&sink));
    story.say(agent, Heard::Shutdown);
    story.settle();
    assert_eq!((story.agent(agent).owner, story.agent(agent).status), (Some(ELSEWHERE), Status::Active));
}

#[test]
fn a_session_superseded_before_its_outcome_arrived_is_noticed() {
    let mut story = Story::new();
    let agent = story.enroll();
    let sink = story.connect(agent);
    let open = story.take(Kind::Open).unwrap();
    let applied = story.apply_unseen(open.change.clone());
    story.desk.applied(&applied.events, &story.control);
    story.open_elsewhere(agent);
    assert!(!is_closed(&sink));
    story.desk.settled(open, applied.index, applied.outcome, &story.control);
    assert!(is_closed(&sink));
}

#[test]
fn a_delivery_queued_before_the_outcome_arrived_is_sent() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let sink = story.connect(agent);
    let open = story.take(Kind::Open).unwrap();
    let applied = story.apply_unseen(open.change.clone());
    story.desk.applied(&applied.events, &story.control);
    story.say(agent, Heard::Spoke);
    let elsewhere = story.apply_unseen(Change::IssueCommand(IssueCommand {
        kind: CommandKind::Reconnect,
        selector: Selector::All,
        issuer: None,
        send_within: Millis::from_secs(60),
    }));
    // Pending agents take no command; the same agent made active first does.
    assert!(matches!(elsewhere.outcome, Outcome::Issued(ref issued) if issued.targets.is_empty()));
    story.desk.settled(open, applied.index, applied.outcome, &story.control);
    story.settle();
    story.issue(CommandKind::Reconnect, agent);
    story.settle();
    assert_eq!(sent(&sink), ["#!-force_reconnect"]);
}

#[test]
fn no_session_is_opened_for_a_connection_that_is_gone() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    story.disconnect(agent);
    assert!(story.settle().is_empty());
    assert_eq!(story.agent(agent).status, Status::NeverConnected);
}

#[test]
fn sessions_that_ended_with_the_lease_are_resumed_when_there_is_one() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let old = story.agent(agent).epoch;
    story.pass(LEASE);
    assert_eq!(story.agent(agent).status, Status::Disconnected);
    let batch = story.take(Kind::Open).unwrap();
    let applied = story.apply_unseen(batch.change.clone());
    let next = story.desk.settled(batch, applied.index, applied.outcome, &story.control);
    assert_eq!(next, super::Next::Wait);
    story.renew(HERE);
    story.settle();
    let record = story.agent(agent);
    assert_eq!((record.status, record.epoch > old, is_closed(&sink)), (Status::Active, true, false));
}

#[test]
fn what_was_heard_while_the_lease_lapsed_is_stated_after_the_resumption() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Shutdown);
    let late = story.take(Kind::Close).unwrap();
    story.pass(LEASE);
    story.renew(HERE);
    story.commit(late, false);
    story.connect(agent);
    story.settle();
    assert_eq!(story.proof(agent, command), Some(Reason::ShutdownThenStartup));
}

#[test]
fn a_late_statement_does_not_take_an_agent_from_where_it_is() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.say(agent, Heard::Shutdown);
    let late = story.take(Kind::Close).unwrap();
    story.open_elsewhere(agent);
    story.commit(late, false);
    story.settle();
    assert_eq!((story.agent(agent).owner, story.agent(agent).status), (Some(ELSEWHERE), Status::Active));
}

#[test]
fn an_agent_not_heard_of_is_disconnected_and_forgotten() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    story.desk.sweep(story.now);
    assert!(story.settle().is_empty());
    story.desk.sweep(story.now + SILENCE + Duration::from_secs(1));
    assert!(is_closed(&sink));
    assert_eq!(story.settle(), ["close_sessions"]);
    assert_eq!(story.agent(agent).status, Status::Disconnected);
    story.desk.sweep(story.now + SILENCE + Duration::from_secs(2));
    assert!(story.desk.seats.is_empty() && story.settle().is_empty());
}

#[test]
fn a_removed_agent_is_cut_off_at_once() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let agents = AgentSet::Only(vec![agent]);
    story.apply(Change::RemoveAgents(RemoveAgents { agents, statuses: None, older_than: Millis::new(0) }));
    assert!(is_closed(&sink));
    let again = story.connect(agent);
    story.settle();
    assert!(is_closed(&again), "its session is refused");
}

#[test]
fn missed_events_are_made_up_for_by_the_state() {
    let mut story = Story::new();
    let (restarted, sink) = story.connected();
    let (moved, gone) = story.connected();
    let issue = IssueCommand {
        kind: CommandKind::Restart,
        selector: Selector::Agents(vec![restarted]),
        issuer: None,
        send_within: Millis::from_secs(60),
    };
    story.apply_unseen(Change::IssueCommand(issue));
    story.apply_unseen(elsewhere(moved, story.control.index()));
    story.desk.jumped(&story.control);
    assert!(is_closed(&gone));
    let batch = story.take(Kind::Send).unwrap();
    let applied = story.apply_unseen(batch.change.clone());
    assert!(applied.events.iter().any(|event| matches!(event, Event::DeliverySent(_))));
    story.desk.jumped(&story.control);
    assert_eq!(sent(&sink).len(), 1, "the granted right was found in the state");
    story.desk.settled(batch, applied.index, applied.outcome, &story.control);
    story.settle();
    assert_eq!(sent(&sink).len(), 1);
}

#[test]
fn statements_that_could_not_be_committed_are_taken_again() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    for _ in 0..3 {
        let batch = story.take(Kind::Open).unwrap();
        story.desk.failed(batch);
    }
    story.say(agent, Heard::Spoke);
    assert_eq!(story.settle(), ["open_sessions"]);
    assert_eq!(story.agent(agent).status, Status::Active);
}

#[test]
fn a_connection_long_unheard_of_is_not_opened_when_the_quorum_returns() {
    let mut story = Story::new();
    let agent = story.enroll();
    let sink = story.connect(agent);
    let batch = story.take(Kind::Open).unwrap();
    story.desk.failed(batch);
    story.now += Duration::from_secs(121);
    assert!(story.settle().is_empty());
    assert!(is_closed(&sink));
}
