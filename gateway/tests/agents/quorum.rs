//! A node that lost its quorum: agents stay acked, nothing else happens until it is back.

use std::time::Duration;

use muster_control::{Status, StatusCode};
use muster_gateway::codec::enrollment::Answer;
use muster_gateway::codec::{FromAgent, Startup};
use tokio::time::Instant;

use super::support::{Agent, Site};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_agents_are_acked_and_requests_are_refused_quickly() {
    let mut site = Site::start_with(3, 1, |config| config.sessions.commit_within = Duration::from_millis(500)).await;
    let mut connected = site.active("web-01").await;
    let identity = site.enroll("web-02").await;
    site.replicas.stop(2).await;
    site.replicas.stop(3).await;

    connected.keepalive().await;
    let mut late = Agent::connect(site.gateway(1).channel_address(), &identity).await;
    late.startup().await;
    late.keepalive().await;
    let asked = Instant::now();
    let answer = site.request(1, "OSSEC A:'web-03'\n").await;
    assert!(matches!(answer, Some(Answer::Refused(_))), "{answer:?}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let mut stranger = identity.clone();
    stranger.id = "999".into();
    let mut stranger = Agent::connect(site.gateway(1).channel_address(), &stranger).await;
    stranger.say(&FromAgent::Startup(Startup::Silent)).await;
    stranger.expect_close().await;
    site.until_count("muster_agent_connections_closed_total{cause=\"cannot_tell\"}", 1).await;
    let record = site.replica().view().control.agents().get(late.id()).unwrap().clone();
    assert_eq!((record.status, record.status_code), (Status::NeverConnected, StatusCode::None));

    site.replicas.restart(2).await;
    site.until_agent(late.id(), "its session is opened", |agent| agent.status == Status::Active).await;
    late.keepalive().await;
    connected.keepalive().await;
}
