//! One durable write after the other through the API, against what the disk alone takes.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::figures::{Aim, Samples, Table};
use crate::machine;
use crate::site::Site;
use crate::sizes::Sizes;

/// Measures writes on one connection: to the leader, which has an aim, and to a follower, which forwards them.
///
/// # Errors
/// When a write fails.
pub(crate) async fn measure(site: &Site, sizes: Sizes, table: &mut Table) -> anyhow::Result<()> {
    // Measured here again, in the directory and in the minute in which the nodes write.
    let syncs = machine::sync_latency(site.directory(), sizes.requests)?;
    table.times("append of 512 bytes and fdatasync on the nodes' disk", &syncs, Aim::None);
    let aim = syncs.percentile(50.0) * 2 * 3 / 2 + Duration::from_millis(1);
    let leader = site.leader().await;
    let follower = (leader + 1) % site.nodes();
    let at_leader = write(site, leader, "leader", sizes.requests).await?;
    table.times("single durable write, one connection to the leader", &at_leader, Aim::Median(aim));
    let at_follower = write(site, follower, "follower", sizes.requests).await?;
    table.times("single durable write, one connection to a follower", &at_follower, Aim::None);
    Ok(())
}

async fn write(site: &Site, node: usize, prefix: &str, count: usize) -> anyhow::Result<Samples> {
    let mut wire = site.connect(node).await?;
    let mut samples = Samples::default();
    for number in 0..count {
        let group = json!({ "group_id": format!("{prefix}-{number}") });
        let start = Instant::now();
        wire.post("/groups", &group).await?.success()?;
        samples.add(start.elapsed());
    }
    Ok(samples)
}
