//! Groups and who is in them.

use muster_control::AgentId;
use serde_json::json;

use crate::sample::assert_like;
use crate::server::Server;

async fn groups_of(server: &Server, agent: AgentId) -> serde_json::Value {
    server.send(&format!("GET /agents?agents_list={agent}&select=group")).await.items()[0]["group"].clone()
}

#[tokio::test]
async fn a_group_is_created_once_and_never_under_a_reserved_name() {
    let server = Server::start().await;
    let create = async |name: &str| server.send_json("POST /groups", json!({"group_id": name})).await;
    assert_like("group_create", &create("sg1").await, &[]);
    assert_like("group_create_exists", &create("sg1").await, &[]);
    assert_like("group_create_reserved", &create("ar.conf").await, &[]);
    assert_eq!(create("DEFAULT").await.error(), 1711);
    for name in ["AR.conf", "SG1", "-dash"] {
        assert_eq!(create(name).await.status, 200, "{name}");
    }
    for name in ["", "all", ".", "..", "a b", "a/b", &"x".repeat(129)] {
        assert_eq!(create(name).await.status, 400, "{name}");
    }
    let unknown = server.send_json("POST /groups", json!({"group_id": "x", "foo": 1})).await;
    assert_like("body_unknown_field", &unknown, &[]);
    server.stop().await;
}

