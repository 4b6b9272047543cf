//! What a real agent does, whatever is lost or late on the way: a restart is confirmed only once it was carried out.

use std::collections::{BTreeSet, VecDeque};

use muster_control::{
    AgentId, Change, CloseCause, CloseSession, CloseSessions, CommandId, CommandKind, EnrollAgent, Epoch, Event,
    Evidence, Generation, IssueCommand, Label, LogIndex, MarkSent, Millis, NodeId, OpenSession, OpenSessions, Outcome,
    ProcessState, Receipt, Receipts, Seen, Selector, Send, SessionAnswer, Sighting, Stage,
};
use proptest::prelude::*;

use crate::support::Log;

const NODES: u64 = 2;

/// Longer than an unproven delivery waits.
const QUIET: u64 = 130;

/// What a node sends to the agent.
enum Downward {
    Ack,
    Restart(CommandId),
    AskState(CommandId),
}

/// What a node has to state, in the order it heard of it.
enum Statement {
    Open { startup_at: LogIndex },
    Heard { keepalive: bool },
    Send(CommandId),
    Evidence(Option<CommandId>, Evidence),
    Close(CloseCause),
}

/// One connection of the agent.
struct Line {
    node: u64,
    is_acked: bool,
    epoch: Option<Epoch>,
    to_agent: VecDeque<Downward>,
}

/// The process of the agent: a new one for each restart that it carries out.
#[derive(Default)]
struct Process {
    said_started: bool,
    sent_keepalive: bool,
}

/// One agent, the nodes it may connect to, and the log.
struct World {
    log: Log,
    agent: AgentId,
    process: Process,
    lines: Vec<Line>,
    connected: Option<usize>,
    /// What each node has to state, with the connection it is about.
    desks: [VecDeque<(usize, Statement)>; NODES as usize],
    received: VecDeque<CommandId>,
    carried_out: BTreeSet<CommandId>,
    confirmed: usize,
}

/// One thing that happens; `luck` decides what is lost.
#[derive(Clone, Debug)]
enum Step {
    Connect { node: u64, lag: u64, notice: bool },
    Read { answer_lost: bool, heard: bool },
    KeepAlive,
    State { node: u64 },
    CarryOut { goodbye_lost: bool },
    Issue,
    Quiet,
}

fn step() -> impl Strategy<Value = Step> {
    let luck = || any::<bool>();
    prop_oneof![
        2 => (0..NODES, 0..3_u64, luck()).prop_map(|(node, lag, notice)| Step::Connect { node, lag, notice }),
        8 => (luck(), luck()).prop_map(|(answer_lost, heard)| Step::Read { answer_lost, heard }),
        2 => Just(Step::KeepAlive),
        30 => (0..NODES).prop_map(|node| Step::State { node }),
        2 => luck().prop_map(|goodbye_lost| Step::CarryOut { goodbye_lost }),
        1 => Just(Step::Issue),
        1 => Just(Step::Quiet),
    ]
}

impl World {
    fn new() -> Self {
        let mut log = Log::unchecked();
        (0..NODES).for_each(|node| _ = log.renew(node));
        let enrolled = log.apply(Change::EnrollAgent(EnrollAgent::new(
            "web-01".parse().expect("a valid agent name"),
            "00".repeat(32).parse().expect("a valid key"),
        )));
        let Outcome::Enrolled(enrolled) = enrolled else { panic!("{enrolled:?}") };
        Self {
            log,
            agent: enrolled.agent,
            process: Process::default(),
            lines: Vec::new(),
            connected: None,
            desks: [VecDeque::new(), VecDeque::new()],
            received: VecDeque::new(),
            carried_out: BTreeSet::new(),
            confirmed: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Connect { node, lag, notice } => self.connect(node, lag, notice),
            Step::Read { answer_lost, heard } => self.read(answer_lost, heard),
            Step::KeepAlive => self.keep_alive(),
            Step::State { node } => self.state(node),
            Step::CarryOut { goodbye_lost } => self.carry_out(goodbye_lost),
            Step::Issue => {
                let selector = Selector::Agents(vec![self.agent]);
                let send_within = Millis::from_secs(QUIET);
                self.apply(Change::IssueCommand(IssueCommand {
                    kind: CommandKind::Restart,
                    selector,
                    issuer: None,
                    send_within,
                }));
            }
            Step::Quiet => self.quiet(),
        }
    }

