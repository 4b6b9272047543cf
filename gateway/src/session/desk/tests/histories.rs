//! The desk over random histories: batches, outcomes and events arrive late, fail, or are missed.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const AGENTS: usize = 3;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect(usize),
    Disconnect(usize),
    Say(usize, u8),
    OpenElsewhere(usize),
    Issue(usize, CommandKind),
    /// A batch leaves and is applied, but neither its outcome nor its events have come back.
    Apply(usize),
    /// A batch leaves and is certainly not applied.
    Fail(usize),
    /// The oldest outcome comes back.
    Outcome,
    /// The oldest events come back.
    Events,
    /// All events that have not come back are missed.
    Jump,
    LeaseLapses,
    Interval,
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..AGENTS;
    prop_oneof![
        4 => agent.clone().prop_map(Step::Connect),
        1 => agent.clone().prop_map(Step::Disconnect),
        4 => (agent.clone(), 0u8..6).prop_map(|(agent, what)| Step::Say(agent, what)),
        1 => agent.clone().prop_map(Step::OpenElsewhere),
        2 => agent.clone().prop_map(|agent| Step::Issue(agent, CommandKind::Restart)),
        1 => agent.prop_map(|agent| Step::Issue(agent, CommandKind::Reconnect)),
        8 => (0..Kind::ALL.len()).prop_map(Step::Apply),
        1 => (0..Kind::ALL.len()).prop_map(Step::Fail),
        6 => Just(Step::Outcome),
        6 => Just(Step::Events),
        1 => Just(Step::Jump),
        1 => Just(Step::LeaseLapses),
        1 => Just(Step::Interval),
    ]
}

/// A story in which what was applied is told to the desk later.
struct History {
    story: Story,
    agents: Vec<AgentId>,
    outcomes: VecDeque<(Batch, LogIndex, Outcome)>,
    events: VecDeque<Vec<Event>>,
    sinks: Vec<Arc<Recorder>>,
}

impl History {
    fn new() -> Self {
        let mut story = Story::new();
        let agents = (0..AGENTS).map(|_| story.enroll()).collect();
        Self { story, agents, outcomes: VecDeque::new(), events: VecDeque::new(), sinks: Vec::new() }
    }

