//! UDP: what takes the place of a connection, and who can not take the agent's place.

use std::time::Duration;

use muster_control::{CommandKind, Epoch, Stage, Status, StatusCode};
use muster_gateway::codec::envelope::{PING, PONG};
use muster_gateway::codec::{Event, FromAgent, RequestNumber, Startup, ToAgent};
use tokio::net::UdpSocket;

use super::support::{Agent, Dialect, Release, Site, Transport, Wire};

fn dropped(cause: &str) -> String {
    format!("muster_agent_datagrams_dropped_total{{cause=\"{cause}\"}}")
}

/// Somebody else on this machine.
async fn other(site: &Site) -> Wire {
    let dialect = Dialect::udp();
    Wire::connect(Transport::Udp, dialect.from, site.gateway(1).channel_address()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_datagram_is_dropped_and_counted() {
    let site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let keepalive = agent.envelope(&FromAgent::Keepalive(b"x\n"));
    agent.wire.send(&keepalive).await;
    agent.expect_ack().await;
    agent.wire.send(&keepalive).await;
    site.until_count(&dropped("repeated"), 1).await;
    let mut thief = other(&site).await;
    thief.send(&keepalive).await;
    site.until_count(&dropped("repeated"), 2).await;
    agent.wire.expect_quiet().await;
    thief.expect_quiet().await;
    agent.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_startup_takes_nothing_over() {
    let site = Site::start().await;
    let identity = site.enroll("web-01").await;
    let mut agent = Agent::dial(site.gateway(1).channel_address(), &identity, Dialect::udp()).await;
    let startup = agent.envelope(&FromAgent::Startup(agent.dialect.release.startup()));
    agent.wire.send(&startup).await;
    agent.expect_ack().await;
    agent.keepalive().await;
    let before = site.until_agent(agent.id(), "it is active", |agent| agent.status == Status::Active).await;
    let mut thief = other(&site).await;
    thief.send(&startup).await;
    site.until_count(&dropped("repeated"), 1).await;
    // It was answered, as the agent would have been, and can do nothing with it.
    thief.receive().await.unwrap();
    thief.receive().await.unwrap();
    thief.send(&startup).await;
    site.until_count(&dropped("repeated"), 2).await;
    thief.expect_quiet().await; // it is asked once a second at most
    let command = site.issue(CommandKind::Restart, agent.id()).await;
    agent.expect_restart().await;
    site.until_stage(agent.id(), command, Stage::Sent).await;
    assert_eq!(site.replica().view().control.agents().get(agent.id()).unwrap().epoch, before.epoch);
    thief.expect_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_counters_went_back_is_taken_once_it_has_answered() {
    let site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    for _ in 0..5 {
        agent.keepalive().await;
    }
    let before = site.until_agent(agent.id(), "it is active", |agent| agent.status == Status::Active).await;
    let mut restored = Agent::dial(site.gateway(1).channel_address(), &agent.identity, Dialect::udp()).await;
    restored.startup().await;
    let number = restored.expect_request("agent", "getstate").await;
    restored.answer_state(&number, false).await;
    site.until_agent(agent.id(), "it has a new session", |agent| agent.epoch > before.epoch).await;
    restored.keepalive().await;
    site.until_agent(agent.id(), "it is active", |agent| agent.status == Status::Active).await;
    site.issue(CommandKind::Restart, agent.id()).await;
    restored.expect_restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_moves_with_control_messages_only() {
    let site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let event = agent.envelope(&FromAgent::Event(Event { queue: b'1', text: b"a:b" }));
    let events = "muster_agent_messages_total{kind=\"event\"}";
    let before = site.count(1, events);
    other(&site).await.send(&event).await;
    site.until_count(events, before + 1).await;
    site.issue(CommandKind::Reconnect, agent.id()).await;
    agent.expect(&ToAgent::ForceReconnect).await;
    agent = site.reconnect(agent).await;
    agent.startup().await;
    agent.keepalive().await;
    let is_back = |agent: &muster_control::Agent| agent.status == Status::Active && agent.epoch == Epoch::new(2);
    site.until_agent(agent.id(), "it is back", is_back).await;
    // The address behind which it is has changed; it does not know and starts nothing anew.
    let mut agent = site.reconnect(agent).await;
    agent.keepalive().await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    let number = agent.expect_restart().await;
    agent.answer(&number, b"ok ").await;
    site.until_stage(id, command, Stage::Acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_acked_each_time_it_comes() {
    let site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    let number = agent.expect_restart().await;
    for _ in 0..3 {
        agent.answer(&number, b"ok ").await;
    }
    assert_eq!(site.until_stage(id, command, Stage::Acknowledged).await.attempts, 1);
    // An answer to nobody's request is acked too: until then the agent answers nothing else.
    agent.answer("5f3a9c01", b"ok ").await;
    agent.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_shutdown_of_the_process_before_ends_nothing() {
    let site = Site::start().await;
    let agent = site.active_as("web-01", Dialect::udp()).await;
    let shutdown = agent.envelope(&FromAgent::Shutdown);
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    other(&site).await.send(&shutdown).await;
    site.until_count(&dropped("outdated"), 1).await;
    agent.keepalive().await;
    site.until_agent(agent.id(), "it is active", |agent| agent.status == Status::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_anew_goes_on_with_the_agents_that_speak_to_it() {
    let mut site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let before = site.replica().view().control.agents().get(agent.id()).unwrap().epoch;
    let address = site.gateway(1).channel_address();
    site.stop_gateway(1).await;
    site.renew_lease(1, Duration::from_millis(50)).await;
    site.until_agent(agent.id(), "the lease lapsed", |agent| agent.status_code == StatusCode::NodeLost).await;
    site.start_gateway(1, |config| config.channel.listen = address).await;
    agent.keepalive().await;
    site.until_agent(agent.id(), "its session goes on", |agent| agent.epoch > before && agent.status == Status::Active)
        .await;
    site.issue(CommandKind::Restart, agent.id()).await;
    agent.expect_restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_given_up_is_told_to_come_again_if_it_can_be() {
    let site = Site::start_with(1, 1, |config| config.sessions.disconnection_time = Duration::from_millis(400)).await;
    let old = Dialect { release: Release::ALL[1], ..Dialect::udp() };
    for (name, dialect) in [("new", Dialect::udp()), ("old", old)] {
        let mut agent = site.active_as(name, dialect).await;
        let gone = site.until_agent(agent.id(), "it is gone", |agent| agent.status == Status::Disconnected).await;
        assert_eq!(gone.status_code, StatusCode::Silent);
        let before = site.count(1, &dropped("no_session"));
        agent.say(&FromAgent::Keepalive(&dialect.release.keepalive())).await;
        site.until_count(&dropped("no_session"), before + 1).await;
        if dialect.release.obeys_reconnect() {
            agent.expect(&ToAgent::ForceReconnect).await;
        } else {
            agent.wire.expect_quiet().await; // anything it heard would keep it from coming again
        }
        let mut agent = site.reconnect(agent).await;
        agent.startup().await;
        agent.keepalive().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_send_costs_a_counter_and_nothing_else() {
    let site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let mut stranger = other(&site).await;
    for (datagram, cause) in [
        (&b""[..], "unknown_method"),
        (b"GET / HTTP/1.1", "unknown_method"),
        (b"!1a!#AES:0123456789abcdef", "malformed_id"),
        (b"!999!#AES:0123456789abcdef", "unknown_agent"),
        (b"!1!#AES:0123456789abcdef", "unknown_agent"),
        (b"#AES:0123456789abcdef", "unknown_agent"),
        (b"!001!#AES:0123456789abcdef", "undecryptable"),
        (b"!001!:01234567", "undecryptable"),
        (&[&b"!001!#AES:"[..], &[7; 60_000]].concat(), "undecryptable"),
        (&[&b"!999!#AES:"[..], &[7; 60_000]].concat(), "unknown_agent"),
    ] {
        let before = site.count(1, &dropped(cause));
        stranger.send(datagram).await;
        site.until_count(&dropped(cause), before + 1).await;
    }
    let mut thief = agent.identity.clone();
    thief.key = "ab".repeat(32).parse().unwrap();
    let mut thief = Agent::dial(site.gateway(1).channel_address(), &thief, Dialect::udp()).await;
    let before = site.count(1, &dropped("undecryptable"));
    thief.say(&FromAgent::Startup(Release::LATEST.startup())).await;
    site.until_count(&dropped("undecryptable"), before + 1).await;
    stranger.expect_quiet().await;
    thief.wire.expect_quiet().await;
    site.issue(CommandKind::Restart, agent.id()).await;
    agent.expect_restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_workers_is_bounded() {
    let site = Site::start_with(1, 1, |config| config.channel.udp_backlog = 1_000).await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let event = agent.envelope(&FromAgent::Other(&noise(2_000)));
    agent.wire.send(&event).await;
    site.until_count(&dropped("busy"), 1).await;
    agent.keepalive().await;
}

/// Bytes that do not compress.
fn noise(count: u64) -> Vec<u8> {
    (0..count).map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_over_udp_is_answered_without_a_key() {
    let site = Site::start().await;
    let mut probe = other(&site).await;
    for _ in 0..2 {
        probe.send(PING).await;
        assert_eq!(probe.receive().await.unwrap(), PONG);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_change_between_tcp_and_udp() {
    let site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    for transport in [Transport::Tcp, Transport::Udp, Transport::Tcp] {
        let before = site.replica().view().control.agents().get(agent.id()).unwrap().epoch;
        agent.dialect.transport = transport;
        agent = site.reconnect(agent).await;
        agent.startup().await;
        agent.keepalive().await;
        let is_new = |agent: &muster_control::Agent| agent.epoch > before && agent.status == Status::Active;
        site.until_agent(agent.id(), "its new session is active", is_new).await;
    }
    site.issue(CommandKind::Restart, agent.id()).await;
    agent.expect_restart().await;
    assert_eq!(site.count(1, "muster_agent_udp_sessions"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_protocol_can_be_left_out() {
    let site = Site::start_with(1, 1, |config| config.channel.tcp = false).await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    agent.keepalive().await;
    assert!(tokio::net::TcpStream::connect(site.gateway(1).channel_address()).await.is_err());

    let site = Site::start_with(1, 1, |config| config.channel.udp = false).await;
    let mut agent = site.active("web-01").await;
    agent.keepalive().await;
    UdpSocket::bind(site.gateway(1).channel_address()).await.expect("nobody has it on UDP");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_known_here_yet_is_looked_up() {
    let site = Site::start_with(3, 2, |_| {}).await;
    let identity = site.enroll_on(2, "web-01").await;
    let mut agent = Agent::dial(site.gateway(1).channel_address(), &identity, Dialect::udp()).await;
    agent.startup().await;
    agent.keepalive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simulators_that_do_not_count_are_taken_if_the_check_is_off() {
    let site = Site::start_with(1, 1, |config| config.channel.verify_msg_id = false).await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let event = Event { queue: b'1', text: b"a:b" };
    let constant = agent.envelope(&FromAgent::Event(event));
    agent.wire.send(&constant).await;
    let keepalive = agent.envelope(&FromAgent::Keepalive(b"x\n"));
    for _ in 0..3 {
        agent.wire.send(&keepalive).await;
        agent.expect_ack().await;
    }
    let number = RequestNumber::new("1").unwrap();
    let answer = agent.envelope(&FromAgent::Answer { number, body: b"ok " });
    for _ in 0..2 {
        agent.wire.send(&answer).await;
        agent.expect(&ToAgent::RequestAck(number)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_a_newer_line_is_refused_over_udp_each_time() {
    let site = Site::start().await;
    let identity = site.enroll("web-01").await;
    let mut agent = Agent::dial(site.gateway(1).channel_address(), &identity, Dialect::udp()).await;
    let startup = agent.envelope(&FromAgent::Startup(Startup::Version("v4.15.0".into())));
    for _ in 0..2 {
        agent.wire.send(&startup).await;
        agent.expect(&ToAgent::refused_as_too_new()).await;
    }
    site.until_count(&dropped("version_refused"), 2).await;
    agent.wire.expect_quiet().await;
    let record = site.until_agent(agent.id(), "people know why", |agent| agent.status_code == StatusCode::TooNew).await;
    assert_eq!(record.status, Status::NeverConnected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_number_is_never_used_twice() {
    let site = Site::start().await;
    let mut agent = site.active_as("web-01", Dialect::udp()).await;
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    // Unacked and unanswered, it may be lost or not: it is not sent again.
    let payload = agent.hear().await.unwrap();
    let ToAgent::Request { number, .. } = ToAgent::decode(&payload) else { panic!("{payload:?}") };
    let first = number.to_string();
    agent.keepalive().await;
    agent.wire.expect_quiet().await;
    agent.answer(&first, b"err Connection refused").await;
    site.until_stage(id, command, Stage::Queued).await;
    let second = agent.expect_restart().await;
    assert_ne!(first, second);
    agent.answer(&second, b"ok ").await;
    assert_eq!(site.until_stage(id, command, Stage::Acknowledged).await.attempts, 2);
}
