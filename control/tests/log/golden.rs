//! Bytes of changes as first written: they decode for ever, to the same meaning.
//!
//! A line of `changes.txt` is a name and the bytes in hex. Lines are added when a change gets a new form; none is
//! ever altered.

use muster_control::{
    AgentId, AgentSet, AssignGroup, Author, Change, CloseCause, CloseSession, CloseSessions, CommandId, CommandKind,
    EnrollAgent, EnrollAgents, Epoch, Evidence, Force, FoundCluster, Generation, GroupName, ImportAgents,
    ImportedAgent, IssueCommand, Label, LeaveGroups, LogIndex, MarkSent, Millis, NewUser, NodeId, OpenSession,
    OpenSessions, OperatingSystem, Past, ProcessState, Receipt, Receipts, RefusedStartup, ReleaseLease, RemoveAgents,
    RemoveGroups, RenewLease, Report, Seen, Selector, Send, Shared, Sighting, SigningKey, Stamp, Status, StatusCode,
    UnassignGroup,
};

const GOLDEN: &str = include_str!("changes.txt");

fn label(text: &str) -> Label {
    Label::truncated(text)
}

fn web() -> GroupName {
    "web".parse().expect("a valid group name")
}

fn receipts() -> Change {
    let evidence = [
        Evidence::Answered,
        Evidence::Refused(label("Connection refused")),
        Evidence::Started,
        Evidence::State(ProcessState { has_sent_keepalive: true }),
        Evidence::Unwritten,
    ];
    let receipt = |evidence| Receipt {
        agent: AgentId::new(7),
        epoch: Epoch::new(3),
        command: Some(CommandId::new(41)),
        evidence,
    };
    Change::Receipts(Receipts { receipts: evidence.map(receipt).to_vec() })
}

fn report() -> Report {
    let os = OperatingSystem { name: Some(label("Debian GNU/Linux")), major: Some(label("12")), ..Default::default() };
    Report { version: Some(label("Wazuh v4.14.7")), os: Shared::new(os), ..Report::default() }
}

/// As a gateway proposes it.
fn enrollment() -> EnrollAgent {
    EnrollAgent {
        name: "web-01".parse().expect("valid"),
        key: "00ff".parse().expect("valid"),
        address: "any".parse().expect("valid"),
        groups: vec![web()],
        registered_from: Some(label("10.0.0.5")),
        force: Force::enrollment_default(),
        key_hash: Some(label("555884dca659ba9efc7e832888d58bc90507b730")),
        asked_at: Some(LogIndex::new(40)),
    }
}

fn import() -> Change {
    let past = Past {
        last_keepalive: Some(Stamp::from_millis(1_700_000_000_000)),
        disconnected_at: None,
        status_code: StatusCode::Silent,
    };
    let agent = ImportedAgent {
        id: AgentId::new(7),
        name: "web-01".parse().expect("valid"),
        key: "00ff".parse().expect("valid"),
        address: "10.0.0.0/8".parse().expect("valid"),
        groups: vec![web()],
        registered_at: Some(Stamp::from_millis(1_600_000_000_000)),
        past: Some(past),
        report: report(),
    };
    let never =
        ImportedAgent { groups: vec![], registered_at: None, past: None, report: Report::default(), ..agent.clone() };
    Change::ImportAgents(ImportAgents {
        through: AgentId::new(1000),
        groups: vec![web()],
        agents: vec![agent, never],
        removed: vec![AgentId::new(9)],
        skip_conflicts: true,
    })
}

