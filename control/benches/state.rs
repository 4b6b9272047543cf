//! What the state machine costs: memory per agent, and time per entry of the sizes that a large cluster sees.
//!
//! Prints a table; run it through `make bench`.

#![expect(clippy::disallowed_types, reason = "a measurement reads the clock; the state machine does not")]

use std::time::Instant;

use muster_control::{
    AgentId, Change, ChangeId, CommandKind, Control, EnrollAgent, Entry, Epoch, Generation, IssueCommand, Label,
    MarkSent, Millis, NodeId, OpenSession, OpenSessions, OperatingSystem, Outcome, RenewLease, Report, Seen, Selector,
    Send, SessionAnswer, Shared, Sighting, Stamp,
};

/// The allocator of the `muster` binary: the state is millions of small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AGENTS: u32 = 1_000_000;
const COMMANDED: u32 = 50_000;
const BATCH: u32 = 10_000;

struct Bench {
    control: Control,
    /// What a reader holds: so each entry pays for copying what it touches, as it does in a running node.
    held: Control,
    now: Stamp,
}

impl Bench {
    fn apply(&mut self, change: Change) -> Outcome {
        let index = self.control.index().next();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&index.get().to_be_bytes());
        let change_id = ChangeId::new(id);
        let outcome = self.control.apply(&Entry { index, stamp: self.now, change_id, fingerprint: 0, change }).outcome;
        self.held = self.control.clone();
        outcome
    }

    fn timed(&mut self, what: &str, change: Change) -> Outcome {
        let start = Instant::now();
        let outcome = self.apply(change);
        println!("{what:<58} {:>9.1} ms", start.elapsed().as_secs_f64() * 1000.0);
        outcome
    }

    fn renew(&mut self) {
        self.apply(Change::RenewLease(RenewLease {
            node: NodeId::new(1),
            name: "node-1".parse().expect("a valid node name"),
            generation: Generation::new(1),
            lease: Millis::from_secs(3600),
            address: Label::truncated("127.0.0.1"),
            version: Label::truncated("0.1.0"),
        }));
    }
}

fn enrollment(number: u32) -> Change {
    Change::EnrollAgent(EnrollAgent {
        registered_from: Some(Label::truncated("10.20.30.40")),
        ..EnrollAgent::new(
            format!("workstation-{number:07}").parse().expect("a valid agent name"),
            format!("{number:064x}").parse().expect("a valid key"),
        )
    })
}

fn open(from: u32, count: u32) -> Change {
    let session = |number| OpenSession {
        agent: AgentId::new(number),
        peer: Label::truncated("10.20.30.40:51234"),
        version: Some(Label::truncated("Wazuh v4.14.7")),
        spoke: true,
        resume: None,
        startup_at: None,
    };
    let sessions = (from..from + count).map(session).collect();
    Change::OpenSessions(OpenSessions { node: NodeId::new(1), generation: Generation::new(1), sessions })
}

fn report(number: u32) -> Report {
    let os = OperatingSystem {
        name: Some(Label::truncated("Debian GNU/Linux")),
        version: Some(Label::truncated("12 (bookworm)")),
        major: Some(Label::truncated("12")),
        codename: Some(Label::truncated("bookworm")),
        platform: Some(Label::truncated("debian")),
        arch: Some(Label::truncated("x86_64")),
        ..OperatingSystem::default()
    };
    Report {
        version: Some(Label::truncated("Wazuh v4.14.7")),
        os: Shared::new(os),
        uname: Some(Label::truncated(&format!("Linux |host-{number} |6.1.0-18-amd64 |#1 SMP Debian 6.1.76-1 |x86_64"))),
        config_sum: Some(Label::truncated("ab73af41699f13fdd81903b5f23d8d00")),
        merged_sum: Some(Label::truncated("d6e3ac3e75ca0319af3e7c262776f331")),
        address: Some(Label::truncated("10.20.30.40")),
        ..Report::default()
    }
}

fn seen(now: Stamp, from: u32, count: u32, told: bool) -> Change {
    let sighting = |number| Sighting {
        agent: AgentId::new(number),
        epoch: Epoch::new(1),
        keepalive_at: Some(now),
        report: told.then(|| report(number)),
    };
    Change::Seen(Seen { sightings: (from..from + count).map(sighting).collect(), refused: None })
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

fn main() {
    let mut bench =
        Bench { control: Control::default(), held: Control::default(), now: Stamp::from_millis(1_700_000_000_000) };
    bench.renew();
    let empty = resident_bytes();

    let start = Instant::now();
    for number in 1..=AGENTS {
        bench.now = bench.now.plus(Millis::new(1));
        if number % 1_000_000 == 0 {
            bench.renew();
        }
        bench.apply(enrollment(number));
    }
    println!("{:<58} {:>9.1} us", "enroll one agent, a million times", start.elapsed().as_secs_f64());
    bench.renew();
    for from in (1..=AGENTS).step_by(BATCH as usize) {
        bench.apply(open(from, BATCH));
        bench.apply(seen(bench.now, from, BATCH, true));
    }
    let per_agent = (resident_bytes() - empty) / u64::from(AGENTS);
    println!("{:<58} {per_agent:>9} bytes", "memory per agent, active and with a full report");

    bench.timed("keepalives of 25,000 agents in one entry", seen(bench.now, 1, 25_000, false));
    let opened = bench.timed("10,000 sessions opened in one entry", open(900_000, BATCH));
    assert!(matches!(opened, Outcome::Sessions(answers) if matches!(answers[0], SessionAnswer::Opened(_))));
    let list = Selector::Agents((1..=COMMANDED).map(AgentId::new).collect());
    let send_within = Millis::from_secs(120);
    let issue = IssueCommand { kind: CommandKind::Restart, selector: list, issuer: None, send_within };
    let Outcome::Issued(issued) = bench.timed("restart of 50,000 agents in one entry", Change::IssueCommand(issue))
    else {
        panic!("the command was refused")
    };
    assert_eq!(issued.targets.len(), COMMANDED as usize);
    let send = |number| Send { agent: AgentId::new(number), epoch: Epoch::new(1), command: issued.command };
    bench.timed(
        "50,000 deliveries sent in one entry",
        Change::MarkSent(MarkSent { sends: (1..=COMMANDED).map(send).collect() }),
    );

    let start = Instant::now();
    let bytes: usize = bench.control.records().map(|record| record.to_bytes().len()).sum();
    let took = start.elapsed().as_secs_f64();
    println!("{:<58} {:>9.1} ms, {} MiB", "all records of a million agents encoded", took * 1000.0, bytes >> 20);
}
