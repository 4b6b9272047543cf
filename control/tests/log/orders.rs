//! The defect muster removes, in every order: an agent moves between nodes while each former owner's statements
//! arrive late, early, or after everything else.

use crate::support::Log;
use muster_control::{
    AgentId, Change, CloseCause, CloseSession, CloseSessions, EnrollAgent, Epoch, Generation, Label, NodeId,
    OpenSession, OpenSessions, Outcome, Report, Seen, Sighting, Status,
};

const AGENT: AgentId = AgentId::new(1);

/// What reaches the log: a connection being opened, or a statement of the owner under that session's epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Message {
    Open { session: u64, node: u64 },
    Heard { session: u64, minor: u64 },
    Closed { session: u64, cause: CloseCause },
}

impl Message {
    const fn session(self) -> u64 {
        match self {
            Self::Open { session, .. } | Self::Heard { session, .. } | Self::Closed { session, .. } => session,
        }
    }
}

/// From node 1 to 2, back to 1, then to 3. The statements of the three former sessions may be late.
const MESSAGES: [Message; 11] = [
    Message::Open { session: 1, node: 1 },
    Message::Heard { session: 1, minor: 1 },
    Message::Closed { session: 1, cause: CloseCause::Silent },
    Message::Open { session: 2, node: 2 },
    Message::Heard { session: 2, minor: 2 },
    Message::Closed { session: 2, cause: CloseCause::Shutdown },
    Message::Open { session: 3, node: 1 },
    Message::Heard { session: 3, minor: 3 },
    Message::Closed { session: 3, cause: CloseCause::Silent },
    Message::Open { session: 4, node: 3 },
    Message::Heard { session: 4, minor: 4 },
];

/// Calls `visit` with every order in which an agent's connections keep theirs, and no statement comes before
/// the connection it is about.
fn each_order(taken: &mut Vec<Message>, visit: &mut impl FnMut(&[Message])) {
    if taken.len() == MESSAGES.len() {
        return visit(taken);
    }
    let opened = taken.iter().filter(|message| matches!(message, Message::Open { .. })).count() as u64;
    for message in MESSAGES {
        let possible = match message {
            Message::Open { session, .. } => session == opened + 1,
            other => other.session() <= opened,
        };
        if possible && !taken.contains(&message) {
            taken.push(message);
            each_order(taken, visit);
            taken.pop();
        }
    }
}

fn start() -> Log {
    let mut log = Log::new();
    (1..4).for_each(|node| _ = log.renew(node));
    log.apply(Change::EnrollAgent(EnrollAgent::new(
        "web-01".parse().expect("a valid agent name"),
        "00".repeat(32).parse().expect("a valid key"),
    )));
    log
}

fn change(message: Message) -> Change {
    let epoch = Epoch::new(message.session());
    match message {
        Message::Open { node, .. } => {
            let peer = Label::truncated("127.0.0.1:40000");
            let session =
                OpenSession { agent: AGENT, peer, version: None, spoke: false, resume: None, startup_at: None };
            let (node, generation) = (NodeId::new(node), Generation::new(1));
            Change::OpenSessions(OpenSessions { node, generation, sessions: vec![session] })
        }
        Message::Heard { minor, .. } => {
            let version = Some(Label::truncated(&format!("Wazuh v4.{minor}.0")));
            let report = Some(Report { version, ..Report::default() });
            Change::Seen(Seen {
                sightings: vec![Sighting { agent: AGENT, epoch, keepalive_at: None, report }],
                refused: None,
            })
        }
        Message::Closed { cause, .. } => {
            Change::CloseSessions(CloseSessions { closes: vec![CloseSession { agent: AGENT, epoch, cause }] })
        }
    }
}

#[test]
fn no_late_statement_wins_in_any_order() {
    let start = start();
    let mut orders = 0_u64;
    each_order(&mut Vec::new(), &mut |order| {
        orders += 1;
        let mut control = start.control.clone();
        for message in order {
            let index = control.index().next();
            let mut id = [1; 16];
            id[..8].copy_from_slice(&index.get().to_be_bytes());
            let change_id = muster_control::ChangeId::new(id);
            let change = change(*message);
            let applied =
                control.apply(&muster_control::Entry { index, stamp: start.now, change_id, fingerprint: 0, change });
            let refused_whole = matches!(applied.outcome, Outcome::Refused(_));
            assert!(!refused_whole, "{message:?} in {order:?}");
        }
        let agent = control.agents().get(AGENT).expect("it is registered");
        assert_eq!(
            (agent.owner, agent.epoch, agent.status),
            (Some(NodeId::new(3)), Epoch::new(4), Status::Active),
            "{order:?}"
        );
        assert_eq!(agent.report.version, Some(Label::truncated("Wazuh v4.4.0")), "{order:?}");
    });
    assert!(orders > 10_000, "only {orders} orders were tried");
}
