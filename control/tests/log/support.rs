//! A log with one writer, and what must hold after each of its entries.

use std::collections::{BTreeMap, BTreeSet};

use muster_control::{
    AgentId, Applied, Change, ChangeId, CommandId, Control, Entry, Epoch, Event, Evidence, Generation, Label, Millis,
    NodeId, Outcome, Receipt, Record, RenewLease, Restore, Stage, Stamp, Status,
};

pub(crate) const LEASE: Millis = Millis::from_secs(10);

/// Applies changes to a state and checks every invariant after each.
pub(crate) struct Log {
    pub(crate) control: Control,
    pub(crate) now: Stamp,
    pub(crate) generations: BTreeMap<u64, u64>,
    pub(crate) entries: Vec<Entry>,
    /// What happened, as far as nobody has taken it.
    pub(crate) events: Vec<Event>,
    checks_invariants: bool,
    owners: BTreeMap<(AgentId, Epoch), NodeId>,
    finals: BTreeMap<(CommandId, AgentId), Stage>,
    unused: BTreeMap<(CommandId, AgentId), bool>,
    given: BTreeSet<AgentId>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            control: Control::default(),
            now: Stamp::from_millis(1_700_000_000_000),
            generations: BTreeMap::new(),
            entries: Vec::new(),
            events: Vec::new(),
            checks_invariants: true,
            owners: BTreeMap::new(),
            finals: BTreeMap::new(),
            unused: BTreeMap::new(),
            given: BTreeSet::new(),
        }
    }

    /// One whose invariants are others' business.
    pub(crate) fn unchecked() -> Self {
        Self { checks_invariants: false, ..Self::new() }
    }

    pub(crate) fn apply(&mut self, change: Change) -> Outcome {
        let index = self.control.index().next();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&index.get().to_be_bytes());
        let entry = Entry { index, stamp: self.now, change_id: ChangeId::new(id), fingerprint: 0, change };
        let applied = self.control.apply(&entry);
        if self.checks_invariants {
            self.check(&entry.change, &applied);
        }
        self.entries.push(entry);
        self.events.extend(applied.events);
        applied.outcome
    }

    pub(crate) fn renew(&mut self, number: u64) -> Outcome {
        let generation = *self.generations.entry(number).or_insert(1);
        self.apply(Change::RenewLease(RenewLease {
            node: NodeId::new(number),
            name: format!("node-{number}").parse().expect("a valid node name"),
            generation: Generation::new(generation),
            lease: LEASE,
            address: Label::truncated("127.0.0.1"),
            version: Label::truncated("0.1.0"),
        }))
    }

    fn check(&mut self, change: &Change, applied: &Applied) {
        self.invariant_an_id_is_given_once(applied);
        self.invariant_an_epoch_has_one_owner();
        self.invariant_status_follows_the_session();
        self.invariant_a_session_rests_on_a_lease();
        self.invariant_indexes_and_counters_are_those_of_a_recount();
        self.invariant_a_finished_delivery_stays_as_it_is();
        self.invariant_open_deliveries_are_in_lanes();
        self.invariant_nothing_is_allowed_twice(change, applied);
        self.invariant_only_evidence_confirms(change, applied);
        assert!(self.control.next_due().is_none_or(|due| due > self.control.clock()), "something due was not done");
    }

    /// Whether enrolled or imported: no id is given twice, and none is given beyond what is known as the highest.
    fn invariant_an_id_is_given_once(&mut self, applied: &Applied) {
        for event in &applied.events {
            if let Event::AgentEnrolled { agent } = event {
                assert!(self.given.insert(*agent), "agent {agent} was given before");
                assert!(*agent <= self.control.last_agent(), "agent {agent} is beyond the highest id");
            }
        }
    }

    fn invariant_an_epoch_has_one_owner(&mut self) {
        for agent in self.control.agents().iter() {
            if let Some(session) = &agent.session {
                assert_eq!(session.epoch, agent.epoch, "agent {} speaks under an old epoch", agent.id);
                let owner = *self.owners.entry((agent.id, session.epoch)).or_insert(session.node);
                assert_eq!(owner, session.node, "agent {} epoch {}", agent.id, session.epoch);
            }
        }
    }

    fn invariant_status_follows_the_session(&self) {
        for agent in self.control.agents().iter() {
            let open = matches!(agent.status, Status::Pending | Status::Active);
            assert_eq!(open, agent.session.is_some(), "agent {}", agent.id);
            assert_eq!(agent.status == Status::Disconnected, agent.disconnected_at().is_some(), "agent {}", agent.id);
            assert_eq!(agent.status == Status::NeverConnected, agent.epoch == Epoch::default(), "agent {}", agent.id);
        }
    }

    fn invariant_a_session_rests_on_a_lease(&self) {
        for session in self.control.agents().iter().filter_map(|agent| agent.session.as_ref()) {
            let node = self.control.node(session.node).expect("a session's node is registered");
            assert!(node.lease_until.is_some_and(|until| until > self.control.clock()), "node {}", node.id);
        }
    }

    fn invariant_indexes_and_counters_are_those_of_a_recount(&self) {
        let agents = self.control.agents();
        for status in Status::ALL {
            let counted = agents.iter().filter(|agent| agent.status == status).count();
            assert_eq!(agents.counters().status(status) as usize, counted, "{status:?}");
        }
        for group in self.control.groups() {
            let members: Vec<_> =
                agents.iter().filter(|agent| agent.groups.contains(&group.name)).map(|agent| agent.id).collect();
            assert_eq!(agents.in_group(&group.name).collect::<Vec<_>>(), members, "{}", group.name);
        }
        for node in self.control.nodes() {
            let owned = |agent: &&std::sync::Arc<muster_control::Agent>| agent.session_node() == Some(node.id);
            let sessions: Vec<_> = agents.iter().filter(owned).map(|agent| agent.id).collect();
            assert_eq!(agents.with_session_on(node.id).collect::<Vec<_>>(), sessions, "node {}", node.id);
            let active = agents.iter().filter(|agent| agent.status == Status::Active && agent.owner == Some(node.id));
            assert_eq!(agents.counters().active_on(node.id) as usize, active.count(), "node {}", node.id);
        }
        for agent in agents.iter() {
            assert!(!agent.groups.is_empty() || agent.status == Status::NeverConnected, "agent {}", agent.id);
            assert_eq!(agents.named(&agent.name).map(|agent| agent.id), Some(agent.id));
            let at_address = agents.at_address(&agent.address).map(|agent| agent.id);
            assert_eq!(at_address, (!agent.address.is_any()).then_some(agent.id));
        }
    }

    fn invariant_a_finished_delivery_stays_as_it_is(&mut self) {
        for command in self.control.commands() {
            for (agent, delivery) in command.deliveries.iter().filter(|(_, delivery)| delivery.stage.is_final()) {
                let first = *self.finals.entry((command.head.id, *agent)).or_insert(delivery.stage);
                assert_eq!(first, delivery.stage, "command {} agent {agent}", command.head.id);
                assert!(delivery.reason.is_some(), "a delivery ends with a reason");
            }
        }
    }

    /// Open deliveries stand for what is in the lanes, and each command counts its deliveries by stage.
    fn invariant_open_deliveries_are_in_lanes(&self) {
        for command in self.control.commands() {
            for stage in Stage::ALL {
                let counted = command.deliveries.values().filter(|delivery| delivery.stage == stage).count();
                assert_eq!(command.count(stage) as usize, counted, "command {} {stage:?}", command.head.id);
            }
            for (agent, delivery) in command.deliveries.iter().filter(|(_, delivery)| !delivery.stage.is_final()) {
                let lane = self.control.lane(*agent).expect("an open delivery has a lane");
                assert!(lane.head().is_some(), "a lane is not empty");
                let sent = delivery.stage != Stage::Queued;
                let carrier = delivery.shares.unwrap_or(command.head.id);
                let is_head = lane.head().is_some_and(|head| head.command == carrier && head.sent().is_some());
                assert_eq!(sent, is_head, "command {} agent {agent}", command.head.id);
            }
        }
    }

    /// The right to send is given once, and again only after it was handed back or the agent said `err`.
    fn invariant_nothing_is_allowed_twice(&mut self, change: &Change, applied: &Applied) {
        if let Change::Receipts(receipts) = change {
            let handed_back =
                |receipt: &&Receipt| matches!(receipt.evidence, Evidence::Unwritten | Evidence::Refused(_));
            for receipt in receipts.receipts.iter().filter(handed_back) {
                self.unused.insert((receipt.command.unwrap_or_default(), receipt.agent), true);
            }
        }
        for event in &applied.events {
            if let Event::DeliverySent(dispatch) = event {
                let first = self.unused.insert((dispatch.command, dispatch.agent), false);
                assert_ne!(first, Some(false), "{dispatch:?} was allowed twice");
            }
        }
    }

    fn invariant_only_evidence_confirms(&self, change: &Change, applied: &Applied) {
        let confirmed = |event: &Event| matches!(event, Event::DeliveryEnded { stage: Stage::Confirmed, .. });
        if applied.events.iter().any(confirmed) {
            assert!(matches!(change, Change::OpenSessions(_) | Change::Receipts(_)), "{change:?}");
        }
    }
}

/// The state in bytes: equal states are equal here.
pub(crate) fn bytes(control: &Control) -> Vec<Vec<u8>> {
    control.records().map(|record| record.to_bytes()).collect()
}

/// The state as another replica gets it by snapshot.
pub(crate) fn by_snapshot(control: &Control) -> Control {
    let mut restore = Restore::new();
    for bytes in bytes(control) {
        restore.push(Record::from_bytes(&bytes).expect("just encoded")).expect("in order");
    }
    restore.finish().expect("complete")
}
