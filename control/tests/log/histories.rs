//! Random histories: whatever changes come in whatever order, the invariants hold and replicas agree.

use crate::support::{LEASE, Log, by_snapshot, bytes};
use muster_control::{
    AgentId, AgentSet, AssignGroup, Author, Change, CloseCause, CloseSession, CloseSessions, CommandId, CommandKind,
    Control, EnrollAgent, EnrollAgents, Epoch, Evidence, Force, FoundCluster, Generation, GroupName, ImportAgents,
    ImportedAgent, IssueCommand, Label, LeaveGroups, LogIndex, MarkSent, Millis, NewUser, NodeId, OpenSession,
    OpenSessions, Past, ProcessState, Receipt, Receipts, RefusedStartup, RegisteredAddress, ReleaseLease, RemoveAgents,
    RemoveGroups, Report, Seen, Selector, Send, Sighting, SigningKey, StatusCode,
};
use proptest::prelude::*;

/// One step, in numbers that are bent to what exists when it is taken.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Renew(u64),
    RestartNode(u64),
    ReleaseLease(u64),
    Enroll { name: u8, force: bool },
    EnrollMany { names: Vec<u8>, force: bool, behind: u64 },
    Remove(u8),
    Open { agent: u8, node: u64, spoke: bool },
    Resume { agent: u8, node: u64, behind: u64 },
    Close { agent: u8, behind: u64, cause: CloseCause },
    Seen { agent: u8, behind: u64, keepalive: bool, version: Option<u8> },
    RefuseStartup { agent: u8, code: StatusCode },
    Issue { kind: CommandKind, to: Option<Vec<u8>> },
    Send { agent: u8, behind: u64, command: u8 },
    Receipt { agent: u8, behind: u64, command: u8, evidence: Evidence },
    CreateGroup(u8),
    RemoveGroup(u8),
    Assign { agent: u8, group: u8, replace: bool },
    Leave { agent: u8 },
    Revoke,
    Import { ids: Vec<u8>, removed: u8, further: u8, past: bool, skip: bool },
}

