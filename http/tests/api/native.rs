//! `/v1` and the probes.

use std::time::Duration;

use muster_http::ApiConfig;
use serde_json::json;

use crate::server::{Answer, Server, config};

#[tokio::test]
async fn the_cluster_tells_members_leader_and_indexes() {
    let server = Server::start().await;
    let answer = server.send("GET /v1/cluster").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cluster = answer.json();
    assert_eq!((&cluster["leader"], &cluster["name"]), (&json!(1), &json!("wazuh")));
    assert_eq!(cluster["index"].to_string(), answer.header("muster-index").unwrap());
    let member = &cluster["members"][0];
    assert_eq!((&member["name"], &member["voter"], &member["leader"]), (&json!("node01"), &json!(true), &json!(true)));
    assert_eq!(cluster["local"]["role"], "leader");
    assert_eq!(cluster["local"]["ready"], true);
    assert!(cluster["local"]["applied_index"].as_u64() >= cluster["index"].as_u64(), "{cluster}");
    server.stop().await;
}

#[tokio::test]
async fn the_hash_of_the_state_changes_with_the_state() {
    let server = Server::start().await;
    let before = server.send("GET /v1/cluster/state").await.json();
    assert_eq!(before["sha256"].as_str().map(str::len), Some(64), "{before}");
    let created = server.send_json("POST /groups", json!({"group_id": "one-more"})).await;
    assert_eq!(created.status, 200, "{created:?}");
    let after = server.send("GET /v1/cluster/state").await;
    assert_eq!(after.json()["index"].to_string(), after.header("muster-index").unwrap());
    assert!(after.json()["index"].as_u64() > before["index"].as_u64(), "{before} {after:?}");
    assert_ne!(after.json()["sha256"], before["sha256"]);
    server.stop().await;
}

#[tokio::test]
async fn problems_under_v1_follow_rfc_9457() {
    let server = Server::start().await;
    let unknown = server.send("GET /v1/commands/999999").await;
    assert_eq!((unknown.status.as_u16(), unknown.json()["status"].as_u64()), (404, Some(404)));
    assert_eq!(unknown.json()["type"], "/problems/not-found");
    assert_eq!(unknown.header("content-type").unwrap(), "application/problem+json; charset=utf-8");
    assert_eq!(server.send("GET /v1/commands/x").await.json()["type"], "/problems/schema");
    let nobody = Answer::of(server.bare("GET", "/v1/commands")).await;
    assert_eq!((nobody.status.as_u16(), &nobody.json()["type"]), (401, &json!("/problems/unauthorized")));
    assert_eq!(Answer::of(server.bare("GET", "/v1/nope")).await.json()["type"], "/problems/no-route");
    server.stop().await;
}

#[tokio::test]
async fn probes_need_no_token_and_count_for_no_limit() {
    let server = Server::start_with(ApiConfig { requests_per_minute: 10, ..config() }).await;
    for _ in 0..20 {
        assert_eq!(Answer::of(server.bare("GET", "/healthz")).await.json(), json!({"status": "ok"}));
    }
    assert_eq!(Answer::of(server.bare("GET", "/readyz")).await.json(), json!({"status": "ready"}));
    server.send("PUT /agents/restart").await;
    let metrics = Answer::of(server.bare("GET", "/metrics")).await;
    assert_eq!(metrics.status, 200);
    for line in [
        "muster_http_requests_total{method=\"PUT\",route=\"/agents/restart\",status=\"200\"} 1",
        "muster_http_logins_total{result=\"success\"} 1",
        "muster_agents{status=\"active\"} 0",
        "muster_raft_is_leader 1",
        "muster_commands 1",
        "# EOF",
    ] {
        assert!(metrics.text.contains(line), "{line}\n{}", metrics.text);
    }
    server.stop().await;
}

#[tokio::test]
async fn without_a_quorum_reads_and_writes_say_so_in_time() {
    let config = ApiConfig { request_timeout: Duration::from_secs(1), ..config() };
    let server = Server::unfounded(config, 3).await;
    for (line, kind) in [
        ("GET /agents", "/problems/unavailable"),
        ("PUT /agents/restart", "/problems/not-applied"),
        ("GET /v1/cluster", "/problems/unavailable"),
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        let answer = Answer::of(server.bare(method, path).bearer_auth("x")).await;
        assert_eq!(answer.status, 503, "{line}: {answer:?}");
        assert_eq!(answer.json()["type"], kind);
        assert_eq!(answer.header("retry-after").unwrap(), "1");
        assert_eq!(answer.error(), 1017);
    }
    assert_eq!(Answer::of(server.bare("GET", "/healthz")).await.status, 200);
    let ready = Answer::of(server.bare("GET", "/readyz")).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["type"]), (503, &json!("/problems/unavailable")));
    let login = server.bare("POST", "/security/user/authenticate").basic_auth("wazuh", Some("x"));
    assert_eq!(Answer::of(login).await.status, 503);
    server.stop().await;
}
