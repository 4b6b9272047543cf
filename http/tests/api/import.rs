//! `/v1/import` and `/v1/export`.

use muster_control::{AgentSet, Change, Millis, RemoveAgents};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn agent(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "address": "any", "key": format!("{id:0>64}")})
}

async fn import(server: &Server, body: Value) -> Value {
    let answer = server.send_json("POST /v1/import/agents", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("muster-index").is_some());
    answer.json()
}

#[tokio::test]
async fn imported_agents_are_listed_as_the_other_manager_had_them() {
    let server = Server::start().await;
    let told = json!({
        "id": "007", "name": "web-07", "address": "10.1.2.3/8", "key": "k7", "groups": ["web", "db"],
        "registered_at": 1_700_000_000, "past": {"last_keepalive": 1_700_000_100, "status_code": 4},
        "report": {"version": "Wazuh v4.14.7", "os_platform": "debian", "os_name": "Debian", "ip": "10.1.2.3"},
    });
    let body =
        json!({"through": "1000", "groups": ["web", "db"], "agents": [told, agent("009", "new")], "removed": ["8"]});
    let answer = import(&server, body.clone()).await;
    assert_eq!(answer, json!({"written": true, "added": ["007", "009"], "unchanged": 0, "conflicts": []}));
    let listed = server.send("GET /agents?agents_list=007,009&sort=id").await.items();
    for (field, value) in [
        ("name", json!("web-07")),
        ("registerIP", json!("10.1.2.3/8")),
        ("group", json!(["web", "db"])),
        ("dateAdd", json!("2023-11-14T22:13:20+00:00")),
        ("lastKeepAlive", json!("2023-11-14T22:15:00+00:00")),
        ("status", json!("disconnected")),
        ("status_code", json!(4)),
        ("version", json!("Wazuh v4.14.7")),
        ("ip", json!("10.1.2.3")),
    ] {
        assert_eq!(listed[0][field], value, "{field} in {}", listed[0]);
    }
    assert_eq!(listed[1]["status"], "never_connected");
    let again = import(&server, body).await;
    assert_eq!(again, json!({"written": true, "added": [], "unchanged": 2, "conflicts": []}));
    assert_eq!(server.never_connected("afterwards").await.get(), 1001);
    server.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_what_a_run_would_do_and_changes_nothing() {
    let server = Server::start().await;
    server.never_connected("here").await;
    let body = |more: Value| {
        let mut body = json!({"through": "003", "agents": [agent("001", "other"), agent("003", "new")]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let conflict =
        json!([{"id": "001", "reason": "an agent with this id and another name, key or address is registered"}]);
    let dry = import(&server, body(json!({"dry_run": true}))).await;
    assert_eq!(dry, json!({"written": false, "added": ["003"], "unchanged": 0, "conflicts": conflict}));
    let stopped = import(&server, body(json!({}))).await;
    assert_eq!(stopped, json!({"written": false, "added": [], "unchanged": 0, "conflicts": conflict}));
    assert_eq!(server.send("GET /agents?agents_list=003").await.items(), Vec::<Value>::new());
    let skipped = import(&server, body(json!({"skip_conflicts": true}))).await;
    assert_eq!(skipped, json!({"written": true, "added": ["003"], "unchanged": 0, "conflicts": conflict}));
    server.stop().await;
}

#[tokio::test]
async fn a_batch_that_breaks_a_rule_is_refused_whole_and_shows_no_key() {
    let server = Server::start().await;
    for (body, words) in [
        (json!({"agents": []}), "through"),
        (json!({"through": "001", "agents": [agent("001", "web-01"), agent("x", "web-02")]}), "agents[1]: 'x'"),
        (json!({"through": "001", "nope": 1}), "nope"),
        (
            json!({"through": "001", "agents": [{"id": "001", "name": "ab", "address": "any", "key": "SECRET+"}]}),
            "agents[0]",
        ),
    ] {
        let answer = server.send_json("POST /v1/import/agents", body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["type"]), (400, &json!("/problems/schema")), "{answer:?}");
        assert!(answer.text.contains(words) && !answer.text.contains("SECRET"), "{answer:?}");
    }
    assert_eq!(server.send("GET /agents?agents_list=001").await.items(), Vec::<Value>::new());
    let nobody = Answer::of(server.bare("POST", "/v1/import/agents").json(&json!({"through": "001"}))).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(Answer::of(server.bare("GET", "/v1/export/client-keys")).await.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn the_key_file_names_all_agents_and_holds_the_place_of_the_last_id() {
    let server = Server::start().await;
    assert_eq!(server.send("GET /v1/export/client-keys").await.text, "");
    let agents = json!([agent("002", "web-02"), agent("1234", "web-1234"), agent("1235", "gone")]);
    import(&server, json!({"through": "1235", "agents": agents})).await;
    let line = |id: &str, name: &str| format!("{id} {name} any {id:0>64}\n");
    let living = line("002", "web-02") + &line("1234", "web-1234");
    let exported = server.send("GET /v1/export/client-keys").await;
    assert_eq!(exported.text, living.clone() + &line("1235", "gone"));
    assert_eq!(exported.header("content-type"), Some("text/plain; charset=utf-8"));
    let gone = AgentSet::Only(vec!["1235".parse().unwrap()]);
    server
        .propose(Change::RemoveAgents(RemoveAgents { agents: gone, statuses: None, older_than: Millis::new(0) }))
        .await;
    let held = format!("1235 !removed-1235 any {:064}\n", 0);
    assert_eq!(server.send("GET /v1/export/client-keys").await.text, living + &held);
    server.stop().await;
}
