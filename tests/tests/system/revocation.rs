//! Tokens that are not good any more.

use muster_tests::{Cluster, Settings, Turn};
use serde_json::json;

use crate::PROGRAM;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_revoked_on_one_node_changes_nothing_on_any_other() {
    let _turn = Turn::shared().await;
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let (leader, _) = cluster.leader().await;
    let asleep = (leader + 1) % cluster.size();
    let group = |name: String| json!({ "group_id": name });
    cluster.api(asleep).post("/groups", group("before".to_owned())).await.expect("the node answers").success();

    // A node that wakes up has not heard of it, and takes the next request before it does.
    cluster.node(asleep).pause().await;
    cluster.api(leader).delete("/security/user/authenticate").await.expect("the leader answers").success();
    cluster.node(asleep).resume().await;
    for number in (0..cluster.size()).map(|offset| (asleep + offset) % cluster.size()) {
        let api = cluster.api(number);
        for answer in [api.post("/groups", group(format!("after-{number}"))).await, api.put("/agents/restart").await] {
            let answer = answer.expect("the node answers");
            assert_eq!(answer.status, 401, "{answer:?}");
        }
    }
}
