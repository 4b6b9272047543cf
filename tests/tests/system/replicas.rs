//! All nodes have the same state, whatever became of them on the way.

use std::time::Duration;

use muster_node::simulate::Fleet;
use muster_tests::{Cluster, QUICK, Settings, Turn, enroll, fleet_config, until};

use crate::PROGRAM;
use crate::load::Writers;

const DEADLINE: Duration = Duration::from_secs(90);

/// Settings with which snapshots are a matter of seconds.
fn small_log() -> Settings {
    Settings::new().with("raft.snapshot_size", "64KiB").with("raft.logs_to_keep", 20)
}

async fn number(cluster: &Cluster, node: usize, key: &str) -> Result<u64, String> {
    let raft = cluster.raft(node).await?;
    raft["local"][key].as_u64().ok_or_else(|| format!("no {key} in {raft}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_agree_after_load_kills_restarts_and_snapshots() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, small_log()).await;
    let identities = enroll(&cluster, "witness", 20).await;
    let fleet = Fleet::launch(fleet_config(&cluster, QUICK), identities);
    let writers = Writers::start(&cluster, "load");
    for _ in 0..2 {
        cluster.api(0).put("/agents/restart").await.ok(); // whatever becomes of it, every replica has to see the same
        let dead = cluster.kill_leader().await;
        cluster.node_mut(dead).start();
        cluster.ready().await;
    }
    until("every node has made a snapshot of its own", DEADLINE, async || {
        for node in 0..cluster.size() {
            if number(&cluster, node, "snapshot_index").await? == 0 {
                return Err(format!("node {node} has none"));
            }
        }
        Ok(())
    })
    .await;
    let told = writers.stop().await;
    assert!(told.acknowledged() > 0);
    cluster.agree().await;

    // What comes from a snapshot and the log behind it is the same state as well.
    for node in 0..cluster.size() {
        cluster.node_mut(node).stop().await;
    }
    for node in 0..cluster.size() {
        cluster.node_mut(node).start();
    }
    cluster.ready().await;
    cluster.agree().await;
    fleet.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_away_for_longer_than_the_log_kept_catches_up_by_snapshot_while_writes_go_on() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, small_log()).await;
    let (leader, _) = cluster.leader().await;
    let follower = (leader + 1) % 3;
    let had = number(&cluster, follower, "last_log_index").await.expect("the follower tells");
    cluster.node_mut(follower).kill().await;

    let writers = Writers::start(&cluster, "away");
    let purged = until("what the follower lacks is not in the log any more", DEADLINE, async || {
        let (leader, _) = cluster.leader().await;
        let purged = number(&cluster, leader, "purged_index").await?;
        // Far enough for whatever was under way to the follower when it died.
        if purged > had + 50 { Ok(purged) } else { Err(format!("purged to {purged}, the follower had {had}")) }
    })
    .await;

    let before = writers.acknowledged();
    cluster.node_mut(follower).start();
    cluster.node_ready(follower).await;
    let (applied, snapshot) = until("the follower has caught up", DEADLINE, async || {
        let (leader, _) = cluster.leader().await;
        let committed = number(&cluster, leader, "committed_index").await?;
        let applied = number(&cluster, follower, "applied_index").await?;
        let snapshot = number(&cluster, follower, "snapshot_index").await?;
        let during = writers.acknowledged() - before;
        if applied + 200 >= committed && during >= 20 {
            Ok((applied, snapshot))
        } else {
            Err(format!("applied {applied} of {committed}, {during} writes meanwhile"))
        }
    })
    .await;
    assert!(applied > purged && snapshot >= purged, "applied {applied}, snapshot {snapshot}, purged {purged}");
    let told = writers.stop().await;
    told.check(cluster.api(follower)).await;
    cluster.agree().await;
}
