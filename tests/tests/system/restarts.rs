//! Restarts that meet a fault, a crowd, or an agent that says little.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_gateway::codec::ClientKeyLine;
use muster_node::simulate::{Agent, AgentConfig, Count, Pace};
use muster_tests::{Api, Cluster, Delivery, QUICK, Settings, Turn, enroll, until};
use tokio::time::timeout;

use crate::PROGRAM;

const DEADLINE: Duration = Duration::from_secs(30);

/// An agent that knows one node only, once that node has a session of it.
async fn agent_of(
    cluster: &Cluster,
    node: usize,
    identity: ClientKeyLine,
    change: impl FnOnce(&mut AgentConfig),
) -> Agent {
    let servers = vec![cluster.node(node).place().channel.to_string()];
    let mut config = AgentConfig { pace: QUICK, ..AgentConfig::new(servers) };
    change(&mut config);
    let agent = Agent::start(Arc::new(config), identity, 0, None);
    active(cluster.api(node), &agent).await;
    agent
}

async fn active(api: &Api, agent: &Agent) {
    until("the agent is active", DEADLINE, async || {
        let path = format!("/agents?agents_list={}&select=status", agent.identity().id);
        let answer = api.get(&path).await.map_err(|error| format!("{error:?}"))?;
        let status = &answer.body["data"]["affected_items"][0]["status"];
        if status == "active" { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

/// The one delivery of a command, once it is at its end.
async fn end_of(api: &Api, command: u64) -> Delivery {
    until("the delivery comes to its end", Duration::from_secs(180), async || {
        let mut deliveries = api.deliveries(command).await;
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        let delivery = deliveries.remove(0);
        if delivery.is_final() { Ok(delivery) } else { Err(format!("{delivery:?}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_accepted_a_moment_before_the_leader_dies_is_delivered_by_the_next() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let identity = enroll(&cluster, "heir", 1).await.remove(0);
    let (leader, term) = cluster.leader().await;
    let (owner, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let agent = agent_of(&cluster, owner, identity, |_| ()).await;

    // The owner stands still, so that nothing of the command can have happened when its leader is gone.
    cluster.node(owner).pause().await;
    let answer = cluster.api(leader).put(&format!("/agents/{}/restart", agent.identity().id)).await;
    cluster.node_mut(leader).kill().await;
    cluster.node(owner).resume().await;
    let answer = answer.expect("the leader answers");
    let command = answer.command.unwrap_or_else(|| panic!("{answer:?}"));
    answer.success();
    let (next, later) = cluster.leader().await;
    assert!(next != leader && later > term, "another node leads: {next} in {later}, {leader} in {term}");

    let delivery = end_of(cluster.api(other), command).await;
    assert_eq!((&*delivery.stage, delivery.attempts), ("confirmed", 1), "{delivery:?}");
    let stats = agent.stats();
    assert_eq!((stats.get(Count::RestartsReceived), stats.get(Count::RestartsDone)), (1, 1));

    cluster.node_mut(leader).start();
    cluster.ready().await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_restarts_of_one_agent_within_a_second_restart_it_once_or_twice() {
    let _turn = Turn::shared().await;
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let identity = enroll(&cluster, "crowd", 1).await.remove(0);
    // It takes longer to begin than the commands take to come: one that is gone already is not restarted.
    let agent = agent_of(&cluster, 0, identity, |config| config.pace.reaction = Duration::from_millis(1_500)).await;
    let path = format!("/agents/{}/restart", agent.identity().id);

    let began = Instant::now();
    let asked = (0..10).map(|number| {
        let (api, path) = (cluster.api(number % 3).clone(), path.clone());
        tokio::spawn(async move { api.put(&path).await.expect("the node answers") })
    });
    let answers = futures_util::future::join_all(asked).await;
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(1), "a run in which they took {elapsed:?} proves nothing");

    let mut commands = Vec::new();
    for answer in answers {
        let answer = answer.expect("asking does not panic");
        commands.push(answer.command.unwrap_or_else(|| panic!("{answer:?}")));
        answer.success();
    }
    for command in commands {
        let delivery = end_of(cluster.api(1), command).await;
        assert_eq!(delivery.stage, "confirmed", "the agent obeys: {delivery:?}");
        assert!(delivery.reason.is_some(), "{delivery:?}");
    }
    let stats = agent.stats();
    let done = stats.until(|stats| stats.get(Count::RestartsDone) == stats.get(Count::RestartsReceived));
    timeout(DEADLINE, done).await.expect("the agent carries out each restart");
    let restarts = stats.get(Count::RestartsReceived);
    assert!((1..=2).contains(&restarts), "restarted {restarts} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_agent_that_never_told_a_version_is_restarted_like_any_other() {
    let _turn = Turn::shared().await;
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let identity = enroll(&cluster, "silent", 1).await.remove(0);
    let agent = agent_of(&cluster, 0, identity, |config| {
        config.version = None;
        config.pace = Pace { notify: Duration::from_secs(3_600), silence: Duration::from_secs(7_200), ..QUICK };
    })
    .await;
    let listed = cluster.api(1).get(&format!("/agents?agents_list={}", agent.identity().id)).await;
    let listed = listed.expect("the node answers").items().remove(0);
    assert!(listed["version"].is_null(), "a run in which it told a version proves nothing: {listed}");
    assert_eq!(agent.stats().get(Count::Keepalives), 0);

    // With the whole fleet, where a record without a version spoiled everything once.
    let answer = cluster.api(2).put("/agents/restart").await.expect("the node answers");
    let command = answer.command.unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(answer.items(), [agent.identity().id.as_str()]);
    let delivery = end_of(cluster.api(1), command).await;
    assert_eq!((&*delivery.stage, delivery.attempts), ("confirmed", 1), "{delivery:?}");
    assert_eq!(agent.stats().get(Count::RestartsReceived), 1);
}
