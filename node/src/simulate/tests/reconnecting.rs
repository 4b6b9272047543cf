//! Handshakes, reconnects, keepalives and failover (agent protocol, sections 4.2 to 4.5).

use std::time::Duration;

use muster_gateway::codec::{FromAgent, Keepalive, ToAgent};

use crate::simulate::testing::{FakeManager, QUICK, config, identity, number, within};
use crate::simulate::{Agent, Count, Pace};

#[tokio::test]
async fn nothing_but_an_ack_is_taken_as_the_first_frame() {
    let manager = FakeManager::start().await;
    let agent = Agent::start(config(&[&manager], QUICK), identity(), 0, None);
    for wrong in [ToAgent::refused_as_too_new(), ToAgent::ForceReconnect, ToAgent::Other(b"#!-agent ack")] {
        let mut peer = manager.accept().await;
        assert!(matches!(FromAgent::decode(&peer.receive().await.unwrap()), FromAgent::Startup(_)));
        peer.send(&wrong).await;
        peer.send(&ToAgent::Ack).await;
        peer.expect_close().await;
    }
    manager.new_process().await;
    assert_eq!(agent.stats().get(Count::HandshakeFailures), 3);
    assert_eq!(agent.stats().get(Count::Acks), 1);
}

#[tokio::test]
async fn a_reconnect_on_command_brings_neither_shutdown_nor_started() {
    let manager = FakeManager::start().await;
    let agent = Agent::start(config(&[&manager], QUICK), identity(), 0, None);
    let mut peer = manager.new_process().await;
    peer.send(&ToAgent::ForceReconnect).await;
    peer.expect_close().await;
    let mut peer = manager.session().await;
    assert!(peer.ask(ToAgent::state_query(number("q1"))).await.starts_with(b"{"));
    assert_eq!(agent.stats().get(Count::ReconnectsReceived), 1);
    assert_eq!(agent.stats().get(Count::StartedEvents), 1);
    assert_eq!(agent.stats().get(Count::ClosedByManager), 0);
}

#[tokio::test]
async fn a_lost_connection_is_replaced_at_once() {
    let manager = FakeManager::start().await;
    let pace = Pace { retry: Duration::from_secs(3_600), ..QUICK };
    let agent = Agent::start(config(&[&manager], pace), identity(), 0, None);
    drop(manager.new_process().await);
    manager.session().await;
    assert_eq!(agent.stats().get(Count::ClosedByManager), 1);
}

#[tokio::test]
async fn keepalives_follow_the_clock_of_the_process() {
    let manager = FakeManager::start().await;
    let pace = Pace { notify: Duration::from_millis(40), ..QUICK };
    let agent = Agent::start(config(&[&manager], pace), identity(), 0, None);
    let mut peer = manager.new_process().await;
    for _ in 0..2 {
        let payload = peer.receive().await.unwrap();
        let FromAgent::Keepalive(body) = FromAgent::decode(&payload) else { panic!("a keepalive") };
        let keepalive = Keepalive::parse(body).unwrap();
        assert_eq!(keepalive.version.as_deref(), Some("Wazuh v4.14.7"));
        assert_eq!(keepalive.agent_ip.as_deref(), Some("127.0.0.1"));
        peer.send(&ToAgent::Ack).await;
    }
    // No connection lives for a whole period any more: if each had its own clock, no keepalive would come again.
    peer.send(&ToAgent::ForceReconnect).await;
    while peer.receive().await.is_some() {}
    loop {
        let mut peer = manager.session().await;
        peer.send(&ToAgent::ForceReconnect).await;
        if let Some(payload) = peer.receive().await {
            assert!(matches!(FromAgent::decode(&payload), FromAgent::Keepalive(_)));
            break;
        }
    }
    assert_eq!(agent.stats().get(Count::StartedEvents), 1);
}

#[tokio::test]
async fn a_silent_manager_is_left_for_a_new_connection() {
    let manager = FakeManager::start().await;
    let pace = Pace { notify: Duration::from_millis(20), silence: Duration::from_millis(50), ..QUICK };
    let agent = Agent::start(config(&[&manager], pace), identity(), 0, None);
    let mut silent = manager.new_process().await;
    manager.session().await;
    while silent.receive().await.is_some() {}
    assert!(agent.stats().get(Count::Silences) >= 1);
}

#[tokio::test]
async fn the_next_server_is_tried_after_the_attempts_and_the_first_one_after_a_restart() {
    let (first, second) = (FakeManager::start().await, FakeManager::start().await);
    let agent = Agent::start(config(&[&first, &second], QUICK), identity(), 0, None);
    drop(first.new_process().await);
    for _ in 0..QUICK.attempts {
        drop(first.accept().await);
    }
    let mut peer = second.session().await;
    within(agent.stats().until(|stats| stats.server() == Some(1))).await;
    peer.ask(ToAgent::restart(number("a1"))).await;
    peer.expect_shutdown().await;
    first.new_process().await;
    assert_eq!(agent.stats().get(Count::HandshakeFailures), u64::from(QUICK.attempts));
}

#[tokio::test]
async fn a_moved_agent_leaves_without_a_word_and_starts_up_elsewhere() {
    let (first, second) = (FakeManager::start().await, FakeManager::start().await);
    let agent = Agent::start(config(&[&first, &second], QUICK), identity(), 0, None);
    let mut peer = first.new_process().await;
    agent.move_to(1);
    peer.expect_close().await;
    let mut peer = second.session().await;
    peer.ask(ToAgent::state_query(number("q1"))).await;
    assert_eq!(agent.stats().server(), Some(1));
    assert_eq!((agent.stats().get(Count::Moves), agent.stats().get(Count::StartedEvents)), (1, 1));
}

#[tokio::test]
async fn a_dropped_agent_is_gone_without_a_shutdown() {
    let manager = FakeManager::start().await;
    let agent = Agent::start(config(&[&manager], QUICK), identity(), 0, None);
    let mut peer = manager.new_process().await;
    let stats = agent.stats().clone();
    drop(agent);
    peer.expect_close().await;
    within(stats.until(|stats| stats.online() == 0)).await;
}
