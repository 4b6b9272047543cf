//! Figures at large numbers, on request: `cargo test -p muster-gateway --test agents -- --ignored --nocapture figures`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_control::{Change, CommandKind, EnrollAgent, IssueCommand, Millis, Selector, Status};
use muster_gateway::codec::{ClientKeyLine, FromAgent, Method, SecureChannel, SenderCounter, Startup};
use muster_gateway::{Heard, NotTaken, Outgoing, Sink};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::{Site, until};

/// Counts what it is given.
#[derive(Default)]
struct Count(AtomicUsize);

impl Sink for Count {
    fn send(&self, _: Outgoing) -> Result<(), NotTaken> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn close(&self) {}
}

/// Registers so many agents, all at once.
async fn register(site: &Site, count: usize) -> Vec<ClientKeyLine> {
    let (places, mut proposals) = (Arc::new(Semaphore::new(4096)), JoinSet::new());
    for number in 0..count {
        let (place, replica) = (places.clone().acquire_owned().await.unwrap(), site.replica().clone());
        proposals.spawn(async move {
            let _place = place;
            let key = format!("{number:064x}");
            let change =
                Change::EnrollAgent(EnrollAgent::new(format!("agent-{number}").parse().unwrap(), key.parse().unwrap()));
            match replica.propose(change).await.unwrap().outcome {
                muster_control::Outcome::Enrolled(enrolled) => {
                    format!("{} agent-{number} any {key}", enrolled.agent).parse().unwrap()
                }
                other => panic!("{other:?}"),
            }
        });
    }
    proposals.join_all().await
}

async fn until_active(site: &Site, count: usize) {
    let active = || async {
        let control = site.replica().view().control;
        (control.agents().counters().status(Status::Active) as usize >= count).then_some(())
    };
    until("all are active", active).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, run by make bench"]
async fn figures_of_a_bulk_restart_with_50_000_sessions() {
    const AGENTS: usize = 50_000;
    let site = Site::start().await;
    let agents = register(&site, AGENTS).await;
    let sink = Arc::new(Count::default());
    let began = Instant::now();
    let mut attached = Vec::new();
    for agent in &agents {
        let agent = site.gateway(1).attach(agent.id.parse().unwrap(), "10.0.0.1:4000", sink.clone()).await;
        agent.say(Heard::Spoke).await;
        attached.push(agent);
    }
    until_active(&site, AGENTS).await;
    println!("{AGENTS} sessions opened and active after {:?}", began.elapsed());
    let began = Instant::now();
    let issue = IssueCommand {
        kind: CommandKind::Restart,
        selector: Selector::All,
        issuer: None,
        send_within: Millis::from_secs(600),
    };
    site.propose(Change::IssueCommand(issue)).await;
    let answered = began.elapsed();
    until("all are sent", || async { (sink.0.load(Ordering::Relaxed) >= AGENTS).then_some(()) }).await;
    println!("command answered after {answered:?}, {AGENTS} deliveries handed over after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, run by make bench"]
async fn figures_of_agents_that_connect_at_once() {
    const AGENTS: usize = 8_000;
    let site = Site::start().await;
    let agents = register(&site, AGENTS).await;
    let counter = SenderCounter::starting_at(1);
    let openings: Vec<Vec<u8>> = agents
        .iter()
        .map(|agent| {
            let keys = SecureChannel::for_key(&agent.id, agent.name.as_str(), agent.key.as_str());
            let seal = |payload: Vec<u8>| keys.seal_frame_as(&agent.id, Method::Aes, counter.next(), &payload).unwrap();
            let startup = seal(FromAgent::Startup(Startup::Silent).encode());
            [startup, seal(FromAgent::Keepalive(b"Linux - Wazuh v4.14.7\nx merged.mg\n").encode())].concat()
        })
        .collect();
    let before = resident_kib();
    let address = site.gateway(1).channel_address();
    let began = Instant::now();
    let streams = tokio::task::spawn_blocking(move || {
        let open = |opening: Vec<u8>| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&opening).unwrap();
            stream
        };
        openings.into_iter().map(open).collect::<Vec<_>>()
    })
    .await
    .unwrap();
    until_active(&site, AGENTS).await;
    println!("{AGENTS} agents connected and active after {:?}", began.elapsed());
    println!("{} changes", site.count(1, "muster_agent_batches_total{change=\"open_sessions\"}"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("{} bytes of memory each", (resident_kib() - before) * 1024 / AGENTS);
    let acked = streams.iter().filter(|stream| (&mut &**stream).read(&mut [0; 4]).is_ok_and(|count| count == 4));
    assert_eq!(acked.count(), AGENTS);
    let statuses = site.replica().view().control.agents().iter().all(|agent| agent.status == Status::Active);
    assert!(statuses);
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