    /// The agent leaves its connection, if it has one, and makes another.
    fn connect(&mut self, node: u64, lag: u64, notice: bool) {
        if let Some(left) = self.hang_up().filter(|_| notice) {
            self.tell(left, Statement::Close(CloseCause::Silent));
        }
        let startup_at = LogIndex::new(self.log.control.index().get().saturating_sub(lag));
        self.lines.push(Line { node, is_acked: false, epoch: None, to_agent: VecDeque::from([Downward::Ack]) });
        let line = self.lines.len() - 1;
        self.connected = Some(line);
        self.tell(line, Statement::Open { startup_at });
    }

    /// The agent reads one message.
    fn read(&mut self, answer_lost: bool, heard: bool) {
        let Some(line) = self.connected else { return };
        let said = match self.lines[line].to_agent.pop_front() {
            None => return,
            Some(Downward::Ack) => {
                self.lines[line].is_acked = true;
                // Said once, and never again if it is lost.
                let is_new = !std::mem::replace(&mut self.process.said_started, true);
                is_new.then_some(Statement::Evidence(None, Evidence::Started))
            }
            Some(Downward::Restart(command)) => {
                self.received.push_back(command);
                Some(Statement::Evidence(Some(command), Evidence::Answered))
            }
            Some(Downward::AskState(command)) => {
                let state = ProcessState { has_sent_keepalive: self.process.sent_keepalive };
                Some(Statement::Evidence(Some(command), Evidence::State(state)))
            }
        };
        if let Some(said) = said.filter(|_| !answer_lost) {
            if heard {
                self.tell(line, Statement::Heard { keepalive: false });
            }
            self.tell(line, said);
        }
    }

    fn keep_alive(&mut self) {
        if let Some(line) = self.connected.filter(|line| self.lines[*line].is_acked) {
            self.process.sent_keepalive = true;
            self.tell(line, Statement::Heard { keepalive: true });
        }
    }

    /// The agent carries out what it received first: it says goodbye, and a new process begins.
    fn carry_out(&mut self, goodbye_lost: bool) {
        let Some(command) = self.received.pop_front() else { return };
        self.carried_out.insert(command);
        self.process = Process::default();
        if let Some(left) = self.hang_up().filter(|line| !goodbye_lost && self.lines[*line].is_acked) {
            self.tell(left, Statement::Close(CloseCause::Shutdown));
        }
    }

    /// Whatever is on its way arrives, the agent too; then nothing happens for as long as a proof is waited for. Of what
    /// an agent does later than that, nobody can tell which command made it.
    fn quiet(&mut self) {
        loop {
            let reads = self.connected.is_some_and(|line| !self.lines[line].to_agent.is_empty());
            let states = (0..NODES).find(|node| !self.desks[*node as usize].is_empty());
            match states {
                Some(node) => self.state(node),
                None if reads => self.read(false, false),
                None if !self.received.is_empty() => self.carry_out(false),
                None if self.connected.is_none() => self.connect(0, 0, false),
                None => break,
            }
        }
        for _ in 0..QUIET / 5 {
            self.log.now = self.log.now.plus(Millis::from_secs(5));
            (0..NODES).for_each(|node| _ = self.log.renew(node));
            self.judge();
        }
    }

    fn hang_up(&mut self) -> Option<usize> {
        let left = self.connected.take()?;
        self.lines[left].to_agent.clear();
        Some(left)
    }