fn evidence() -> impl Strategy<Value = Evidence> {
    prop_oneof![
        Just(Evidence::Answered),
        Just(Evidence::Refused(Label::truncated("Connection refused"))),
        Just(Evidence::Started),
        any::<bool>().prop_map(|has_sent_keepalive| Evidence::State(ProcessState { has_sent_keepalive })),
        Just(Evidence::Unwritten),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let agent = || 0..6_u8;
    let node = || 1..4_u64;
    let behind = || prop_oneof![8 => Just(0_u64), 1 => 1..4_u64];
    let kind = || prop_oneof![Just(CommandKind::Restart), Just(CommandKind::Reconnect)];
    let cause = prop_oneof![Just(CloseCause::Shutdown), Just(CloseCause::Silent)];
    let to = proptest::option::of(proptest::collection::vec(0..8_u8, 0..4));
    let version = proptest::option::of(0..3_u8);
    let code = prop_oneof![Just(StatusCode::TooNew), Just(StatusCode::NoVersion)];
    prop_oneof![
        2 => prop_oneof![0..3_000_u64, 0..200_000_u64].prop_map(Step::Pass),
        6 => node().prop_map(Step::Renew),
        1 => node().prop_map(Step::RestartNode),
        1 => node().prop_map(Step::ReleaseLease),
        3 => (0..5_u8, any::<bool>()).prop_map(|(name, force)| Step::Enroll { name, force }),
        2 => (proptest::collection::vec(0..5_u8, 0..4), any::<bool>(), behind())
            .prop_map(|(names, force, behind)| Step::EnrollMany { names, force, behind }),
        1 => agent().prop_map(Step::Remove),
        8 => (agent(), node(), any::<bool>()).prop_map(|(agent, node, spoke)| Step::Open { agent, node, spoke }),
        2 => (agent(), node(), behind()).prop_map(|(agent, node, behind)| Step::Resume { agent, node, behind }),
        2 => (agent(), behind(), cause).prop_map(|(agent, behind, cause)| Step::Close { agent, behind, cause }),
        8 => (agent(), behind(), any::<bool>(), version)
            .prop_map(|(agent, behind, keepalive, version)| Step::Seen { agent, behind, keepalive, version }),
        1 => (agent(), code).prop_map(|(agent, code)| Step::RefuseStartup { agent, code }),
        4 => (kind(), to).prop_map(|(kind, to)| Step::Issue { kind, to }),
        8 => (agent(), behind(), 0..8_u8).prop_map(|(agent, behind, command)| Step::Send { agent, behind, command }),
        8 => (agent(), behind(), 0..8_u8, evidence())
            .prop_map(|(agent, behind, command, evidence)| Step::Receipt { agent, behind, command, evidence }),
        1 => (0..3_u8).prop_map(Step::CreateGroup),
        1 => (0..3_u8).prop_map(Step::RemoveGroup),
        1 => (agent(), 0..3_u8, any::<bool>()).prop_map(|(agent, group, replace)| Step::Assign { agent, group, replace }),
        1 => agent().prop_map(|agent| Step::Leave { agent }),
        1 => Just(Step::Revoke),
        2 => (proptest::collection::vec(0..12_u8, 0..4), 0..12_u8, 0..4_u8, any::<bool>(), any::<bool>())
            .prop_map(|(ids, removed, further, past, skip)| Step::Import { ids, removed, further, past, skip }),
    ]
}

fn id(control: &Control, pick: u8) -> AgentId {
    let known: Vec<_> = control.agents().iter().map(|agent| agent.id).collect();
    known.get(usize::from(pick)).copied().unwrap_or(AgentId::new(u32::from(pick) * 100))
}

fn epoch(control: &Control, agent: AgentId, behind: u64) -> Epoch {
    Epoch::new(control.agents().get(agent).map_or(1, |agent| agent.epoch.get().saturating_sub(behind)))
}

/// Prefers the command that is at the head of the agent's lane: any other is mostly refused.
fn command(control: &Control, agent: AgentId, pick: u8) -> CommandId {
    let head = control.lane(agent).and_then(|lane| lane.head()).map(|head| head.command);
    let picked = control.commands().rev().nth(usize::from(pick)).map(|command| command.head.id);
    head.filter(|_| pick < 6).or(picked).unwrap_or_default()
}

fn group(pick: u8) -> GroupName {
    format!("group-{pick}").parse().expect("a valid group name")
}

/// With a token of this moment: dead for the rest of the second in which tokens are revoked.
fn author(log: &Log) -> Author {
    Author { user: "wazuh".parse().expect("a valid user name"), token_issued_at: log.now }
}

fn found(log: &mut Log) {
    let user = NewUser { name: author(log).user, password_hash: Label::truncated("$argon2id$") };
    log.apply(Change::FoundCluster(FoundCluster { users: vec![user], signing_key: SigningKey { pkcs8: vec![1] } }));
}

fn take(log: &mut Log, step: &Step) {
    let generation = |log: &Log, node: u64| Generation::new(log.generations.get(&node).copied().unwrap_or(1));
    let change = match step.clone() {
        Step::Pass(millis) => {
            log.now = log.now.plus(Millis::new(millis));
            Change::Tick
        }
        Step::Renew(node) => {
            log.renew(node);
            return;
        }
        Step::RestartNode(node) => {
            *log.generations.entry(node).or_insert(1) += 1;
            log.renew(node);
            return;
        }
        Step::ReleaseLease(node) => {
            Change::ReleaseLease(ReleaseLease { node: NodeId::new(node), generation: generation(log, node) })
        }
        Step::Enroll { name, force } => Change::EnrollAgent(enrollment(name, force)),
        Step::EnrollMany { names, force, behind } => {
            let asked_at = Some(LogIndex::new(log.control.index().get().saturating_sub(behind)));
            let registered_from = Some(Label::truncated("10.0.0.5"));
            let one =
                |name| EnrollAgent { asked_at, registered_from: registered_from.clone(), ..enrollment(name, force) };
            Change::EnrollAgents(EnrollAgents { enrollments: names.into_iter().map(one).collect() })
        }
        Step::Remove(pick) => Change::RemoveAgents(RemoveAgents {
            agents: AgentSet::Only(vec![id(&log.control, pick)]),
            statuses: None,
            older_than: Millis::new(0),
        }),
        Step::Open { agent, node, spoke } => open(log, agent, node, spoke, None),
        Step::Resume { agent, node, behind } => {
            let old = epoch(&log.control, id(&log.control, agent), behind);
            open(log, agent, node, true, Some(old))
        }
        Step::Close { agent, behind, cause } => {
            let agent = id(&log.control, agent);
            let epoch = epoch(&log.control, agent, behind);
            Change::CloseSessions(CloseSessions { closes: vec![CloseSession { agent, epoch, cause }] })
        }
        Step::Seen { agent, behind, keepalive, version } => {
            let agent = id(&log.control, agent);
            let epoch = epoch(&log.control, agent, behind);
            let version = version.map(|minor| Label::truncated(&format!("Wazuh v4.{minor}.0")));
            let report = version.map(|version| Report { version: Some(version), ..Report::default() });
            let sighting = Sighting { agent, epoch, keepalive_at: keepalive.then_some(log.now), report };
            Change::Seen(Seen { sightings: vec![sighting], refused: None })
        }
        Step::RefuseStartup { agent, code } => {
            let refused = Some(vec![RefusedStartup { agent: id(&log.control, agent), code }]);
            Change::Seen(Seen { sightings: Vec::new(), refused })
        }
        Step::Issue { kind, to } => {
            let ids = |picks: Vec<u8>| picks.into_iter().map(|pick| id(&log.control, pick)).collect();
            let selector = to.map_or(Selector::All, |picks| Selector::Agents(ids(picks)));
            Change::IssueCommand(IssueCommand { kind, selector, issuer: None, send_within: Millis::from_secs(120) })
        }
        Step::Send { agent, behind, command: pick } => {
            let agent = id(&log.control, agent);
            let (epoch, command) = (epoch(&log.control, agent, behind), command(&log.control, agent, pick));
            Change::MarkSent(MarkSent { sends: vec![Send { agent, epoch, command }] })
        }
        Step::Receipt { agent, behind, command: pick, evidence } => {
            let agent = id(&log.control, agent);
            let (epoch, command) = (epoch(&log.control, agent, behind), command(&log.control, agent, pick));
            let receipt = Receipt { agent, epoch, command: Some(command), evidence };
            Change::Receipts(Receipts { receipts: vec![receipt] })
        }
        Step::CreateGroup(pick) => Change::CreateGroup(group(pick)).by(author(log)),
        Step::RemoveGroup(pick) => {
            Change::RemoveGroups(RemoveGroups { groups: Some(vec![group(pick)]) }).by(author(log))
        }
        Step::Assign { agent, group: pick, replace } => {
            let agents = AgentSet::Only(vec![id(&log.control, agent)]);
            Change::AssignGroup(AssignGroup { agents, group: group(pick), replace }).by(author(log))
        }
        Step::Import { ids, removed, further, past, skip } => {
            import(log, &ids, (removed, further), past, skip).by(author(log))
        }
        Step::Leave { agent } => Change::LeaveGroups(LeaveGroups { agent: id(&log.control, agent), groups: None }),
        Step::Revoke => Change::RevokeTokens(author(log).user),
    };
    log.apply(change);
}

fn enrollment(name: u8, force: bool) -> EnrollAgent {
    EnrollAgent {
        force: if force { Force::enrollment_default() } else { Force::never() },
        ..EnrollAgent::new(
            format!("agent-{name}").parse().expect("a valid agent name"),
            "00".repeat(32).parse().expect("a valid key"),
        )
    }
}

fn open(log: &Log, agent: u8, node: u64, spoke: bool, resume: Option<Epoch>) -> Change {
    Change::OpenSessions(OpenSessions {
        node: NodeId::new(node),
        generation: Generation::new(log.generations.get(&node).copied().unwrap_or(1)),
        sessions: vec![OpenSession {
            agent: id(&log.control, agent),
            peer: Label::truncated("127.0.0.1:40000"),
            version: None,
            spoke,
            resume,
            startup_at: Some(log.control.index()),
        }],
    })
}

/// Agents with ids around those that are given already; names meet those of enrolled agents now and then.
fn import(log: &Log, ids: &[u8], (removed, further): (u8, u8), past: bool, skip_conflicts: bool) -> Change {
    let id = |pick: u8| AgentId::new(u32::from(pick) + log.control.last_agent().get().saturating_sub(6));
    let agent = |pick: &u8| ImportedAgent {
        id: id(*pick),
        name: format!("agent-{pick}").parse().expect("a valid agent name"),
        key: "00".repeat(32).parse().expect("a valid key"),
        address: if pick.is_multiple_of(3) {
            RegisteredAddress::any()
        } else {
            format!("10.0.0.{pick}").parse().expect("an address")
        },
        groups: vec![group(pick % 3)],
        registered_at: None,
        past: past.then_some(Past {
            last_keepalive: Some(log.now),
            disconnected_at: None,
            status_code: StatusCode::Silent,
        }),
        report: Report::default(),
    };
    Change::ImportAgents(ImportAgents {
        through: AgentId::new(log.control.last_agent().get() + u32::from(further)),
        groups: vec![group(0)],
        agents: ids.iter().map(agent).collect(),
        removed: vec![id(removed)],
        skip_conflicts,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// The invariants of `support` after each entry; replicas that replayed, or came by snapshot, agree.
    #[test]
    fn replicas_agree_and_invariants_hold(steps in proptest::collection::vec(step(), 1..160), cut in 0..160_usize) {
        let mut log = Log::new();
        found(&mut log);
        for node in 1..4 {
            log.renew(node);
        }
        for name in 0..3 {
            take(&mut log, &Step::Enroll { name, force: false });
            take(&mut log, &Step::Open { agent: name, node: u64::from(name) % 3 + 1, spoke: true });
        }
        let mut snapshot = None;
        for (number, step) in steps.iter().enumerate() {
            take(&mut log, step);
            if number == cut {
                snapshot = Some((by_snapshot(&log.control), log.entries.len()));
            }
        }
        let mut replayed = Control::default();
        for entry in &log.entries {
            replayed.apply(entry);
        }
        prop_assert_eq!(bytes(&replayed), bytes(&log.control));
        if let Some((mut late, from)) = snapshot {
            for entry in &log.entries[from..] {
                late.apply(entry);
            }
            prop_assert_eq!(bytes(&late), bytes(&log.control));
            prop_assert_eq!(late.agents().counters(), log.control.agents().counters());
            prop_assert_eq!(late.next_due(), log.control.next_due());
        }
    }

    /// However a history went, time ends every delivery.
    #[test]
    fn every_delivery_ends_within_four_minutes(steps in proptest::collection::vec(step(), 1..120)) {
        let mut log = Log::new();
        for node in 1..4 {
            log.renew(node);
        }
        for name in 0..3 {
            take(&mut log, &Step::Enroll { name, force: false });
            take(&mut log, &Step::Open { agent: name, node: 1, spoke: true });
        }
        steps.iter().for_each(|step| take(&mut log, step));
        for _ in 0..(240_000 / LEASE.get() + 1) {
            take(&mut log, &Step::Pass(LEASE.get()));
        }
        prop_assert!(log.control.commands().all(|command| command.is_finished()));
    }

    /// A copy that a reader holds does not change under it.
    #[test]
    fn a_version_that_is_read_stays_as_it_is(steps in proptest::collection::vec(step(), 2..80)) {
        let mut log = Log::new();
        log.renew(1);
        let (first, rest) = steps.split_at(steps.len() / 2);
        first.iter().for_each(|step| take(&mut log, step));
        let held = log.control.clone();
        let before = bytes(&held);
        rest.iter().for_each(|step| take(&mut log, step));
        prop_assert_eq!(bytes(&held), before);
    }
}