#[tokio::test]
async fn groups_are_listed_with_their_members_counted() {
    let server = Server::start().await;
    server.group("g1").await;
    server.group("Empty").await;
    let agent = server.never_connected("agent1").await;
    server.assign(agent, "g1").await;
    let list = server.send("GET /groups").await;
    assert_like("groups_list", &list, &[]);
    let expected = [("default", 0), ("Empty", 0), ("g1", 1)].map(|(name, count)| json!({"name": name, "count": count}));
    assert_eq!(list.items(), expected);
    assert_like("groups_explicit_partial", &server.send("GET /groups?groups_list=g1,nope").await, &[]);
    assert_eq!(server.send("GET /groups?sort=-count&limit=1&hash=sha256").await.items(), [expected[2].clone()]);
    assert_eq!(server.send("GET /groups?search=EMPTY&select=count").await.items(), [expected[1].clone()]);
    for query in ["hash=crc32", "sort=id", "select=id", "groups_list=all", "q=name=g1", "nope=1"] {
        assert_eq!(server.send(&format!("GET /groups?{query}")).await.status, 400, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn removed_groups_are_left_by_their_members() {
    let server = Server::start().await;
    for name in ["sg1", "sg2", "sg0"] {
        server.group(name).await;
    }
    let agent = server.never_connected("agent1").await;
    server.assign(agent, "sg1").await;
    let partial = server.send("DELETE /groups?groups_list=sg1,nope,default").await;
    assert_like("groups_delete_partial", &partial, &[]);
    assert_eq!(groups_of(&server, agent).await, json!(["default"]));
    assert_eq!(server.send("DELETE /groups").await.status, 400);
    let in_order = server.send("DELETE /groups?groups_list=sg2,sg0").await;
    assert_eq!(in_order.items(), [json!("sg2"), json!("sg0")]);
    let all = server.send("DELETE /groups?groups_list=all").await;
    assert_eq!((all.items().len(), all.error()), (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn members_of_a_group_are_listed() {
    let server = Server::start().await;
    server.group("g1").await;
    let gone = server.disconnected("agent1", 1).await;
    server.assign(gone, "g1").await;
    let there = server.silent("agent2", 1).await;
    server.assign(there, "g1").await;
    assert_like("group_agents", &server.send("GET /groups/g1/agents?limit=1").await, &[]);
    assert_like("group_agents_unknown", &server.send("GET /groups/nope/agents").await, &[]);
    let active = server.send("GET /groups/g1/agents?status=active&select=name").await;
    assert_eq!(active.items(), [json!({"id": "002", "name": "agent2"})]);
    assert_eq!(server.send("GET /groups/g1/agents?name=agent2").await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn agents_are_assigned_alone_or_in_bulk() {
    let server = Server::start().await;
    server.group("g1").await;
    server.group("g2").await;
    let one = server.never_connected("agent1").await;
    let two = server.silent("agent2", 1).await;
    assert_like("group_assign_one", &server.send("PUT /agents/001/group/g2").await, &[]);
    assert_like("group_assign_again", &server.send("PUT /agents/001/group/g2").await, &[]);
    assert_like("group_assign_unknown_group", &server.send("PUT /agents/001/group/nope").await, &[]);
    let partial = server.send("PUT /agents/group?group_id=g2&agents_list=002,000,9999").await;
    assert_like("group_assign_partial", &partial, &[]);
    assert_eq!(groups_of(&server, one).await, json!(["g2"]));
    let all = server.send("PUT /agents/group?group_id=g2").await;
    assert_eq!((all.items().len(), all.error()), (0, 0), "all are members, and nobody is told");
    server.assign(two, "g1").await;
    let single = server.send("PUT /agents/002/group/g2?force_single_group=true").await;
    assert_eq!(single.items(), [json!("002")]);
    assert_eq!(groups_of(&server, two).await, json!(["g2"]));
    for line in ["PUT /agents/group", "PUT /agents/group?group_id=all", "PUT /agents/group?group_id=g2&agents_list=all"]
    {
        assert_eq!(server.send(line).await.status, 400, "{line}");
    }
    let beyond = server.send("PUT /agents/group?group_id=nope&agents_list=99999999999").await;
    assert_eq!((beyond.status.as_u16(), beyond.error()), (404, 1710));
    server.stop().await;
}

#[tokio::test]
async fn agents_leave_groups_alone_or_in_bulk_and_fall_back_to_default() {
    let server = Server::start().await;
    server.group("g1").await;
    server.group("g2").await;
    for name in ["agent1", "agent2"] {
        let agent = server.never_connected(name).await;
        server.assign(agent, "g2").await;
    }
    server.assign(AgentId::new(1), "g1").await;
    let list = server.send("DELETE /agents/group?group_id=g1&agents_list=001,002").await;
    assert_like("group_unassign_list", &list, &[]);
    let last = server.send("DELETE /agents/001/group/g2").await;
    assert_like("group_unassign_one", &last, &[]);
    assert_eq!(last.json()["message"], "Agent '001' removed from 'g2'. Agent reassigned to group default.");
    assert_eq!(groups_of(&server, AgentId::new(1)).await, json!(["default"]));
    assert_like("group_unassign_only_default", &server.send("DELETE /agents/001/group/default").await, &[]);
    server.assign(AgentId::new(1), "g1").await;
    let not_last = server.send("DELETE /agents/001/group/g1").await;
    assert_eq!(not_last.json()["message"], "Agent '001' removed from 'g1'.");
    for (path, status, error) in [
        ("001/group/g1", 400, 1734),
        ("001/group/nope", 404, 1710),
        ("999/group/g1", 404, 1701),
        ("99999999999/group/g1", 404, 1701),
        ("000/group/g1", 400, 1703),
        ("000/group", 400, 1703),
        ("999/group", 404, 1701),
    ] {
        let answer = server.send(&format!("DELETE /agents/{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.error()), (status, error), "{path}: {answer:?}");
    }
    let unknown = server.send("DELETE /agents/group?group_id=nope&agents_list=001").await;
    assert_eq!((unknown.status.as_u16(), unknown.error()), (404, 1710));
    assert_eq!(server.send("DELETE /agents/group?group_id=g1").await.status, 400);
    let only = server.send("DELETE /agents/group?group_id=default&agents_list=all").await;
    assert_eq!(only.failed(), [(1745, vec!["001".to_owned()])], "1745 is told, 1734 is not");
    server.stop().await;
}

#[tokio::test]
async fn an_agent_leaves_some_or_all_of_its_groups() {
    let server = Server::start().await;
    for group in ["g1", "g2", "g3"] {
        server.group(group).await;
    }
    let agent = server.never_connected("agent1").await;
    server.assign(agent, "g2").await;
    assert_like("group_unassign_agent_all", &server.send("DELETE /agents/001/group?groups_list=g1,nope").await, &[]);
    server.assign(agent, "g3").await;
    let all = server.send("DELETE /agents/001/group").await;
    assert_eq!((all.items(), all.error()), (vec![json!("g2"), json!("g3")], 0));
    assert_eq!(groups_of(&server, agent).await, json!(["default"]));
    let nothing = server.send("DELETE /agents/001/group").await;
    assert_eq!((nothing.items().len(), nothing.error()), (0, 0));
    server.stop().await;
}