    fn apply(&mut self, change: Change) -> (LogIndex, Outcome) {
        let applied = self.story.apply_unseen(change);
        self.events.push_back(applied.events);
        (applied.index, applied.outcome)
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Connect(agent) => {
                let sink = self.story.connect(self.agents[agent]);
                self.sinks.push(sink);
            }
            Step::Disconnect(agent) if self.story.lines.contains_key(&self.agents[agent]) => {
                self.story.disconnect(self.agents[agent]);
            }
            Step::Say(agent, what) if self.story.lines.contains_key(&self.agents[agent]) => {
                self.say(self.agents[agent], what);
            }
            Step::Disconnect(_) | Step::Say(..) => {}
            Step::OpenElsewhere(agent) => {
                let open = elsewhere(self.agents[agent], self.story.control.index());
                self.apply(open);
            }
            Step::Issue(agent, kind) => {
                let selector = Selector::Agents(vec![self.agents[agent]]);
                let send_within = Millis::from_secs(60);
                self.apply(Change::IssueCommand(IssueCommand { kind, selector, issuer: None, send_within }));
            }
            Step::Apply(kind) => self.send_off(Kind::ALL[kind]),
            Step::Fail(kind) if !self.is_out(Kind::ALL[kind]) => {
                if let Some(batch) = self.story.take(Kind::ALL[kind]) {
                    self.story.desk.failed(batch);
                }
            }
            Step::Fail(_) => {}
            Step::Outcome => {
                if let Some((batch, index, outcome)) = self.outcomes.pop_front() {
                    self.story.desk.settled(batch, index, outcome, &self.story.control);
                }
            }
            Step::Events => {
                if let Some(events) = self.events.pop_front() {
                    self.story.desk.applied(&events, &self.story.control);
                }
            }
            Step::Jump => {
                self.events.clear();
                self.story.desk.jumped(&self.story.control);
            }
            Step::LeaseLapses => {
                self.story.stamp = self.story.stamp.plus(LEASE);
                for node in [HERE, ELSEWHERE] {
                    self.apply(renewal(node));
                }
            }
            Step::Interval => self.story.desk.end_interval(),
        }
    }

    fn is_out(&self, kind: Kind) -> bool {
        self.outcomes.iter().any(|(batch, ..)| batch.kind == kind)
    }

    fn send_off(&mut self, kind: Kind) {
        if self.is_out(kind) {
            return;
        }
        if let Some(batch) = self.story.take(kind) {
            let (index, outcome) = self.apply(batch.change.clone());
            self.outcomes.push_back((batch, index, outcome));
        }
    }

    fn say(&mut self, agent: AgentId, what: u8) {
        let command = self.story.control.commands().last().map_or(CommandId::new(1), |command| command.head.id);
        match what {
            0 => self.story.say(agent, Heard::Spoke),
            1 => self.story.keepalive(agent, Some("Wazuh v4.14.7")),
            2 => self.story.say(agent, Heard::Started),
            3 => self.story.say(agent, Heard::Answered(command)),
            4 => self.story.say(agent, Heard::State(command, ProcessState { has_sent_keepalive: false })),
            _ => self.story.say(agent, Heard::Shutdown),
        }
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        for _ in 0..500 {
            (0..Kind::ALL.len()).for_each(|kind| self.run(Step::Apply(kind)));
            self.run(Step::Outcome);
            self.run(Step::Events);
            let waits = Kind::ALL.into_iter().any(|kind| self.story.desk.has_waiting(kind));
            if !waits && self.outcomes.is_empty() && self.events.is_empty() {
                return;
            }
        }
        panic!("the desk never comes to rest");
    }

    /// No right to send is used twice.
    fn no_delivery_is_written_more_often_than_allowed(&self) {
        let mut written: BTreeMap<String, u32> = BTreeMap::new();
        for message in self.sinks.iter().flat_map(|sink| sent(sink)) {
            if let Some(number) = message.strip_prefix("#!-req d") {
                let command = number.split_once('-').map(|(command, _)| command.to_owned()).unwrap();
                *written.entry(command).or_default() += 1;
            }
        }
        for (command, count) in written {
            let id = CommandId::new(u64::from_str_radix(&command, 16).unwrap());
            let attempts: u32 =
                self.story.control.command(id).unwrap().deliveries.values().map(|delivery| delivery.attempts).sum();
            assert!(count <= attempts, "command {id} was written {count} times, allowed {attempts} times");
        }
    }

    /// At rest, a live connection is the agent's session, and nothing that could be sent waits.
    fn at_rest_connections_and_sessions_agree(&self) {
        assert!(self.story.desk.is_settled());
        for agent in &self.agents {
            let record = self.story.agent(*agent);
            let line = self.story.desk.seats.get(agent).and_then(|seat| seat.line.as_ref());
            let here = record.session.as_ref().filter(|session| session.node == HERE).map(|session| session.epoch);
            if let Some(line) = line {
                assert_eq!(line.epoch, here, "the live connection of agent {agent} and its session");
                assert!(line.epoch.is_some(), "agent {agent} is connected without a session");
                let waiting = self.story.control.queued_on(HERE).find(|dispatch| dispatch.agent == *agent);
                assert_eq!(waiting, None, "a delivery waits although its agent is connected");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_in_whatever_order_ends_in_agreement(steps in proptest::collection::vec(step(), 1..80)) {
        let mut history = History::new();
        for step in steps {
            history.run(step);
            history.no_delivery_is_written_more_often_than_allowed();
        }
        history.settle();
        history.no_delivery_is_written_more_often_than_allowed();
        history.at_rest_connections_and_sessions_agree();
    }
}