    fn tell(&mut self, line: usize, statement: Statement) {
        self.desks[self.lines[line].node as usize].push_back((line, statement));
    }

    /// A node puts the first thing it has to state into the log.
    fn state(&mut self, node: u64) {
        let Some((line, statement)) = self.desks[node as usize].pop_front() else { return };
        let agent = self.agent;
        if let Statement::Open { startup_at } = statement {
            let peer = Label::truncated("127.0.0.1:40000");
            let (version, spoke, resume, startup_at) = (None, false, None, Some(startup_at));
            let sessions = vec![OpenSession { agent, peer, version, spoke, resume, startup_at }];
            let (node, generation) = (NodeId::new(node), Generation::new(1));
            let outcome = self.log.apply(Change::OpenSessions(OpenSessions { node, generation, sessions }));
            let Outcome::Sessions(answers) = outcome else { panic!("{outcome:?}") };
            let SessionAnswer::Opened(epoch) = answers[0] else { panic!("{answers:?}") };
            self.lines[line].epoch = Some(epoch);
            return self.judge();
        }
        let epoch = self.lines[line].epoch.expect("the session was opened before");
        self.apply(match statement {
            Statement::Heard { keepalive } => {
                let keepalive_at = keepalive.then_some(self.log.now);
                Change::Seen(Seen {
                    sightings: vec![Sighting { agent, epoch, keepalive_at, report: None }],
                    refused: None,
                })
            }
            Statement::Send(command) => Change::MarkSent(MarkSent { sends: vec![Send { agent, epoch, command }] }),
            Statement::Evidence(command, evidence) => {
                Change::Receipts(Receipts { receipts: vec![Receipt { agent, epoch, command, evidence }] })
            }
            Statement::Close(cause) => {
                Change::CloseSessions(CloseSessions { closes: vec![CloseSession { agent, epoch, cause }] })
            }
            Statement::Open { .. } => unreachable!("handled above"),
        });
    }

    fn apply(&mut self, change: Change) {
        self.log.apply(change);
        self.judge();
    }

    /// Acts on what the last change brought about, and holds it against what the agent did.
    fn judge(&mut self) {
        for event in std::mem::take(&mut self.log.events) {
            match event {
                Event::DeliveryQueued(dispatch) => {
                    let line = self.line(dispatch.epoch);
                    self.tell(line, Statement::Send(dispatch.command));
                }
                Event::DeliverySent(dispatch) => self.write(dispatch.epoch, Downward::Restart(dispatch.command)),
                Event::StateWanted(dispatch) => self.write(dispatch.epoch, Downward::AskState(dispatch.command)),
                Event::DeliveryEnded { command, stage: Stage::Confirmed, .. } => {
                    let delivery =
                        &self.log.control.command(command).expect("it is remembered").deliveries[&self.agent];
                    let carrier = delivery.shares.unwrap_or(command);
                    assert!(self.carried_out.contains(&carrier), "{carrier} was not carried out: {delivery:?}");
                    self.confirmed += 1;
                }
                _ => {}
            }
        }
    }

    fn line(&self, epoch: Epoch) -> usize {
        self.lines.iter().position(|line| line.epoch == Some(epoch)).expect("a session has a connection")
    }

    /// What is written to a connection that the agent has left is lost, and its node need not know.
    fn write(&mut self, epoch: Epoch, message: Downward) {
        let line = self.line(epoch);
        if self.connected == Some(line) {
            self.lines[line].to_agent.push_back(message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_restart_is_confirmed_only_once_it_was_carried_out(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
    }
}

#[test]
fn the_model_of_an_agent_gets_restarts_confirmed() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 20_000).new_tree(&mut runner).expect("steps").current();
    let mut world = World::new();
    steps.iter().for_each(|step| world.take(step));
    assert!(world.confirmed > 50, "only {} restarts were confirmed", world.confirmed);
}
