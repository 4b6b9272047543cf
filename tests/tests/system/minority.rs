//! A node without the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_node::simulate::{Agent, AgentConfig, Count, Pace};
use muster_tests::{Answer, Api, Cluster, NoAnswer, QUICK, Settings, Turn, enroll, until};
use serde_json::json;

use crate::PROGRAM;

const DEADLINE: Duration = Duration::from_secs(30);

/// More than a node has to say about peers that do not answer for half a minute; it says it to an operator.
const WORDS: usize = 1_000;

/// `api.request_timeout`, and what an answer may take on top of it.
const REQUEST_TIMEOUT: &str = "2s";
const LATEST: Duration = Duration::from_millis(3_500);

/// Status and node of an agent.
async fn seen(api: &Api, agent: &Agent) -> Result<(String, String), String> {
    let path = format!("/agents?agents_list={}&select=status,node_name", agent.identity().id);
    let answer = api.get(&path).await.map_err(|error| format!("{error:?}"))?;
    let item = &answer.body["data"]["affected_items"][0];
    match (item["status"].as_str(), item["node_name"].as_str()) {
        (Some(status), Some(node)) => Ok((status.to_owned(), node.to_owned())),
        _ => Err(format!("{answer:?}")),
    }
}

async fn active(api: &Api, agent: &Agent, node: &str) {
    until("the agent is active on its node", DEADLINE, async || {
        let seen = seen(api, agent).await?;
        if seen == ("active".to_owned(), node.to_owned()) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

/// The answer has to be the problem that says that nothing was done, in time.
async fn refused(kind: &str, asked: impl Future<Output = Result<Answer, NoAnswer>>) {
    let began = Instant::now();
    let answer = asked.await.expect("the node answers");
    let elapsed = began.elapsed();
    assert!(answer.is_problem(503, kind), "{answer:?}");
    assert_eq!(answer.body["retry"], "later", "nothing was done: {answer:?}");
    assert!(elapsed < LATEST, "answered after {elapsed:?}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_node_refuses_what_needs_the_others_and_keeps_its_agents() {
    let _turn = Turn::shared().await;
    let settings = Settings::new().with("api.request_timeout", REQUEST_TIMEOUT);
    let mut cluster = Cluster::start(PROGRAM, settings).await;
    let mut identities = enroll(&cluster, "island", 5).await;
    // The leader stays behind: it has to notice that it leads nobody.
    let (alone, _) = cluster.leader().await;
    let place = cluster.node(alone).place().clone();
    let pace = Pace { notify: Duration::from_millis(500), ..QUICK };
    let config = Arc::new(AgentConfig { pace, ..AgentConfig::new(vec![place.channel.to_string()]) });
    let newcomer = identities.pop().expect("five were enrolled");
    let agents: Vec<Agent> =
        identities.into_iter().map(|identity| Agent::start(config.clone(), identity, 0, None)).collect();
    for agent in &agents {
        active(cluster.api(alone), agent, &place.name()).await;
    }
    for other in (0..3).filter(|number| *number != alone) {
        cluster.node_mut(other).kill().await;
    }
    let api = cluster.api(alone).clone();
    let reason = until("the node knows that it is alone", DEADLINE, async || {
        let answer = api.probe("/readyz").await.map_err(|error| format!("{error:?}"))?;
        if answer.status == 503 { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert!(reason.body["detail"].as_str().is_some_and(|detail| detail.contains("no leader")), "{reason:?}");

    // Without the others: writes, commands and linearizable reads are refused in time, stale reads are not.
    refused("/problems/unavailable", api.get("/agents")).await;
    refused("/problems/unavailable", api.get("/v1/commands")).await;
    refused("/problems/not-applied", api.post("/groups", json!({ "group_id": "nobody" }))).await;
    refused("/problems/not-applied", api.put("/agents/restart")).await;
    let stale = api.stale().get("/agents?select=id").await.expect("the node answers");
    let index = stale.index.expect("an answer tells its index");
    assert_eq!(stale.items().len(), 6, "five agents and the manager");

    // Agents that were there are acked on, one that comes is acked, and neither makes a session.
    let newcomer = Agent::start(config.clone(), newcomer, 0, None);
    let mut watched: Vec<(&Agent, u64)> = agents.iter().map(|agent| (agent, 0)).collect();
    watched.push((&newcomer, 0));
    watched.iter_mut().for_each(|(agent, acks)| *acks = agent.stats().get(Count::Acks));
    for (agent, before) in &watched {
        let enough = agent.stats().until(|stats| stats.get(Count::Acks) >= before + 4);
        let acked = tokio::time::timeout(DEADLINE, enough).await;
        assert!(acked.is_ok(), "{} is not acked any more: {:?}", agent.identity().id, agent.stats());
    }
    assert!(agents.iter().all(|agent| agent.stats().get(Count::Ended) == 0), "no agent lost its connection");
    let still = seen(&api.stale(), &newcomer).await.expect("the node answers");
    assert_eq!(still.0, "never_connected", "no session without a quorum");
    let after = api.stale().get("/agents?select=id").await.expect("the node answers").index;
    assert_eq!(after, Some(index), "nothing was applied");
    let words = cluster.node(alone).log().lines().count();
    assert!(words < WORDS, "{words} lines in the log of a node that is alone");

    for other in (0..3).filter(|number| *number != alone) {
        cluster.node_mut(other).start();
    }
    cluster.ready().await;
    for agent in agents.iter().chain([&newcomer]) {
        for number in 0..3 {
            active(cluster.api(number), agent, &place.name()).await;
        }
        assert_eq!(agent.stats().get(Count::Ended), 0, "{} kept its connection", agent.identity().id);
    }
    let groups = cluster.api(alone).texts("/groups", "name").await;
    assert!(!groups.contains("nobody"), "what was refused was not done: {groups:?}");
    cluster.agree().await;
}
