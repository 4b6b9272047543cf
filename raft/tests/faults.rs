//! What a failing disk does to a node. Faults are injected into the whole process, so there is one test at a time.

mod support;

use std::time::Duration;

use fail::FailScenario;
use muster_control::ChangeId;
use muster_raft::{NotReady, ProposeError};
use support::{Cluster, create_group, has_group};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_the_node_and_acknowledges_nothing() {
    let scenario = FailScenario::setup();
    let mut cluster = Cluster::start(1).await;
    let node = cluster.node(1).clone();
    node.propose(create_group(1)).await.expect("its own quorum");

    fail::cfg("store::sync", "1*return").expect("a fault");
    let deadline = Instant::now() + Duration::from_secs(2);
    let lost = node.propose_as(ChangeId::new([2; 16]), create_group(2), deadline).await;
    assert!(matches!(lost, Err(ProposeError::OutcomeUnknown | ProposeError::Stopped)), "{lost:?}");
    let cause = tokio::time::timeout(Duration::from_secs(5), node.failed()).await.expect("it stops");
    assert!(cause.to_string().contains("injected"), "{cause}");
    let status = node.status();
    assert!(status.not_ready.contains(&NotReady::Stopped) && status.fatal.is_some(), "{status:?}");
    // The disk works again, but what the failed sync left behind is unknown: the node never goes on.
    let deadline = Instant::now() + Duration::from_secs(1);
    node.propose_as(ChangeId::new([3; 16]), create_group(3), deadline).await.expect_err("it stopped for good");
    drop(node);

    cluster.crash(1).await;
    cluster.restart(1).await;
    let view = cluster.node(1).read().await.expect("its own quorum");
    assert!(has_group(&view, 1), "what was acknowledged is there");
    assert!(!has_group(&view, 3), "what came after the failure is not");
    scenario.teardown();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_a_snapshot_is_finished_loses_nothing() {
    let scenario = FailScenario::setup();
    let mut cluster = Cluster::start_with(1, |tuning| tuning.snapshot_bytes = 10_000).await;
    fail::cfg("snapshot::rename", "return").expect("a fault");
    let node = cluster.node(1).clone();
    let mut acknowledged = 0;
    while node.propose(create_group(acknowledged)).await.is_ok() {
        acknowledged += 1;
        assert!(acknowledged < 10_000, "no snapshot was begun");
    }
    tokio::time::timeout(Duration::from_secs(5), node.failed()).await.expect("it stops");
    drop(node);
    cluster.crash(1).await;
    fail::remove("snapshot::rename");

    cluster.restart(1).await;
    let view = cluster.node(1).read().await.expect("its own quorum");
    assert!((0..acknowledged).all(|number| has_group(&view, number)));
    let snapshots = cluster.config(1).data_dir.join("snapshots");
    let unfinished = std::fs::read_dir(snapshots).expect("a directory").filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|found| found == "unfinished"))
    });
    assert_eq!(unfinished.count(), 0);
    scenario.teardown();
}
