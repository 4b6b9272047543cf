//! Agents that connect all at once, and bulk restarts of all that are connected.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use muster_gateway::codec::ClientKeyLine;
use tokio::time::{sleep, timeout};

use crate::figures::{Aim, Samples, Table};
use crate::fleet::{Order, Parts};
use crate::machine;
use crate::site::Site;
use crate::sizes::Sizes;
use crate::wire::Wire;

/// Longest wait for anything that has no aim.
const PATIENCE: Duration = Duration::from_secs(180);

/// Measures both, and what the nodes need of memory for it. Leaves no connection behind, but the reports of all agents
/// that had one; they count as active for a while longer, since none said a shutdown.
///
/// # Errors
/// When agents do not get where they should within a deadline.
pub(crate) async fn measure(
    site: &Site,
    sizes: Sizes,
    identities: &[ClientKeyLine],
    table: &mut Table,
) -> anyhow::Result<()> {
    let identities = &identities[..sizes.sessions];
    let mut parts = Parts::start(site.directory(), &site.channels(), identities)?;
    connect(site, sizes, &mut parts, table).await?;
    restart(site, sizes, &mut parts, table).await?;
    for node in 0..site.nodes() {
        let bytes = machine::resident_bytes(site.process(node))? as f64 / f64::from(1 << 20);
        table.value(
            format!("memory of node {}, {} agents, {} sessions, in MiB", node + 1, sizes.agents, sizes.sessions),
            1,
            bytes,
            Aim::None,
        );
    }
    parts.order(Order::Keepalives, sizes.sessions, 1).await?;
    let last = identities.last().context("no agents")?;
    let mut wire = site.connect(0).await?;
    let reported = async {
        while !wire.get(&format!("/agents?agents_list={}&select=os.platform", last.id)).await?.contains("debian") {
            sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, reported).await.context("the report of the last agent does not arrive")?
}

/// Crowds connect, each at once, until there are as many sessions as there should be.
async fn connect(site: &Site, sizes: Sizes, parts: &mut Parts, table: &mut Table) -> anyhow::Result<()> {
    let mut wire = site.connect(0).await?;
    let (mut times, mut entries) = (Samples::default(), Vec::new());
    let mut connected = 0;
    while connected < sizes.sessions {
        let crowd = sizes.crowd.min(sizes.sessions - connected);
        connected += crowd;
        let before = index(&mut wire).await?;
        let start = Instant::now();
        let launched = parts.order(Order::Launch, connected, 1);
        let active = async {
            until_active(&mut wire, connected).await?;
            anyhow::Ok(start.elapsed())
        };
        let (_, time) = tokio::try_join!(launched, active)?;
        if crowd == sizes.crowd {
            times.add(time);
            entries.push(index(&mut wire).await? - before);
        }
    }
    let what = format!("{} agents connect at once: until all are active", sizes.crowd);
    table.times(what, &times, Aim::P99(Duration::from_secs(5)));
    let most = entries.iter().max().copied().unwrap_or_default();
    table.value("  log entries meanwhile, all kinds together, at most", entries.len(), most as f64, Aim::None);
    Ok(())
}

/// Restarts everybody, again and again, each time at another node.
async fn restart(site: &Site, sizes: Sizes, parts: &mut Parts, table: &mut Table) -> anyhow::Result<()> {
    let (mut answers, mut ordered, mut proven) = (Samples::default(), Samples::default(), Samples::default());
    for round in 1..=sizes.restarts {
        let mut wire = site.connect(round % site.nodes()).await?;
        let start = Instant::now();
        let asked = async {
            let answer = wire.put("/agents/restart").await?.success()?;
            anyhow::Ok((start.elapsed(), SystemTime::now(), answer))
        };
        let ((took, answered, answer), received) =
            tokio::try_join!(asked, parts.order(Order::Restarts, sizes.sessions, round))?;
        let restarted = answer.json()?["data"]["total_affected_items"].as_u64();
        ensure!(restarted == Some(sizes.sessions as u64), "{restarted:?} of {} agents restarted", sizes.sessions);
        answers.add(took);
        // The last agent may have its order before the long list of all of them is read here.
        ordered.add(received.duration_since(answered).unwrap_or_default());
        parts.order(Order::Restarted, sizes.sessions, round).await?;
        let command = answer.command.context("an answer without a command")?;
        let mut wire = site.connect(round % site.nodes()).await?; // nodes close what is idle for long
        timeout(PATIENCE, until_finished(&mut wire, command, sizes.sessions))
            .await
            .context("restarts not proven")??;
        proven.add(start.elapsed() - took);
        until_active(&mut wire, sizes.sessions).await?;
    }
    let what = format!("bulk restart of {} sessions: until the answer", sizes.sessions);
    table.times(what, &answers, Aim::Median(Duration::from_millis(300)));
    table.times("  from the answer until the last agent has its order", &ordered, Aim::P99(Duration::from_secs(3)));
    table.times("  from the answer until all are proven; agents react after 15 s", &proven, Aim::None);
    Ok(())
}

async fn until_finished(wire: &mut Wire, command: u64, deliveries: usize) -> anyhow::Result<()> {
    loop {
        let shown = wire.get(&format!("/v1/commands/{command}?limit=1")).await?.success()?.json()?;
        let head = &shown["command"];
        if head["finished"] == true {
            ensure!(head["stages"]["confirmed"] == deliveries, "not all confirmed: {}", head["stages"]);
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until so many agents are active.
async fn until_active(wire: &mut Wire, count: usize) -> anyhow::Result<()> {
    let mut active = 0;
    let reached = async {
        loop {
            let status = wire.get("/agents/summary/status").await?.success()?.json()?;
            active = status["data"]["connection"]["active"].as_u64().context("no count of active agents")?;
            if active == count as u64 {
                return anyhow::Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = timeout(PATIENCE, reached).await;
    ended.with_context(|| format!("{active} agents are active, not {count}"))?
}

/// The log index now.
async fn index(wire: &mut Wire) -> anyhow::Result<u64> {
    wire.get("/agents/summary/status").await?.success()?.index.context("an answer without an index")
}
