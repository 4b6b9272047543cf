//! Restart and reconnect, and what `/v1/commands` tells of them.

use serde_json::{Value, json};

use crate::sample::assert_like;
use crate::server::{Answer, Server};

fn none() -> Vec<Value> {
    Vec::new()
}

#[tokio::test]
async fn each_listed_agent_is_accepted_or_refused_alone() {
    let server = Server::start().await;
    server.disconnected("gone", 1).await;
    server.active("there", 1, "Wazuh v4.14.7").await;
    let mixed = server.send("PUT /agents/restart?agents_list=002,001,000,9999").await;
    assert_like("restart_mixed", &mixed, &[]);
    assert_eq!(mixed.items(), [json!("002")]);
    let failed = [("9999", 1701), ("000", 1703), ("001", 1707)].map(|(id, code)| (code, vec![id.to_owned()]));
    assert_eq!(mixed.failed(), failed);
    assert_like("restart_none", &server.send("PUT /agents/restart?agents_list=001,9999").await, &[]);
    assert_like("restart_one_inactive", &server.send("PUT /agents/001/restart").await, &[]);
    assert_eq!(server.send("PUT /agents/000/restart").await.failed(), [(1703, vec!["000".to_owned()])]);
    assert_eq!(server.send("PUT /agents/002/restart").await.items(), [json!("002")]);
    let beyond = server.send("PUT /agents/99999999999/restart").await;
    assert_eq!(beyond.failed(), [(1701, vec!["99999999999".to_owned()])]);
    assert_eq!(server.send("PUT /agents/restart?agents_list=all").await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn restarting_all_reaches_active_agents_and_hides_the_others() {
    let server = Server::start().await;
    let nobody = server.send("PUT /agents/restart").await;
    assert_eq!((nobody.items(), nobody.error()), (none(), 0));
    server.active("there", 1, "Wazuh v4.14.7").await;
    server.disconnected("gone", 1).await;
    server.never_connected("never").await;
    server.silent("silent", 2).await; // active, and never told a version
    let pending = server.never_connected("pending").await;
    server.open(pending, 1, false).await;
    let all = server.send("PUT /agents/restart").await;
    assert_like("restart_all", &all, &[]);
    assert_eq!(all.items(), [json!("001"), json!("004")]);
    server.stop().await;
}

#[tokio::test]
async fn groups_and_nodes_are_restarted_without_a_word_on_inactive_agents() {
    let server = Server::start().await;
    server.group("g1").await;
    server.group("g2").await;
    for (name, group) in [("one", "g1"), ("two", "g1")] {
        let agent = server.active(name, 1, "Wazuh v4.14.7").await;
        server.assign(agent, group).await;
    }
    let gone = server.disconnected("gone", 1).await;
    server.assign(gone, "g1").await;
    server.assign(gone, "g2").await;
    server.silent("elsewhere", 2).await;
    let group = server.send("PUT /agents/group/g1/restart").await;
    assert_like("restart_group", &group, &[]);
    assert_eq!(group.items(), [json!("001"), json!("002")]);
    assert_like("restart_group_inactive_only", &server.send("PUT /agents/group/g2/restart").await, &[]);
    assert_like("restart_group_unknown", &server.send("PUT /agents/group/G1/restart").await, &[]);
    let node = server.send("PUT /agents/node/node02/restart").await;
    assert_like("restart_node", &node, &[]);
    assert_eq!(node.items(), [json!("004")]);
    assert_like("restart_node_unknown", &server.send("PUT /agents/node/nope/restart").await, &[]);
    let long = "x".repeat(80);
    assert_eq!(server.send(&format!("PUT /agents/node/{long}/restart")).await.failed(), [(1730, vec![long])]);
    server.stop().await;
}

#[tokio::test]
async fn reconnect_is_answered_like_restart() {
    let server = Server::start().await;
    server.disconnected("gone", 1).await;
    server.silent("there", 1).await;
    assert_like("reconnect_mixed", &server.send("PUT /agents/reconnect?agents_list=001,000,9999").await, &[]);
    let all = server.send("PUT /agents/reconnect").await;
    assert_eq!((all.items(), all.error()), (vec![json!("002")], 0));
    let command = server.send(&format!("GET /v1/commands/{}", all.header("muster-command").unwrap())).await;
    assert_eq!(command.json()["command"]["kind"], "reconnect");
    server.stop().await;
}

#[tokio::test]
async fn a_body_never_turns_into_a_restart_of_everything() {
    let server = Server::start().await;
    server.group("g1").await;
    let agent = server.silent("there", 1).await;
    server.assign(agent, "g1").await;
    let before = server.send("GET /v1/commands").await.json()["total"].clone();
    for line in [
        "PUT /agents/restart",
        "PUT /agents/001/restart",
        "PUT /agents/group/g1/restart",
        "PUT /agents/node/node01/restart",
        "PUT /agents/reconnect",
        "PUT /agents/group?group_id=g1",
        "DELETE /agents?agents_list=all&status=all&older_than=0s",
    ] {
        for body in [json!({"agents_list": ["001"]}), json!(["001"]), json!([]), json!("x"), json!(null)] {
            let answer = server.send_json(line, body).await;
            assert_eq!(answer.status, 400, "{line}: {answer:?}");
        }
    }
    let chunked = server.request("PUT", "/agents/restart").header("transfer-encoding", "chunked").body("[\"001\"]");
    assert_eq!(Answer::of(chunked).await.status, 400);
    assert_eq!(server.send("GET /v1/commands").await.json()["total"], before);
    assert_eq!(server.send("GET /agents/summary/status").await.json()["data"]["connection"]["active"], 1);
    server.stop().await;
}

#[tokio::test]
async fn an_empty_object_is_taken_for_no_body() {
    let server = Server::start().await;
    server.group("g1").await;
    server.silent("there", 1).await;
    for line in [
        "PUT /agents/001/group/g1",
        "PUT /agents/001/restart",
        "PUT /agents/restart?agents_list=001",
        "DELETE /agents/001/group/g1",
        "DELETE /agents?agents_list=001&status=all&older_than=0s",
    ] {
        let answer = server.send_json(line, json!({})).await;
        assert_eq!((answer.status.as_u16(), answer.error()), (200, 0), "{line}: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_command_can_be_followed_by_the_id_in_the_header() {
    let server = Server::start().await;
    for number in 0..5 {
        server.silent(&format!("agent{number}"), 1).await;
    }
    let answer = server.send("PUT /agents/restart").await;
    let id = answer.header("muster-command").unwrap().to_owned();
    assert_eq!(answer.header("muster-index").unwrap(), id);
    let command = server.send(&format!("GET /v1/commands/{id}?limit=2&offset=1")).await.json();
    assert_eq!(command["total"], 5);
    let agents: Vec<&Value> = command["deliveries"].as_array().unwrap().iter().map(|life| &life["agent"]).collect();
    assert_eq!(agents, ["002", "003"]);
    assert_eq!(command["deliveries"][0]["stage"], "queued");
    let head = &command["command"];
    assert_eq!((&head["id"], &head["issuer"]), (&json!(id.parse::<u64>().unwrap()), &json!("wazuh")));
    assert_eq!((&head["selector"], &head["finished"]), (&json!({"all": true}), &json!(false)));
    assert_eq!((&head["stages"]["queued"], &head["stages"]["confirmed"]), (&json!(5), &json!(0)));
    let queued = server.send(&format!("GET /v1/commands/{id}?stage=queued,sent")).await.json();
    assert_eq!(queued["total"], 5);
    let confirmed = server.send(&format!("GET /v1/commands/{id}?stage=confirmed")).await.json();
    assert_eq!((&confirmed["total"], &confirmed["deliveries"]), (&json!(0), &json!([])));
    assert_eq!(server.send(&format!("GET /v1/commands/{id}?stage=done")).await.status, 400);
    let second = server.send("PUT /agents/001/restart").await;
    let list = server.send("GET /v1/commands?limit=1").await.json();
    assert_eq!(list["total"], 2);
    assert_eq!(list["commands"][0]["id"].to_string(), second.header("muster-command").unwrap());
    assert_eq!(server.send("GET /v1/commands?kind=reconnect").await.json()["total"], 0);
    assert_eq!(server.send("GET /v1/commands?finished=false&kind=restart").await.json()["total"], 2);
    server.stop().await;
}
