//! Disks that take no more.

use std::time::Duration;

use muster_tests::{Cluster, Node, Settings, Tmpfs, Turn, limit_file_size, until};
use serde_json::json;

use crate::PROGRAM;
use crate::load::Writers;

const DEADLINE: Duration = Duration::from_secs(60);

/// Exit code of a node whose disk failed or is full.
const DISK: i32 = 74;

/// Whether a node has ended; then it has to be with the code and the words for a disk that failed.
async fn stopped_by_its_disk(node: &mut Node) -> bool {
    if let Some(status) = node.has_ended().await {
        let log = node.log();
        let words = log.lines().last().expect("it says why");
        assert_eq!(status.code(), Some(DISK), "{words}");
        assert!(words.starts_with("muster: ") && words.contains("File too large"), "{words}");
    }
    !node.runs()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_disks_take_no_more_stop_and_lose_nothing_that_was_acknowledged() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let writers = Writers::start(&cluster, "cut-short");
    until("clients are at work", DEADLINE, async || match writers.acknowledged() {
        0..50 => Err("too few changes are acknowledged".to_owned()),
        _ => Ok(()),
    })
    .await;
    for number in 0..cluster.size() {
        // Below what their logs have: the next write of any of them fails.
        limit_file_size(cluster.node(number).pid(), Some(4096));
    }
    until("a majority has stopped", DEADLINE, async || {
        let mut running = 0;
        for number in 0..3 {
            running += usize::from(!stopped_by_its_disk(cluster.node_mut(number)).await);
        }
        if running <= 1 { Ok(()) } else { Err(format!("{running} nodes run")) }
    })
    .await;
    for number in 0..3 {
        // Without the others, the last one may have nothing to write.
        if !stopped_by_its_disk(cluster.node_mut(number)).await {
            cluster.node_mut(number).kill().await;
        }
    }
    let told = writers.stop().await;

    for number in 0..cluster.size() {
        cluster.node_mut(number).start();
    }
    cluster.ready().await;
    for number in 0..cluster.size() {
        told.check(cluster.api(number)).await;
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_refuses_writes_and_says_so_until_there_is_room() {
    let _turn = Turn::shared().await;
    let Some(disk) = Tmpfs::mount(256) else {
        eprintln!("not run: only root may mount a small disk");
        return;
    };
    let settings = Settings::new().with_data_in(disk.path()).with("raft.disk_reserve", "32MiB");
    let cluster = Cluster::start(PROGRAM, settings).await;
    let writers = Writers::start(&cluster, "room");
    until("clients are at work", DEADLINE, async || match writers.acknowledged() {
        0..50 => Err("too few changes are acknowledged".to_owned()),
        _ => Ok(()),
    })
    .await;

    disk.fill(8 << 20);
    for number in 0..cluster.size() {
        until("the node says that its disk is full", DEADLINE, async || {
            let answer = cluster.api(number).probe("/readyz").await.map_err(|error| format!("{error:?}"))?;
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            if answer.status == 503 && detail.contains("disk nearly full") {
                Ok(())
            } else {
                Err(format!("{answer:?}"))
            }
        })
        .await;
        let answer = cluster.api(number).post("/groups", json!({ "group_id": format!("late-{number}") })).await;
        let answer = answer.expect("the node answers");
        assert!(answer.is_problem(503, "/problems/not-applied"), "{answer:?}");
        assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains("disk")), "{answer:?}");
        cluster.api(number).get("/groups").await.expect("the node answers").success();
    }
    let told = writers.stop().await;

    disk.clear();
    until("there is room again", DEADLINE, async || {
        let answer = cluster.api(0).post("/groups", json!({ "group_id": "room-again" })).await;
        match answer {
            Ok(answer) if answer.is_success() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let groups = cluster.api(1).texts("/groups", "name").await;
    assert!((0..3).all(|number| !groups.contains(&format!("late-{number}"))), "{groups:?}");
    for number in 0..cluster.size() {
        told.check_besides(cluster.api(number), &["room-again"]).await;
    }
    cluster.agree().await;
}
