//! Configurations, disks, ports and connections that are not what they should be.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use futures_util::future::try_join_all;
use muster_node::Authority;
use muster_node::simulate::{Count, Fleet};
use muster_tests::{Cluster, QUICK, Settings, Turn, enroll, fleet_config, until};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

use crate::PROGRAM;

const DEADLINE: Duration = Duration::from_secs(30);

/// Exit codes that the help of the program tells.
const USAGE: i32 = 64;
const DATA: i32 = 65;
const PORT: i32 = 69;

/// Half-open connections to each port.
const HALF_OPEN: usize = 1_000;

/// The last line that a node printed before it ended, which has to be with this code.
async fn last_words(cluster: &mut Cluster, code: i32) -> String {
    let node = cluster.node_mut(0);
    node.start();
    let status = node.ended(DEADLINE).await;
    let log = node.log();
    assert_eq!(status.code(), Some(code), "{log}");
    log.lines().last().expect("it says why").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_an_unknown_key_is_refused_with_its_name() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::prepare(PROGRAM, Settings::new().single().with("raft.heartbeet", "100ms"));
    let words = last_words(&mut cluster, USAGE).await;
    assert!(words.starts_with("muster: ") && words.contains("heartbeet"), "{words}");
    assert!(!cluster.node(0).place().data_dir.exists(), "nothing was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_another_cluster_is_refused() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, Settings::new().single()).await;
    cluster.node_mut(0).stop().await;
    let other = Authority::create("other".parse().expect("a cluster id")).expect("an authority");
    cluster.node(0).place().certify(&other);
    cluster.configure(0, Some("other"), |settings| settings);
    let words = last_words(&mut cluster, DATA).await;
    assert!(words.contains("the data directory belongs to cluster tests, not to other"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_told_with_its_key() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::prepare(PROGRAM, Settings::new().single());
    let place = cluster.node(0).place().clone();
    for (key, address) in [
        ("peers.listen", place.peers),
        ("enrollment.listen", place.enrollment),
        ("channel.listen", place.channel),
        ("api.listen", place.api),
    ] {
        let taken = TcpListener::bind(address).expect("the port is free");
        let words = last_words(&mut cluster, PORT).await;
        assert!(words.contains(&format!("{key} = {address}: cannot listen")), "{words}");
        drop(taken);
    }
    assert!(!place.data_dir.exists(), "nothing was touched");
}

/// Connects and says nothing, from an address that is not that of the other clients.
async fn half_open(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0)))?;
    socket.connect(to).await
}

/// Whether the other end still holds the connection.
fn is_held(connection: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(connection.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_to_each_port_disturb_nobody() {
    let _turn = Turn::alone().await;
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let place = cluster.node(0).place().clone();
    let mut held = Vec::new();
    for port in [place.channel, place.enrollment, place.api] {
        let open = try_join_all((0..HALF_OPEN).map(|_| half_open(port))).await;
        held.push(open.expect("the node takes connections"));
    }

    // All of it on the node that holds them.
    let identities = enroll(&cluster, "undisturbed", 3).await;
    let fleet = Fleet::launch(fleet_config(&cluster, QUICK), identities);
    let api = cluster.api(0);
    until("all agents are active", DEADLINE, async || {
        let answer = api.get("/agents?status=active&select=id").await.map_err(|error| format!("{error:?}"))?;
        let active = answer.body["data"]["total_affected_items"].as_u64();
        if active == Some(4) { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    api.post("/groups", json!({ "group_id": "undisturbed" })).await.expect("the node answers").success();
    let answer = api.put("/agents/restart").await.expect("the node answers");
    let command = answer.command.expect("a command was issued");
    answer.success();
    let open: Vec<usize> =
        held.iter().map(|open| open.iter().filter(|connection| is_held(connection)).count()).collect();

    until("all agents have restarted", DEADLINE, async || {
        let deliveries = api.deliveries(command).await;
        let is_done = deliveries.len() == 3 && deliveries.iter().all(|delivery| delivery.stage == "confirmed");
        if is_done { Ok(()) } else { Err(format!("{deliveries:?}")) }
    })
    .await;
    assert_eq!(fleet.stats().get(Count::RestartsDone), 3);
    // Enrollment has a limit for one address, and closes those beyond it.
    assert!(open[0] == HALF_OPEN && open[1] >= 400 && open[2] == HALF_OPEN, "a run with {open:?} proves nothing");
    until("the node closes those that never say anything", Duration::from_secs(60), async || {
        let open: Vec<usize> =
            held.iter().map(|open| open.iter().filter(|connection| is_held(connection)).count()).collect();
        if open == [0, 0, 0] { Ok(()) } else { Err(format!("{open:?} are open")) }
    })
    .await;
}
