//! The cluster as clients of the reference know it.

use serde_json::json;

use crate::sample::assert_like;
use crate::server::Server;

#[tokio::test]
async fn the_api_tells_what_it_is() {
    let server = Server::start().await;
    let root = server.send("GET /").await;
    assert_like("root", &root, &[]);
    assert_eq!(root.json()["data"]["api_version"], "4.14.9");
    assert_eq!(server.send("GET /?wait_for_complete=true").await.status, 400);
    assert_eq!(server.send("GET /?pretty=true").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn the_leader_is_the_master_and_the_others_are_workers() {
    let server = Server::start().await;
    server.silent("agent1", 2).await;
    assert_like("cluster_status", &server.send("GET /cluster/status").await, &[]);
    let nodes = server.send("GET /cluster/nodes").await;
    assert_like("cluster_nodes", &nodes, &[]);
    let expected = json!({"name": "node01", "type": "master", "version": "4.14.9", "ip": "127.0.0.1"});
    assert_eq!(nodes.items()[0], expected);
    assert_like("cluster_nodes_partial", &server.send("GET /cluster/nodes?nodes_list=node01,nope").await, &[]);
    let workers = server.send("GET /cluster/nodes?type=worker&select=name").await;
    assert_eq!(workers.items(), [json!({"name": "node02"})]);
    assert_eq!(server.send("GET /cluster/nodes?type=WORKER").await.error(), 1728);
    assert_eq!(server.send("GET /cluster/nodes?select=nope").await.error(), 1724);
    assert_eq!(server.send("GET /cluster/nodes?type=other").await.status, 400);
    let local = server.send("GET /cluster/local/info").await;
    assert_like("cluster_local_info", &local, &[]);
    assert_eq!(local.items(), [json!({"node": "node01", "cluster": "wazuh", "type": "master"})]);
    server.stop().await;
}

#[tokio::test]
async fn the_health_check_tells_workers_status_and_active_agents() {
    let server = Server::start().await;
    server.silent("agent1", 2).await;
    let health = server.send("GET /cluster/healthcheck").await;
    assert_like("cluster_healthcheck", &health, &["status"]);
    let items = health.items();
    assert_eq!((&items[0]["info"]["n_active_agents"], &items[1]["info"]["n_active_agents"]), (&json!(0), &json!(1)));
    assert!(items[0].get("status").is_none() && items[1].get("status").is_some(), "{health:?}");
    let some = server.send("GET /cluster/healthcheck?nodes_list=node02,nope").await;
    assert_eq!((some.items().len(), some.failed().len(), some.error()), (1, 0, 0));
    server.stop().await;
}
