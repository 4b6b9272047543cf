//! Restart and reconnect, and what proves them (agent protocol, section 4.7).

use muster_control::{CommandKind, Reason, Stage};
use muster_gateway::codec::{FromAgent, Startup, ToAgent};

use tokio::time::Instant;

use super::support::{Agent, PATIENCE, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_proven_by_agent_started() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    let number = agent.expect_restart().await;
    site.until_stage(id, command, Stage::Sent).await;
    agent.answer(&number, b"ok ").await;
    site.until_stage(id, command, Stage::Acknowledged).await;
    agent.shutdown().await;
    agent.expect_close().await;
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    agent.started().await;
    let delivery = site.until_stage(id, command, Stage::Confirmed).await;
    // The startup after the shutdown proves it a moment before the event does.
    assert_eq!(delivery.reason, Some(Reason::ShutdownThenStartup));
    assert_eq!(delivery.attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_started_alone_proves_a_restart_after_a_hard_kill() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    agent.expect_restart().await;
    let mut agent = site.reconnect(agent).await;
    // Startup and event in one segment: the event is there before the session is.
    let startup = agent.frame(&FromAgent::Startup(Startup::Silent));
    tokio::io::AsyncWriteExt::write_all(agent.stream(), &startup).await.unwrap();
    agent.started().await;
    agent.expect_ack().await;
    let delivery = site.until_stage(id, command, Stage::Confirmed).await;
    assert_eq!(delivery.reason, Some(Reason::Started));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mere_reconnect_proves_nothing_and_the_state_of_a_new_process_does() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    agent.expect_restart().await;
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    let question = agent.expect_request("agent", "getstate").await;
    agent.answer_state(&question, true).await;
    agent.keepalive().await;
    assert_eq!(site.delivery(id, command).stage, Stage::Sent);
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    let question = agent.expect_request("agent", "getstate").await;
    agent.answer_state(&question, false).await;
    let delivery = site.until_stage(id, command, Stage::Confirmed).await;
    assert_eq!(delivery.reason, Some(Reason::NewProcess));
}

#[tokio::test(flavor = "multi_thread")]
async fn ok_alone_stays_acknowledged() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    let number = agent.expect_restart().await;
    agent.answer(&number, b"ok ").await;
    site.until_stage(id, command, Stage::Acknowledged).await;
    agent.keepalive().await;
    agent.keepalive().await;
    let delivery = site.delivery(id, command);
    assert_eq!((delivery.stage, delivery.attempts), (Stage::Acknowledged, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_restart_is_sent_again_under_another_number() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    let first = agent.expect_restart().await;
    agent.answer(&first, b"err Connection refused").await;
    let delivery = site.until_stage(id, command, Stage::Queued).await;
    assert!(matches!(delivery.reason, Some(Reason::Refused(text)) if text.as_str() == "Connection refused"));
    let second = agent.expect_restart().await;
    assert_ne!(first, second);
    let delivery = site.until_stage(id, command, Stage::Sent).await;
    assert_eq!(delivery.attempts, 2);
    agent.answer(&second, b"ok ").await;
    site.until_stage(id, command, Stage::Acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_from_a_later_connection_even_on_another_node() {
    let site = Site::start_with(3, 2, |_| {}).await;
    let mut agent = site.active("web-01").await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    let number = agent.expect_restart().await;
    // Only a startup that came after the sending can prove it, and the other node has to know of the sending to tell.
    let here = site.replica().view().index;
    site.replicas.node(2).view_at(here, Instant::now() + PATIENCE).await.unwrap();
    let mut agent = Agent::connect(site.gateway(2).channel_address(), &agent.identity).await;
    // The answer may even stand in front of the startup.
    agent.answer(&number, b"ok ").await;
    agent.startup().await;
    site.until_stage(id, command, Stage::Acknowledged).await;
    agent.started().await;
    let delivery = site.until_stage(id, command, Stage::Confirmed).await;
    assert_eq!(delivery.reason, Some(Reason::Started));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_for_an_agent_that_is_away_is_sent_when_it_comes_back_and_behind_the_ack() {
    let site = Site::start().await;
    let agent = site.active("web-01").await;
    let id = agent.id();
    let address = site.gateway(1).channel_address();
    let identity = agent.identity.clone();
    drop(agent);
    site.until_count("muster_agent_connections_closed_total{cause=\"by_peer\"}", 1).await;
    let command = site.issue(CommandKind::Restart, id).await;
    assert_eq!(site.delivery(id, command).stage, Stage::Queued);
    let mut agent = Agent::connect(address, &identity).await;
    agent.startup().await;
    agent.expect_restart().await;
    assert_eq!(site.until_stage(id, command, Stage::Sent).await.attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_is_proven_by_the_next_startup() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Reconnect, agent.id()).await);
    let payload = agent.hear().await.unwrap();
    assert_eq!(ToAgent::decode(&payload), ToAgent::ForceReconnect);
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    let delivery = site.until_stage(id, command, Stage::Confirmed).await;
    assert_eq!(delivery.reason, Some(Reason::Reconnected));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_restart_waits_until_the_one_before_is_settled() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let id = agent.id();
    let first = site.issue(CommandKind::Restart, id).await;
    agent.expect_restart().await;
    let second = site.issue(CommandKind::Restart, id).await;
    let third = site.issue(CommandKind::Restart, id).await;
    agent.keepalive().await;
    assert_eq!(site.delivery(id, second).stage, Stage::Queued);
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    agent.expect_request("agent", "getstate").await;
    agent.started().await;
    site.until_stage(id, first, Stage::Confirmed).await;
    agent.expect_restart().await;
    for command in [second, third] {
        site.until_stage(id, command, Stage::Sent).await;
    }
}
