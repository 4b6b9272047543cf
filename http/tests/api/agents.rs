//! Listing, registering, removing agents.

use muster_control::AgentId;
use serde_json::{Value, json};

use crate::sample::assert_like;
use crate::server::{Server, report};

/// The system of the manager is not told; of an agent without report, what it would have told.
const MANAGER_LACKS: [&str; 3] = ["os", "group", "disconnection_time"];

async fn ids(server: &Server, query: &str) -> Vec<String> {
    let answer = server.send(&format!("GET /agents?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.items().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn total(server: &Server, query: &str) -> u64 {
    server.send(&format!("GET /agents?{query}")).await.json()["data"]["total_affected_items"].as_u64().unwrap()
}

#[tokio::test]
async fn the_manager_is_listed_first_and_the_others_after_it() {
    let server = Server::start().await;
    server.active("agent1", 1, "Wazuh v4.14.7").await;
    let answer = server.send("GET /agents?limit=2").await;
    assert_like("agents_list", &answer, &MANAGER_LACKS);
    let items = answer.items();
    assert_eq!(items[0]["id"], "000");
    assert_eq!(items[0]["version"], "Wazuh v4.14.9");
    assert_eq!(items[0]["lastKeepAlive"], "9999-12-31T23:59:59+00:00");
    let expected = json!({
        "id": "001", "name": "agent1", "ip": "127.0.0.1", "registerIP": "any", "status": "active", "status_code": 0,
        "node_name": "node01", "manager": "node01", "group": ["default"], "group_config_status": "synced",
        "version": "Wazuh v4.14.7", "lastKeepAlive": items[1]["lastKeepAlive"], "dateAdd": items[1]["dateAdd"],
        "configSum": "ab73af41699f13fdd81903b5f23d8d00", "mergedSum": "10fcdb12884b974f6e432794b6a7383f",
        "os": {"arch": "x86_64", "codename": "bookworm", "major": "12", "name": "Debian GNU/Linux",
               "platform": "debian", "uname": "Linux |host |6.1", "version": "12"},
    });
    assert_eq!(items[1], expected);
    server.stop().await;
}

#[tokio::test]
async fn each_status_has_the_fields_of_the_reference() {
    let server = Server::start().await;
    server.active("active1", 1, "Wazuh v4.14.7").await;
    let never = server.never_connected("never1").await;
    server.assign(never, "default").await;
    server.disconnected("gone1", 1).await;
    let pending = server.never_connected("pending1").await;
    let epoch = server.open(pending, 1, true).await;
    server.tell(pending, epoch, report("Wazuh v3.13.2")).await;
    server.open(pending, 1, false).await;
    assert_like("agents_active", &server.send("GET /agents?status=active&limit=1&offset=1").await, &[]);
    assert_like("agents_never_connected", &server.send("GET /agents?status=never_connected").await, &[]);
    assert_like("agents_disconnected", &server.send("GET /agents?status=disconnected&limit=1").await, &[]);
    assert_like("agents_pending", &server.send("GET /agents?status=pending&limit=1").await, &[]);
    assert_like("summary_status", &server.send("GET /agents/summary/status").await, &[]);
    let summary = server.send("GET /agents/summary/status").await.json();
    let counts = json!({"active": 1, "disconnected": 1, "never_connected": 1, "pending": 1, "total": 4});
    assert_eq!(summary["data"]["connection"], counts);
    assert_eq!(summary["data"]["configuration"], json!({"synced": 3, "not_synced": 1, "total": 4}));
    assert_eq!(ids(&server, "status=ACTIVE,pending").await, ["000", "001", "004"]);
    server.stop().await;
}

#[tokio::test]
async fn listed_ids_that_do_not_exist_are_reported() {
    let server = Server::start().await;
    server.active("agent1", 1, "Wazuh v4.14.7").await;
    assert_like("agents_explicit_partial", &server.send("GET /agents?agents_list=001,9999").await, &[]);
    assert_like("agents_explicit_none", &server.send("GET /agents?agents_list=9999").await, &[]);
    let beyond = server.send("GET /agents?agents_list=99999999999,998,001&status=disconnected").await;
    assert_eq!(beyond.failed(), [(1701, vec!["998".to_owned(), "99999999999".to_owned()])]);
    assert_eq!(beyond.items(), Vec::<Value>::new());
    assert_eq!(ids(&server, "agents_list=001,000&agents_list=001").await, ["000", "001"]);
    server.stop().await;
}

#[tokio::test]
async fn wrong_parameters_are_refused_as_the_reference_does() {
    let server = Server::start().await;
    assert_like("unknown_parameter", &server.send("GET /agents?nope=1").await, &[]);
    assert_like("schema_violation", &server.send("GET /agents?limit=0").await, &[]);
    assert_like("agents_bad_sort", &server.send("GET /agents?sort=nope").await, &[]);
    assert_like("agents_bad_select", &server.send("GET /agents?select=nope").await, &[]);
    assert_like("agents_offset_overflow", &server.send("GET /agents?offset=99999999999999999999").await, &[]);
    assert_like("agents_list_empty", &server.send("GET /agents?offset=1000").await, &[]);
    assert_like("agents_bad_q_format", &server.send("GET /agents?q=id=1").await, &[]);
    assert_eq!(server.send("GET /agents?q=").await.status, 200);
    for query in [
        "agents_list=1",
        "agents_list=",
        "agents_list=001,",
        "limit=100001",
        "limit=-1",
        "offset=-1",
        "limit=1&limit=2",
        "status=gone",
        "status=",
        "older_than=1w",
        "group=all",
        "name=a/b",
        "search=",
        "search=a;b",
        "select=",
        "sort=",
        "distinct=1",
        "Limit=1",
        "pretty=yes",
        "select=os",
        "select=internal_key",
        "sort=internal_key",
        "sort=+id",
        "group_config_status=maybe",
        "%zz=1",
    ] {
        let answer = server.send(&format!("GET /agents?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn only_selected_fields_are_answered() {
    let server = Server::start().await;
    server.active("agent1", 1, "Wazuh v4.14.7").await;
    let answer = server.send("GET /agents?select=os.name,version&limit=1&offset=1").await;
    assert_like("agents_select", &answer, &[]);
    let expected = json!({"id": "001", "os": {"name": "Debian GNU/Linux"}, "version": "Wazuh v4.14.7"});
    assert_eq!(answer.items(), [expected]);
    let distinct = server.send("GET /agents?select=os.platform&distinct=true").await;
    assert_eq!(distinct.items(), [json!({"os": {"platform": "debian"}})]);
    assert_eq!(distinct.json()["data"]["total_affected_items"], 1);
    server.stop().await;
}

#[tokio::test]
async fn filters_search_and_sort_work_together_and_pages_do_not_overlap() {
    let server = Server::start().await;
    for (name, version) in
        [("web-1", "Wazuh v4.9.0"), ("web-2", "Wazuh v4.14.7"), ("db-1", "Wazuh v4.10.1"), ("DB-2", "Wazuh v3.13.2")]
    {
        server.active(name, 1, version).await;
    }
    server.silent("silent", 2).await;
    server.never_connected("never").await;
    server.group("databases").await;
    server.assign(AgentId::new(3), "databases").await;
    assert_eq!(ids(&server, "version=4.9.0").await, ["001"]);
    assert_eq!(ids(&server, "node_name=node02").await, ["005"]);
    assert_eq!(ids(&server, "node_name=unknown").await, ["006"]);
    assert_eq!(ids(&server, "group=databases").await, ["003"]);
    assert_eq!(ids(&server, "name=db-2").await, ["004"]);
    assert_eq!(ids(&server, "os.platform=Debian").await, ["001", "002", "003", "004"]);
    assert_eq!(ids(&server, "group_config_status=not%20synced").await, ["006"]);
    assert_eq!(ids(&server, "older_than=365d").await, Vec::<String>::new());
    assert_eq!(ids(&server, "search=DB-").await, ["003", "004"]);
    assert_eq!(ids(&server, "search=001").await, ["001"]);
    assert_eq!(ids(&server, "search=-web&status=active&name=silent").await, ["005"]);
    assert_eq!(ids(&server, "sort=version&offset=2").await, ["005", "006", "004", "001", "003", "002", "000"][2..]);
    assert_eq!(ids(&server, "sort=-version&limit=2").await, ["000", "002"]);
    assert_eq!(ids(&server, "sort=-id&limit=2").await, ["006", "005"]);
    assert_eq!(ids(&server, "sort=node_name,name&limit=3").await, ["004", "003", "000"]);
    let secret = server.replica.view().control.agents().get(AgentId::new(1)).unwrap().key.clone();
    assert_eq!(ids(&server, &format!("search={secret}")).await, Vec::<String>::new());
    let mut paged = Vec::new();
    for offset in 0..7 {
        paged.extend(ids(&server, &format!("sort=status&limit=1&offset={offset}")).await);
        assert_eq!(total(&server, &format!("sort=status&limit=1&offset={offset}")).await, 7);
    }
    assert_eq!(paged, ids(&server, "sort=status").await);
    paged.sort();
    paged.dedup();
    assert_eq!(paged.len(), 7);
    server.stop().await;
}

#[tokio::test]
async fn an_agent_is_registered_once_under_one_name_and_address() {
    let server = Server::start().await;
    let created = server.send_json("POST /agents", json!({"name": "sample1"})).await;
    assert_like("agent_create", &created, &[]);
    let key = server.send("GET /agents/001/key").await;
    assert_like("agent_key", &key, &[]);
    assert_eq!(key.items()[0]["key"], created.json()["data"]["key"]);
    let again = server.send_json("POST /agents", json!({"name": "sample1"})).await;
    assert_like("agent_create_duplicate_name", &again, &[]);
    let bad = server.send_json("POST /agents", json!({"name": "sample2", "ip": "bad"})).await;
    assert_like("agent_create_bad_ip", &bad, &[]);
    let long = server.send_json("POST /agents", json!({"name": "x".repeat(129)})).await;
    assert_eq!((long.status.as_u16(), long.error()), (400, 1738));
    for (name, ip, status) in [
        ("ipv6", "2001:db8::1", 200),
        ("ipv6-again", "2001:0DB8:0::1", 400),
        ("network", "10.0.0.0/8", 200),
        ("network-again", "10.0.0.0/8", 400),
        ("host-bits", "10.0.0.1/8", 400),
        ("any-1", "ANY", 200),
        ("any-2", "any", 200),
        ("node01", "any", 400),
        ("empty", "", 400),
        ("with space", "any", 400),
    ] {
        let answer = server.send_json("POST /agents", json!({"name": name, "ip": ip})).await;
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn force_replaces_an_agent_that_may_be_replaced() {
    let server = Server::start().await;
    server.never_connected("agent1").await;
    let forced = |after: Value| json!({"name": "agent1", "force": {"after_registration_time": after}});
    assert_eq!(server.send_json("POST /agents", forced(json!("1h"))).await.error(), 1705);
    let replaced = server.send_json("POST /agents", forced(json!(0))).await;
    assert_eq!(replaced.json()["data"]["id"], "002", "{replaced:?}");
    assert_eq!(ids(&server, "name=agent1").await, ["002"]);
    server.open(AgentId::new(2), 1, true).await;
    assert_eq!(server.send_json("POST /agents", forced(json!("0"))).await.error(), 1705);
    server.stop().await;
}

#[tokio::test]
async fn removal_tells_each_listed_agent_that_stays() {
    let server = Server::start().await;
    server.never_connected("agent1").await;
    assert_like("agents_delete_missing_parameter", &server.send("DELETE /agents?agents_list=001").await, &[]);
    assert_eq!(server.send("DELETE /agents?status=all").await.status, 400);
    let young = server.send("DELETE /agents?agents_list=001&status=all").await;
    assert_like("agents_delete_not_eligible", &young, &[]);
    let nobody = server.send("DELETE /agents?agents_list=all&status=never_connected&name=nobody").await;
    assert_like("agents_delete_implicit_none", &nobody, &[]);
    let other = server.send("DELETE /agents?agents_list=001,9999&status=all&older_than=0s&name=nobody").await;
    assert_eq!(other.failed(), [(1701, vec!["9999".to_owned()]), (1731, vec!["001".to_owned()])]);
    let wrong_status = server.send("DELETE /agents?agents_list=001&status=active&older_than=0s").await;
    assert_eq!(wrong_status.failed(), [(1731, vec!["001".to_owned()])]);
    let partial = server.send("DELETE /agents?agents_list=000,9999,001&status=all&older_than=0s").await;
    assert_like("agents_delete_partial", &partial, &[]);
    assert_eq!(ids(&server, "").await, ["000"]);
    assert_eq!(server.never_connected("agent1").await, AgentId::new(2));
    server.stop().await;
}

#[tokio::test]
async fn removal_of_all_hides_what_stays() {
    let server = Server::start().await;
    server.active("agent1", 1, "Wazuh v4.14.7").await;
    server.never_connected("agent2").await;
    server.never_connected("agent3").await;
    let answer =
        server.send("DELETE /agents?agents_list=all,9999&status=never_connected&older_than=0s&name=agent2").await;
    assert_eq!((answer.items(), answer.error()), (vec![json!("002")], 0));
    let answer = server.send("DELETE /agents?agents_list=all&status=never_connected&older_than=0s&purge=true").await;
    assert_eq!((answer.items(), answer.error()), (vec![json!("003")], 0));
    assert_eq!(ids(&server, "").await, ["000", "001"]);
    server.stop().await;
}

#[tokio::test]
async fn the_key_of_the_manager_and_of_nobody_is_not_told() {
    let server = Server::start().await;
    assert_like("agent_key_000", &server.send("GET /agents/000/key").await, &[]);
    assert_eq!(server.send("GET /agents/999/key").await.failed(), [(1701, vec!["999".to_owned()])]);
    assert_eq!(server.send("GET /agents/1/key").await.status, 400);
    server.stop().await;
}