/// One of each change, by name.
fn changes() -> Vec<Change> {
    let agent = AgentId::new(7);
    let epoch = Epoch::new(3);
    let node = NodeId::new(2);
    let generation = Generation::new(5);
    let some = || AgentSet::Only(vec![agent]);
    vec![
        Change::Tick,
        Change::FoundCluster(FoundCluster {
            users: vec![NewUser { name: "wazuh".parse().expect("valid"), password_hash: label("$argon2id$") }],
            signing_key: SigningKey { pkcs8: vec![1, 2, 3] },
        }),
        Change::RenewLease(RenewLease {
            node,
            name: "node-2".parse().expect("valid"),
            generation,
            lease: Millis::from_secs(10),
            address: label("127.0.0.1"),
            version: label("0.1.0"),
        }),
        Change::ReleaseLease(ReleaseLease { node, generation }),
        Change::EnrollAgent(EnrollAgent {
            name: "web-01".parse().expect("valid"),
            key: "00ff".parse().expect("valid"),
            address: "10.0.0.0/8".parse().expect("valid"),
            groups: vec![web()],
            registered_from: Some(label("10.0.0.5")),
            force: Force::enrollment_default(),
            key_hash: None,
            asked_at: None,
        }),
        Change::RemoveAgents(RemoveAgents {
            agents: AgentSet::All,
            statuses: Some(vec![Status::NeverConnected, Status::Disconnected]),
            older_than: Millis::from_secs(60),
        }),
        Change::OpenSessions(OpenSessions {
            node,
            generation,
            sessions: vec![OpenSession {
                agent,
                peer: label("10.0.0.5:40000"),
                version: Some(label("Wazuh v4.14.7")),
                spoke: true,
                resume: Some(epoch),
                startup_at: None,
            }],
        }),
        Change::CloseSessions(CloseSessions {
            closes: vec![
                CloseSession { agent, epoch, cause: CloseCause::Shutdown },
                CloseSession { agent, epoch, cause: CloseCause::Silent },
            ],
        }),
        Change::Seen(Seen {
            sightings: vec![Sighting {
                agent,
                epoch,
                keepalive_at: Some(Stamp::from_millis(1_700_000_000_000)),
                report: Some(report()),
            }],
            refused: None,
        }),
        Change::CreateGroup(web()),
        Change::RemoveGroups(RemoveGroups { groups: Some(vec![web()]) }),
        Change::AssignGroup(AssignGroup { agents: some(), group: web(), replace: true }),
        Change::UnassignGroup(UnassignGroup { agents: some(), group: web() }),
        Change::LeaveGroups(LeaveGroups { agent, groups: None }),
        Change::IssueCommand(IssueCommand {
            kind: CommandKind::Restart,
            selector: Selector::Agents(vec![agent]),
            issuer: Some("wazuh".parse().expect("valid")),
            send_within: Millis::from_secs(120),
        }),
        Change::IssueCommand(IssueCommand {
            kind: CommandKind::Reconnect,
            selector: Selector::Node("node-2".parse().expect("valid")),
            issuer: None,
            send_within: Millis::from_secs(120),
        }),
        Change::MarkSent(MarkSent { sends: vec![Send { agent, epoch, command: CommandId::new(41) }] }),
        receipts(),
        Change::RevokeTokens("wazuh".parse().expect("valid")),
        Change::CreateGroup(web()).by(Author {
            user: "wazuh".parse().expect("valid"),
            token_issued_at: Stamp::from_millis(1_700_000_000_000),
        }),
        Change::EnrollAgent(enrollment()),
        Change::EnrollAgents(EnrollAgents { enrollments: vec![enrollment(), enrollment()] }),
        Change::Seen(Seen {
            sightings: Vec::new(),
            refused: Some(vec![RefusedStartup { agent, code: StatusCode::TooNew }]),
        }),
        import(),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}

#[test]
fn changes_written_by_earlier_versions_keep_their_meaning() {
    let now: Vec<_> = changes().iter().map(|change| format!("{} {}", change.name(), hex(&change.to_bytes()))).collect();
    let lines: Vec<_> = GOLDEN.lines().collect();
    assert_eq!(lines.len(), now.len(), "one line for each change:\n{}", now.join("\n"));
    for (line, change) in lines.iter().zip(changes()) {
        let (name, bytes) = line.split_once(' ').expect("a name and bytes");
        assert_eq!(name, change.name());
        assert_eq!(Change::from_bytes(&unhex(bytes)).expect("it decodes for ever"), change);
    }
}

#[test]
fn a_change_of_an_unknown_kind_does_not_decode() {
    let unknown = [0x82, 0x19, 0x03, 0xe7, 0x80]; // variant 999 without fields
    assert!(Change::from_bytes(&unknown).is_err());
}

#[test]
fn a_field_added_by_a_later_version_is_passed_over() {
    let mut release =
        Change::ReleaseLease(ReleaseLease { node: NodeId::new(2), generation: Generation::new(5) }).to_bytes();
    let fields = release.iter().rposition(|byte| *byte == 0x82).expect("the record of two fields");
    release[fields] = 0x83;
    release.push(0x07);
    let expected = Change::ReleaseLease(ReleaseLease { node: NodeId::new(2), generation: Generation::new(5) });
    assert_eq!(Change::from_bytes(&release).expect("the two known fields are there"), expected);
}
