//! What holds for every request and every answer.

use serde_json::json;

use crate::sample::assert_like;
use crate::server::{Answer, Server};

#[tokio::test]
async fn unknown_paths_and_methods_are_told_before_the_token_is_looked_at() {
    let server = Server::start().await;
    assert_like("unknown_route", &server.send("GET /nosuch").await, &[]);
    assert_like("unknown_route", &Answer::of(server.bare("GET", "/nosuch")).await, &[]);
    assert_like("method_not_allowed", &server.send("PATCH /agents").await, &[]);
    for line in ["OPTIONS /agents", "PATCH /", "PUT /groups", "POST /agents/restart", "PUT /security/user/authenticate"]
    {
        let (method, path) = line.split_once(' ').unwrap();
        assert_eq!(Answer::of(server.bare(method, path)).await.status, 405, "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let server = Server::start().await;
    let head = Answer::of(server.request("HEAD", "/agents")).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    let refused = Answer::of(server.bare("HEAD", "/agents")).await;
    assert_eq!((refused.status.as_u16(), refused.text.as_str()), (401, ""));
    assert_eq!(server.send("GET /agents").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_fixed_headers_and_the_index_it_rests_on() {
    let server = Server::start().await;
    let index = |answer: &Answer| answer.header("muster-index").unwrap().parse::<u64>().unwrap();
    for line in ["GET /agents", "GET /nosuch", "PATCH /agents", "GET /agents?nope=1", "GET /groups/nope/agents"] {
        let answer = server.send(line).await;
        for (name, value) in [
            ("server", "Wazuh"),
            ("content-security-policy", "none"),
            ("x-frame-options", "deny"),
            ("x-content-type-options", "nosniff"),
            ("x-xss-protection", "0"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{line}: {name}");
        }
        assert!(answer.header("strict-transport-security").is_some() && answer.header("referrer-policy").is_some());
    }
    let before = index(&server.send("GET /agents").await);
    let written = index(&server.send_json("POST /groups", json!({"group_id": "g1"})).await);
    let refused = index(&server.send_json("POST /groups", json!({"group_id": "g1"})).await);
    let after = index(&server.send("GET /groups/nope/agents").await);
    assert!(before < written && written < refused && refused <= after, "{before} {written} {refused} {after}");
    server.stop().await;
}

#[tokio::test]
async fn pretty_answers_are_indented_by_three_spaces_errors_too() {
    let server = Server::start().await;
    let pretty = server.send("GET /groups?pretty=true").await;
    assert!(pretty.text.starts_with("{\n   \"data\": {\n      \"affected_items\": ["), "{}", pretty.text);
    assert_eq!(pretty.json(), server.send("GET /groups?pretty=false").await.json());
    let refused = server.send("GET /groups?nope=1&pretty=True").await;
    assert!(refused.status == 400 && refused.text.starts_with("{\n   \"title\""), "{refused:?}");
    assert_eq!(server.send("GET /agents?wait_for_complete=true").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_read_may_be_stale_if_it_says_so_and_a_write_may_not() {
    let server = Server::start().await;
    let with = |method, path, value| Answer::of(server.request(method, path).header("muster-consistency", value));
    assert_eq!(with("GET", "/agents", "stale").await.status, 200);
    assert_eq!(with("GET", "/agents", "linearizable").await.status, 200);
    assert_eq!(with("PUT", "/agents/restart", "linearizable").await.status, 200);
    assert_eq!(with("PUT", "/agents/restart", "stale").await.status, 400);
    assert_eq!(with("GET", "/agents", "fast").await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn bodies_are_json_of_the_right_type_size_and_depth() {
    let server = Server::start().await;
    let post = |body: Vec<u8>, media_type: &'static str| {
        Answer::of(server.request("POST", "/agents").header("content-type", media_type).body(body))
    };
    let json = "application/json";
    assert_like("body_not_json", &post(b"{not json".to_vec(), json).await, &[]);
    assert_like("wrong_content_type", &post(b"{}".to_vec(), "text/plain").await, &[]);
    let unknown = server.send_json("POST /agents", json!({"name": "x1", "foo": 1})).await;
    assert_like("body_unknown_field", &unknown, &[]);
    assert_like("body_too_large", &post(vec![b' '; 11 << 20], json).await, &[]);
    let deep = post(format!("{{\"name\":{}", "[".repeat(100_000)).into_bytes(), json).await;
    assert_eq!((deep.status.as_u16(), deep.json()["title"].as_str()), (400, Some("JSON nested too deep")));
    assert!(deep.json().get("error").is_none());
    assert_eq!(post(Vec::new(), json).await.status, 400);
    assert_eq!(post(br#"{"name": 7}"#.to_vec(), json).await.status, 400);
    assert_eq!(post(br#"{"name": "a1", "name": "b1"}"#.to_vec(), json).await.status, 400);
    let untyped = server.request("POST", "/agents").body(r#"{"name": "untyped"}"#);
    assert_eq!(Answer::of(untyped).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn expectations_that_cannot_be_met_are_told() {
    let server = Server::start().await;
    let nonsense = Answer::of(server.request("GET", "/agents").header("expect", "nonsense")).await;
    assert_like("expectation_failed", &nonsense, &[]);
    let request = server.request("POST", "/groups").header("expect", "100-continue").json(&json!({"group_id": "g1"}));
    assert_eq!(Answer::of(request).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn no_parameter_is_answered_with_a_fault() {
    let server = Server::start().await;
    server.disconnected("agent1", 1).await;
    let lines = [
        "GET /agents",
        "DELETE /agents",
        "PUT /agents/restart",
        "PUT /agents/group",
        "DELETE /agents/group",
        "GET /groups",
        "GET /groups/default/agents",
        "DELETE /groups",
        "GET /cluster/nodes",
        "GET /cluster/healthcheck",
        "GET /v1/commands",
        "GET /agents/001/key",
        "GET /",
    ];
    let names = [
        "agents_list",
        "groups_list",
        "nodes_list",
        "group_id",
        "status",
        "older_than",
        "limit",
        "offset",
        "sort",
        "search",
        "select",
        "distinct",
        "q",
        "type",
        "version",
        "group",
        "name",
        "pretty",
        "kind",
        "",
    ];
    let values =
        ["", "all", "001", "-1", "99999999999999999999999", "%00", "%25%27%5f", "a,b,,c", "%F0%9F%A6%80", "-name"];
    for (number, line) in lines.iter().enumerate() {
        for (name, value) in
            names.iter().flat_map(|name| values.iter().skip(number % 2).step_by(2).map(move |v| (name, v)))
        {
            let answer = server.send(&format!("{line}?{name}={value}")).await;
            assert!(answer.status.as_u16() < 500, "{line}?{name}={value}: {answer:?}");
        }
    }
    server.stop().await;
}
