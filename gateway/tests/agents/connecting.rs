//! The secure channel: from the startup to the end of a session.

use std::time::Duration;

use muster_control::{AgentSet, Change, CommandKind, Millis, RemoveAgents, Status, StatusCode};
use muster_gateway::codec::{FromAgent, Method, Startup, ToAgent};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::support::{Agent, Dialect, Site, Transport};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_acked_then_pending_then_active_by_its_first_message() {
    let site = Site::start().await;
    let identity = site.enroll("web-01").await;
    let mut agent = Agent::connect(site.gateway(1).channel_address(), &identity).await;
    agent.startup().await;
    let pending = site.until_agent(agent.id(), "it is pending", |agent| agent.status == Status::Pending).await;
    assert_eq!(pending.session_node(), Some(site.replica().node_id()));
    assert_eq!(pending.report.version.as_ref().unwrap().as_str(), "Wazuh v4.14.7");
    agent.event(b"wazuh-agent:whatever it is").await;
    site.until_agent(agent.id(), "it is active", |agent| agent.status == Status::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_keepalive_is_known_at_once_and_later_ones_by_interval() {
    let site = Site::start_with(1, 1, |config| config.sessions.seen_interval = Duration::from_millis(50)).await;
    let mut agent = site.active("web-01").await;
    let first = site.until_agent(agent.id(), "it has a system", |agent| agent.report.os.name.is_some()).await;
    assert_eq!(first.report.os.platform.as_ref().unwrap().as_str(), "debian");
    agent.keepalive().await;
    site.until_agent(agent.id(), "the next one is known", |agent| agent.last_keepalive > first.last_keepalive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_disconnects_at_once_and_a_broken_connection_does_not() {
    let site = Site::start().await;
    let agent = site.active("web-01").await;
    let mut agent = site.reconnect(agent).await;
    assert_eq!(site.replica().view().control.agents().get(agent.id()).unwrap().status, Status::Active);
    agent.startup().await;
    agent.shutdown().await;
    let gone = site.until_agent(agent.id(), "it is gone", |agent| agent.status == Status::Disconnected).await;
    assert_eq!(gone.status_code, StatusCode::Shutdown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_takes_over_from_the_old_one() {
    let site = Site::start().await;
    let mut old = site.active("web-01").await;
    let before = site.replica().view().control.agents().get(old.id()).unwrap().epoch;
    let mut new = Agent::connect(site.gateway(1).channel_address(), &old.identity).await;
    new.startup().await;
    old.expect_close().await;
    site.until_agent(new.id(), "it has a new session", |agent| agent.session.is_some() && agent.epoch > before).await;
    new.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_moves_is_owned_by_the_node_it_moved_to() {
    let site = Site::start_with(3, 2, |_| {}).await;
    let identity = site.enroll("web-01").await;
    let (mut agents, mut heard) = (Vec::new(), None);
    for turn in 0..6 {
        let number = turn % 2 + 1;
        let mut agent = Agent::connect(site.gateway(number).channel_address(), &identity).await;
        agent.heard = heard; // counters grow, whichever node they come from
        agent.startup().await;
        agent.keepalive().await;
        heard = agent.heard;
        site.until_agent(agent.id(), "it is active there", |agent| {
            agent.status == Status::Active && agent.session_node().is_some_and(|node| node.get() == number as u64)
        })
        .await;
        agents.push(agent);
    }
    for agent in &mut agents[..5] {
        agent.expect_close().await;
    }
    agents[5].keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_agent_is_cut_off_and_not_known_any_more() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let agents = AgentSet::Only(vec![agent.id()]);
    site.propose(Change::RemoveAgents(RemoveAgents { agents, statuses: None, older_than: Millis::new(0) })).await;
    agent.expect_close().await;
    let mut again = site.reconnect(agent).await;
    again.say(&FromAgent::Startup(Startup::Silent)).await;
    again.expect_close().await;
    site.until_count("muster_agent_connections_closed_total{cause=\"unknown_agent\"}", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_falls_silent_is_disconnected() {
    let site = Site::start_with(1, 1, |config| config.sessions.disconnection_time = Duration::from_millis(400)).await;
    let mut agent = site.active("web-01").await;
    agent.expect_close().await;
    let gone = site.until_agent(agent.id(), "it is gone", |agent| agent.status == Status::Disconnected).await;
    assert_eq!(gone.status_code, StatusCode::Silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_ended_with_the_lease_go_on_with_the_next_one() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let before = site.replica().view().control.agents().get(agent.id()).unwrap().epoch;
    site.renew_lease(1, Duration::from_millis(50)).await;
    site.until_agent(agent.id(), "the lease lapsed", |agent| agent.status_code == StatusCode::NodeLost).await;
    site.renew_lease(1, Duration::from_secs(3600)).await;
    site.until_agent(agent.id(), "it is active again", |agent| agent.status == Status::Active && agent.epoch > before)
        .await;
    agent.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_a_newer_line_gets_an_error_in_place_of_the_ack() {
    let site = Site::start().await;
    let identity = site.enroll("web-01").await;
    let mut agent = Agent::connect(site.gateway(1).channel_address(), &identity).await;
    agent.say(&FromAgent::Startup(Startup::Version("v4.15.0".into()))).await;
    let payload = agent.hear().await.unwrap();
    assert_eq!(ToAgent::decode(&payload), ToAgent::refused_as_too_new());
    agent.expect_close().await;
    site.until_agent(agent.id(), "people know why", |agent| agent.status_code == StatusCode::TooNew).await;
    let mut agent = site.reconnect(agent).await;
    agent.say(&FromAgent::Startup(Startup::Unreadable)).await;
    agent.expect(&ToAgent::refused_as_unreadable()).await;
    agent.expect_close().await;
    site.until_agent(agent.id(), "people know why", |agent| agent.status_code == StatusCode::NoVersion).await;
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    site.until_agent(agent.id(), "all is well", |agent| agent.status_code == StatusCode::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_a_newer_line_are_taken_if_that_is_configured() {
    let site = Site::start_with(1, 1, |config| config.allow_higher_versions = true).await;
    let identity = site.enroll("web-01").await;
    let mut agent = Agent::connect(site.gateway(1).channel_address(), &identity).await;
    agent.say(&FromAgent::Startup(Startup::Version("v4.15.0".into()))).await;
    agent.expect_ack().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_one_address_needs_no_id_in_front() {
    let site = Site::start().await;
    let answer = site.request(1, "OSSEC A:'web-01' IP:'src'\n").await;
    let Some(muster_gateway::codec::enrollment::Answer::Enrolled(identity)) = answer else { panic!("{answer:?}") };
    assert_eq!(identity.address.to_string(), "127.0.0.1");
    let mut agent = Agent::connect(site.gateway(1).channel_address(), &identity).await;
    agent.startup().await;
    agent.keepalive().await;
    site.until_agent(agent.id(), "it is active", |agent| agent.status == Status::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_closes_its_ports_first_and_leaves_no_statement_behind() {
    let mut site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let address = site.gateway(1).channel_address();
    let half_open = site.enrollment(1).await;
    agent.shutdown().await;
    let asked = Instant::now();
    site.stop_gateway(1).await;
    assert!(asked.elapsed() < Duration::from_secs(9), "it did not wait for the request: {:?}", asked.elapsed());
    drop(half_open);
    agent.expect_close().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let record = site.replica().read().await.unwrap().control.agents().get(agent.id()).unwrap().clone();
    assert_eq!(record.status, Status::Disconnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_answered_in_the_cipher_of_its_latest_message() {
    let site = Site::start().await;
    for (name, transport) in [("tcp", Transport::Tcp), ("udp", Transport::Udp)] {
        let mut agent = site.active_as(name, Dialect { transport, ..Dialect::default() }).await;
        for method in [Method::Blowfish, Method::Aes, Method::Blowfish] {
            agent.dialect.method = method;
            agent.keepalive().await;
        }
        site.issue(CommandKind::Restart, agent.id()).await;
        agent.expect_restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_stand_still_or_go_back_are_taken_over_tcp() {
    let site = Site::start().await;
    let mut agent = site.active("web-01").await;
    let keepalive = agent.frame(&FromAgent::Keepalive(b"x\n"));
    for _ in 0..3 {
        agent.stream().write_all(&keepalive).await.unwrap();
        agent.expect_ack().await;
    }
    drop(agent.stream().shutdown().await);
    let mut agent = Agent::connect(site.gateway(1).channel_address(), &agent.identity).await;
    agent.startup().await;
}
