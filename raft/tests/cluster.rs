//! Three replicas in one process, over real disks and real connections on loopback.

mod support;

use std::sync::Arc;
use std::time::Duration;

use muster_control::{ChangeId, Outcome, Refusal};
use muster_raft::{NotApplied, NotReady, Notice, ProposeError, ReadError, Replica, StartError};
use support::{Cluster, create_group, has_group, within};
use tokio::time::Instant;

fn soon(span: u64) -> Instant {
    Instant::now() + Duration::from_millis(span)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_proposed_on_any_node_is_read_on_every_node() {
    let cluster = Cluster::start(3).await;
    for (number, node) in cluster.running().enumerate() {
        let proposed = node.propose(create_group(number)).await.expect("a quorum");
        assert_eq!(proposed.outcome, Outcome::Done);
        for reader in cluster.running() {
            let view = reader.read().await.expect("a quorum");
            assert!(view.index >= proposed.index);
            assert!(has_group(&view, number), "node {} does not see group {number}", reader.node_id());
        }
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_is_a_cluster() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(1);
    node.propose(create_group(0)).await.expect("its own quorum");
    assert!(has_group(&node.read().await.expect("its own quorum"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_change_id_is_applied_once() {
    let cluster = Cluster::start(3).await;
    let id = ChangeId::new([7; 16]);
    let nodes: Vec<_> = cluster.running().collect();
    let first = nodes[0].propose_as(id, create_group(1), soon(5000)).await.expect("a quorum");
    let again = nodes[1].propose_as(id, create_group(1), soon(5000)).await.expect("a quorum");
    assert_eq!((first.index, first.outcome), (again.index, again.outcome));
    let other = nodes[2].propose_as(id, create_group(2), soon(5000)).await.expect("a quorum");
    assert_eq!(other.outcome, Outcome::Refused(Refusal::ChangeIdReused));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_stops_the_next_one_takes_over_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..20 {
        cluster.node(1).propose(create_group(number)).await.expect("a quorum");
    }
    let old = cluster.leader().await;
    cluster.crash(old).await;
    let killed = Instant::now();
    let survivor = cluster.running().next().expect("two are left").clone();
    survivor.propose(create_group(100)).await.expect("two of three are a quorum");
    let outage = killed.elapsed();
    assert!(outage < Duration::from_secs(4), "{outage:?}");
    let view = survivor.read().await.expect("a quorum");
    assert!((0..20).chain([100]).all(|number| has_group(&view, number)));

    cluster.restart(old).await;
    let back = cluster.node(old);
    let view = back.read().await.expect("a quorum");
    assert!((0..20).chain([100]).all(|number| has_group(&view, number)));
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_under_way_outlive_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.running().find(|node| node.node_id().get() != leader).expect("a follower").clone();
    let proposals: Vec<_> = (0..200)
        .map(|number| {
            let follower = follower.clone();
            tokio::spawn(async move { follower.propose(create_group(number)).await })
        })
        .collect();
    cluster.crash(leader).await;
    for (number, proposal) in proposals.into_iter().enumerate() {
        let outcome = proposal.await.expect("no panic").expect("the next leader answers").outcome;
        assert_eq!(outcome, Outcome::Done, "group {number} was created once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_refuses_in_time_and_says_so() {
    let mut cluster = Cluster::start(3).await;
    cluster.node(1).propose(create_group(0)).await.expect("a quorum");
    let leader = cluster.leader().await;
    let alone = cluster.running().find(|node| node.node_id().get() != leader).expect("a follower").clone();
    alone.read().await.expect("a quorum");
    for node in [1, 2, 3] {
        if node != alone.node_id().get() {
            cluster.crash(node).await;
        }
    }
    within("the loss of the leader is noticed", || !alone.status().is_ready()).await;
    assert!(alone.status().not_ready.contains(&NotReady::NoLeader), "{:?}", alone.status());
    assert_eq!(alone.status().leader, None);

    let asked = Instant::now();
    let written = alone.propose_as(ChangeId::new([1; 16]), create_group(1), soon(1500)).await;
    assert_eq!(written.expect_err("no quorum"), ProposeError::NotApplied(NotApplied::NoLeader));
    let read = alone.read_by(soon(1500)).await;
    assert_eq!(read.expect_err("no quorum"), ReadError::NoQuorum);
    assert!(asked.elapsed() < Duration::from_millis(3500), "{:?}", asked.elapsed());
    assert!(has_group(&alone.view(), 0), "stale reads go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_lost_its_quorum_refuses_in_time() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for node in [1, 2, 3] {
        if node != leader {
            cluster.crash(node).await;
        }
    }
    let alone = cluster.node(leader).clone();
    let asked = Instant::now();
    let written = alone.propose_as(ChangeId::new([1; 16]), create_group(1), soon(1500)).await;
    // It may have put the change into its log before it noticed.
    let refused = [ProposeError::NotApplied(NotApplied::NoLeader), ProposeError::OutcomeUnknown];
    assert!(refused.contains(&written.expect_err("no quorum")));
    assert_eq!(alone.read_by(soon(1500)).await.expect_err("no quorum"), ReadError::NoQuorum);
    assert!(asked.elapsed() < Duration::from_millis(3500), "{:?}", asked.elapsed());
    within("the loss of the quorum is noticed", || alone.status().leader.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_away_for_longer_than_the_log_catches_up_by_snapshot_while_writes_go_on() {
    let mut cluster = Cluster::start_with(3, |tuning| {
        tuning.snapshot_bytes = 200_000;
        tuning.logs_to_keep = 10;
    })
    .await;
    let leader = cluster.leader().await;
    let away = [1, 2, 3].into_iter().find(|node| *node != leader).expect("a follower");
    cluster.crash(away).await;
    let writer = cluster.node(leader).clone();
    // More than fits into one part of a stream.
    let enrolled =
        futures_util::future::join_all((0..1500).map(|number| writer.propose(support::enroll(number)))).await;
    assert!(enrolled.iter().all(Result::is_ok));
    for number in 0..600 {
        writer.propose(create_group(number)).await.expect("a quorum");
    }
    within("the log is purged", || writer.status().purged.get() > 100).await;

    let writing = {
        let writer = writer.clone();
        tokio::spawn(async move {
            for number in 600..900 {
                writer.propose(create_group(number)).await.expect("a quorum");
            }
        })
    };
    cluster.restart(away).await;
    let back = cluster.node(away).clone();
    within("a snapshot is installed", || back.counters().snapshots_installed.get() > 0).await;
    within("the leader knows it", || writer.counters().snapshots_sent.get() > 0).await;
    writing.await.expect("no write failed");
    let view = back.read().await.expect("a quorum");
    assert!((0..900).all(|number| has_group(&view, number)));
    cluster.agree().await;

    // What came by snapshot survives a restart too.
    drop(back);
    cluster.crash(away).await;
    cluster.restart(away).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_crashed_and_restarted_keep_everything_acknowledged() {
    let mut cluster = Cluster::start_with(3, |tuning| tuning.snapshot_bytes = 30_000).await;
    for number in 0..300 {
        cluster.node(1 + number as u64 % 3).propose(create_group(number)).await.expect("a quorum");
    }
    let generations: Vec<_> = cluster.running().map(Replica::generation).collect();
    for node in [1, 2, 3] {
        cluster.crash(node).await;
    }
    for node in [1, 2, 3] {
        cluster.restart(node).await;
    }
    let view = cluster.node(2).read().await.expect("a quorum");
    assert!((0..300).all(|number| has_group(&view, number)));
    let after: Vec<_> = cluster.running().map(Replica::generation).collect();
    assert!(generations.iter().zip(&after).all(|(before, after)| before < after), "{generations:?} {after:?}");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_disk_is_refused_under_its_old_identity() {
    let mut cluster = Cluster::start(3).await;
    cluster.node(1).propose(create_group(0)).await.expect("a quorum");
    let wiped = 2;
    cluster.stop(wiped).await;
    cluster.wipe(wiped);
    let refused = Replica::start(cluster.config(wiped)).await.err().expect("refused");
    assert!(matches!(refused, StartError::WipedDisk { .. }), "{refused}");
    assert!(refused.to_string().contains("under a new id"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_node_that_starts_while_nobody_answers_stops_when_somebody_does() {
    let mut cluster = Cluster::start(3).await;
    cluster.node(1).propose(create_group(0)).await.expect("a quorum");
    for node in [1, 2, 3] {
        cluster.stop(node).await;
    }
    cluster.wipe(3);
    cluster.restart(3).await; // nobody is there to tell
    cluster.restart(1).await;
    let wiped = cluster.node(3).clone();
    let cause = tokio::time::timeout(Duration::from_secs(10), wiped.failed()).await.expect("it stops");
    assert!(cause.to_string().contains("empty disk"), "{cause}");
    // One sound node and one without a past are no quorum.
    let written = cluster.node(1).propose_as(ChangeId::new([1; 16]), create_group(1), soon(2500)).await;
    assert_eq!(written.expect_err("no quorum"), ProposeError::NotApplied(NotApplied::NoLeader));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_whatever_it_claims() {
    let cluster = Cluster::start(3).await;
    let refused = || cluster.running().map(|node| node.counters().strangers_refused.get()).sum::<u64>();
    assert_eq!(refused(), 0);
    // Same cluster name, same node id, another authority.
    let other = support::Authority::new();
    let mut config = cluster.config(3);
    config.data_dir = cluster.directory().join("stranger");
    config.listen = support::free_address();
    config.tls = other.certificate(&config.cluster_id, 3);
    let stranger = Replica::start(config).await.expect("it does not know yet");
    within("the stranger is refused", || refused() > 0).await;
    assert_eq!(stranger.status().leader, None);
    cluster.node(1).propose(create_group(0)).await.expect("undisturbed");
    stranger.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_node_is_not_accepted_for_this_one() {
    let cluster = Cluster::start(1).await;
    let mut config = cluster.config(1);
    config.data_dir = cluster.directory().join("other");
    config.listen = support::free_address();
    config.tls = cluster.authority().certificate(&config.cluster_id, 2);
    assert!(matches!(Replica::start(config).await.err(), Some(StartError::Tls(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_opened_only_by_its_owner_and_once() {
    let mut cluster = Cluster::start(1).await;
    let mut second = cluster.config(1);
    second.listen = support::free_address();
    let in_use = Replica::start(second).await.err().expect("refused");
    assert!(matches!(in_use, StartError::InUse(_)), "{in_use}");
    let port = Replica::start(cluster.config(1)).await.err().expect("refused");
    assert!(matches!(port, StartError::Listen { .. }), "{port}");

    cluster.stop(1).await;
    let mut elsewhere = cluster.config(1);
    elsewhere.cluster_id = "elsewhere".parse().expect("a name");
    elsewhere.tls = cluster.authority().certificate(&elsewhere.cluster_id, 1);
    let refused = Replica::start(elsewhere).await.err().expect("refused");
    assert!(matches!(refused, StartError::OtherCluster { .. }), "{refused}");

    let mut other = cluster.config(1);
    other.node_id = muster_control::NodeId::new(2);
    other.members[0].node_id = other.node_id;
    other.tls = cluster.authority().certificate(&other.cluster_id, 2);
    let refused = Replica::start(other).await.err().expect("refused");
    assert!(matches!(refused, StartError::OtherNode { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_gives_its_directory_back_and_refuses_new_work() {
    let mut cluster = Cluster::start(1).await;
    let node = cluster.node(1).clone();
    node.propose(create_group(0)).await.expect("its own quorum");
    let mut notices = node.notices();
    node.stop().await;
    let refused = node.propose(create_group(1)).await.expect_err("stopped");
    assert!(matches!(refused, ProposeError::NotApplied(NotApplied::Stopping) | ProposeError::Stopped), "{refused}");
    assert_eq!(node.read().await.expect_err("stopped"), ReadError::Stopped);
    assert!(node.status().not_ready.contains(&NotReady::Stopped));
    while notices.next().await.is_some() {}
    // The stopped handle still exists: the directory must be free nevertheless.
    cluster.restart(1).await;
    assert!(has_group(&cluster.node(1).read().await.expect("its own quorum"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_in_good_order_hands_over_at_once() {
    let mut cluster = Cluster::start(3).await;
    let mut outages = Vec::new();
    // On a busy machine a handover may come too late. Without one, no outage is shorter than the lease, 0.6 s.
    for number in 0..5 {
        let old = cluster.leader().await;
        let survivor = cluster.running().find(|node| node.node_id().get() != old).expect("a follower").clone();
        cluster.stop(old).await;
        let stopped = Instant::now();
        survivor.propose(create_group(number)).await.expect("two of three are a quorum");
        outages.push(stopped.elapsed());
        if outages[number] < Duration::from_millis(500) {
            return;
        }
        cluster.restart(old).await;
    }
    panic!("{outages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_refuses_changes_before_the_log() {
    let cluster = Cluster::start_with(1, |tuning| tuning.disk_reserve_bytes = u64::MAX).await;
    let node = cluster.node(1);
    let refused = node.propose(create_group(0)).await.expect_err("no room");
    assert_eq!(refused, ProposeError::NotApplied(NotApplied::DiskFull));
    assert!(node.status().not_ready.contains(&NotReady::DiskFull));
    node.read().await.expect("reads go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_too_much_is_refused_for_certain() {
    let cluster = Cluster::start_with(3, |tuning| {
        tuning.change_bytes = 3;
        tuning.proposals_in_flight = 1;
    })
    .await;
    let leader = cluster.leader().await;
    for node in cluster.running() {
        let refused = node.propose(create_group(0)).await.expect_err("four bytes are too many");
        assert_eq!(refused, ProposeError::NotApplied(NotApplied::TooLarge), "node {}", node.node_id());
    }
    let node = cluster.node(leader);
    let together = futures_util::future::join_all((0..50).map(|_| node.propose(muster_control::Change::Tick))).await;
    let overloaded = ProposeError::NotApplied(NotApplied::Overloaded);
    assert!(together.iter().any(|result| result.as_ref().is_err_and(|error| *error == overloaded)), "{together:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_come_in_log_order_and_never_before_their_view() {
    let cluster = Cluster::start(3).await;
    let follower = cluster.running().last().expect("three").clone();
    let mut notices = follower.notices();
    let watcher = follower.clone();
    let watching = tokio::spawn(async move {
        let mut last = muster_control::LogIndex::default();
        let mut enrolled = 0;
        while enrolled < 50 {
            match notices.next().await {
                Some(Notice::Applied { index, events }) => {
                    assert!(index > last, "{index} after {last}");
                    assert!(watcher.view().index >= index);
                    last = index;
                    enrolled += events.len();
                }
                other => panic!("{other:?}"),
            }
        }
    });
    for number in 0..50 {
        cluster.node(1).propose(support::enroll(number)).await.expect("a quorum");
    }
    tokio::time::timeout(Duration::from_secs(10), watching).await.expect("in time").expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_proposals_share_few_syncs() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let node = Arc::new(cluster.node(leader).clone());
    let before = node.counters().log_syncs.get();
    let proposals = (0..2000).map(|number| {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.propose(create_group(number)).await })
    });
    for proposal in proposals.collect::<Vec<_>>() {
        proposal.await.expect("no panic").expect("a quorum");
    }
    let syncs = node.counters().log_syncs.get() - before;
    assert!(syncs < 1000, "{syncs} syncs for 2000 proposals");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_come_together_share_rounds() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for node in cluster.running() {
        let before = node.counters().read_rounds.get();
        let reads = (0..500).map(|_| node.read());
        let views = futures_util::future::join_all(reads).await;
        assert!(views.iter().all(Result::is_ok));
        let rounds = node.counters().read_rounds.get() - before;
        assert!(rounds < 50, "{rounds} rounds for 500 reads, leader: {}", node.node_id().get() == leader);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_several_mebibytes_passes_every_limit() {
    let cluster = Cluster::start(3).await;
    let large = support::seen_of(100_000);
    assert!(large.to_bytes().len() > 1 << 20, "{} bytes", large.to_bytes().len());
    let follower = cluster.running().find(|node| node.status().leader != Some(node.node_id())).expect("a follower");
    follower.propose(large).await.expect("a quorum");
    follower.propose(create_group(1)).await.expect("a quorum");
    cluster.agree().await;
}
