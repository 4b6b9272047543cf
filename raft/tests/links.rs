//! Links between nodes that carry nothing for a while, without breaking.

mod support;

use std::time::Duration;

use muster_control::ChangeId;
use muster_raft::{NotReady, ProposeError, ReadError};
use support::{Cluster, create_group, has_group, within};
use tokio::time::Instant;

fn soon(span: u64) -> Instant {
    Instant::now() + Duration::from_millis(span)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_behind_a_stalled_link_says_so_disturbs_nobody_and_catches_up() {
    let cluster = Cluster::start_behind_links(3).await;
    let leader = cluster.leader().await;
    let cut_off = 1 + leader % 3;
    let term = cluster.node(leader).status().term;
    let connections = cluster.link(cut_off).connections();
    cluster.link(cut_off).stall();
    for number in 0..50 {
        cluster.node(leader).propose(create_group(number)).await.expect("two of three are a quorum");
    }
    let alone = cluster.node(cut_off);
    within("the silence is noticed", || alone.status().not_ready.contains(&NotReady::NoLeader)).await;
    let read = alone.read_by(soon(1500)).await;
    assert_eq!(read.expect_err("it does not get what was written"), ReadError::NoQuorum);

    within("what stalls is given up", || cluster.link(cut_off).connections() > connections).await;
    assert_eq!(cluster.node(leader).status().term, term, "it did not unseat the leader");
    cluster.link(cut_off).heal();
    within("it has caught up", || has_group(&alone.view(), 49)).await;
    within("it is ready again", || alone.status().is_ready()).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_links_all_stall_refuses_and_comes_back_by_itself() {
    let cluster = Cluster::start_behind_links(3).await;
    cluster.node(1).propose(create_group(0)).await.expect("a quorum");
    for node in [1, 2, 3] {
        cluster.link(node).stall();
    }
    for node in cluster.running() {
        let number = usize::try_from(node.node_id().get()).expect("small");
        let id = ChangeId::new([u8::try_from(number).expect("small"); 16]);
        let written = node.propose_as(id, create_group(number), soon(1500)).await;
        let refused = written.expect_err("no quorum");
        assert!(matches!(refused, ProposeError::NotApplied(_) | ProposeError::OutcomeUnknown), "{refused}");
        assert_eq!(node.read_by(soon(1000)).await.expect_err("no quorum"), ReadError::NoQuorum);
    }
    for node in [1, 2, 3] {
        cluster.link(node).heal();
    }
    // Under the same ids: whatever became of the first attempts, each is applied once.
    for node in cluster.running() {
        let number = usize::try_from(node.node_id().get()).expect("small");
        let id = ChangeId::new([u8::try_from(number).expect("small"); 16]);
        let written = node.propose_as(id, create_group(number), soon(20_000)).await.expect("a quorum again");
        assert_eq!(written.outcome, muster_control::Outcome::Done);
    }
    cluster.agree().await;
}
