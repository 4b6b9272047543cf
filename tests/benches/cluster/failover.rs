//! Leaders that are killed under a writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::figures::{Aim, Samples, Table};
use crate::site::Site;
use crate::sizes::Sizes;
use crate::wire::Wire;

/// Writers at each node that lives.
const WRITERS: usize = 8;

/// From a write that failed to the next one.
const PAUSE: Duration = Duration::from_millis(3);

/// Longest wait for a write.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills the leader, again and again, and measures how long it takes until a write that began after its death is
/// acknowledged.
///
/// # Errors
/// When no write succeeds within a deadline, or a killed node does not come back.
pub(crate) async fn measure(site: &mut Site, sizes: Sizes, table: &mut Table) -> anyhow::Result<()> {
    let mut samples = Samples::default();
    let written = Arc::new(AtomicUsize::new(0));
    for _ in 0..sizes.kills {
        let leader = site.leader().await;
        let mut wires = Vec::new();
        for node in (0..site.nodes()).filter(|node| *node != leader) {
            for _ in 0..WRITERS {
                wires.push(site.connect(node).await?);
            }
        }
        let killed = Instant::now();
        site.kill(leader).await;
        let mut writers: JoinSet<()> = JoinSet::new();
        for wire in wires {
            writers.spawn(write(wire, written.clone()));
        }
        // Those that lost their connection never end; the first that ends has its acknowledgement.
        timeout(PATIENCE, writers.join_next()).await.context("no write after the leader's death")?;
        samples.add(killed.elapsed());
        drop(writers);
        site.revive(leader).await;
    }
    table.times(
        "leader killed: until the first write that its successor acknowledges",
        &samples,
        Aim::P99(Duration::from_millis(1500)),
    );
    Ok(())
}

/// Writes until one is acknowledged.
async fn write(mut wire: Wire, written: Arc<AtomicUsize>) {
    loop {
        let number = written.fetch_add(1, Ordering::Relaxed);
        let group = json!({ "group_id": format!("after-a-kill-{number}") });
        match wire.post("/groups", &group).await {
            Ok(answer) if answer.status == 200 => return,
            Ok(_) => sleep(PAUSE).await,
            Err(_) => std::future::pending().await,
        }
    }
}
