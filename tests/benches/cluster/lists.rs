//! Lists of agents, one request after the other and many at once.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::figures::{Aim, Samples, Table};
use crate::site::Site;
use crate::sizes::Sizes;

/// Connections that ask at once.
const CONNECTIONS: usize = 64;

/// Requests whose time is not counted.
const WARM_UP: usize = 10;

/// Measures lists of the agents in the state.
///
/// # Errors
/// When a request fails.
pub(crate) async fn measure(site: &Site, sizes: Sizes, table: &mut Table) -> anyhow::Result<()> {
    let leader = site.leader().await;
    let follower = (leader + 1) % site.nodes();
    let plain = "/agents?limit=500";
    let ms = Duration::from_millis;
    for (role, node) in [("the leader", leader), ("a follower", follower)] {
        let times = one_by_one(site, node, plain, sizes.requests).await?;
        table.times(format!("GET {plain}, {} agents, {role}", sizes.agents), &times, Aim::Median(ms(5)));
    }
    for sort in ["name", "-lastKeepAlive", "os.version"] {
        let path = format!("{plain}&sort={sort}");
        let times = one_by_one(site, leader, &path, sizes.requests).await?;
        table.times(format!("GET {path}"), &times, Aim::P99(ms(20)));
    }
    for (role, node) in [("the leader", leader), ("a follower", follower)] {
        load(site, node, role, sizes, table).await?;
    }
    Ok(())
}

async fn one_by_one(site: &Site, node: usize, path: &str, count: usize) -> anyhow::Result<Samples> {
    let mut wire = site.connect(node).await?;
    let mut samples = Samples::default();
    for number in 0..WARM_UP + count {
        let start = Instant::now();
        wire.get(path).await?.success()?;
        if number >= WARM_UP {
            samples.add(start.elapsed());
        }
    }
    Ok(samples)
}

/// Short lists from many connections, as fast as each of them gets answers.
async fn load(site: &Site, node: usize, role: &str, sizes: Sizes, table: &mut Table) -> anyhow::Result<()> {
    let path = "/agents?limit=10";
    let mut wires = Vec::new();
    for _ in 0..CONNECTIONS {
        wires.push(site.connect(node).await?);
    }
    let (own_cpu, all_cpu) = (site.cpu_time_of(node)?, site.cpu_time()?);
    let began = Instant::now();
    let end = began + sizes.load;
    let mut clients = JoinSet::new();
    for mut wire in wires {
        clients.spawn(async move {
            let mut samples = Samples::default();
            while Instant::now() < end {
                let start = Instant::now();
                wire.get(path).await?.success()?;
                samples.add(start.elapsed());
            }
            anyhow::Ok(samples)
        });
    }
    let mut samples = Samples::default();
    while let Some(client) = clients.join_next().await {
        samples.append(client??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let count = samples.len();
    let each = |cpu: Duration| cpu.as_secs_f64() / count as f64 * 1e6;
    let (own_cpu, all_cpu) = (each(site.cpu_time_of(node)? - own_cpu), each(site.cpu_time()? - all_cpu));
    table.value(
        format!("GET {path}, {CONNECTIONS} connections, requests per second, {role}"),
        count,
        count as f64 / seconds,
        Aim::AtLeast(5000.0),
    );
    table.times("  time of one of them", &samples, Aim::None);
    table.value("  CPU of that node per request, in us", count, own_cpu, Aim::None);
    table.value("  CPU of all three nodes per request, in us", count, all_cpu, Aim::None);
    Ok(())
}
