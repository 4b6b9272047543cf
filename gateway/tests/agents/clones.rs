//! Two machines with one key (agent protocol, sections 6.3 and 6.4).

use muster_control::{CommandKind, Status};
use muster_gateway::codec::FromAgent;

use tokio::time::Instant;

use super::support::{Agent, Dialect, PATIENCE, Site, Transport};

const CONTESTS: &str = "muster_agent_key_contests_total";

/// Another machine with the same key, its counters behind those of the first.
async fn clone_of(site: &Site, number: usize, agent: &Agent, transport: Transport) -> Agent {
    let dialect = Dialect { transport, from: "127.0.0.9".parse().unwrap(), ..agent.dialect };
    Agent::dial(site.address_from(number, dialect.from), &agent.identity, dialect).await
}

fn is_from(agent: &muster_control::Agent, address: &str) -> bool {
    agent.session.as_ref().is_some_and(|session| session.peer.as_str().starts_with(address))
}

#[tokio::test(flavor = "multi_thread")]
async fn cloned_agents_are_reported_and_the_one_that_is_there_stays() {
    let site = Site::start_with(1, 1, |config| config.channel.listen = "0.0.0.0:0".parse().unwrap()).await;
    let mut first = site.active("web-01").await;
    let mut second = clone_of(&site, 1, &first, Transport::Tcp).await;
    second.startup().await;
    first.expect_close().await;
    let mut first = site.reconnect(first).await;
    first.startup().await;
    second.expect_close().await;
    // By now nobody would believe that this is one machine.
    for refused in 1..=5 {
        second = site.reconnect(second).await;
        second.say(&FromAgent::Startup(second.dialect.release.startup())).await;
        second.expect_close().await;
        assert_eq!(site.count(1, CONTESTS), refused);
    }
    site.until_count("muster_agent_connections_closed_total{cause=\"in_use\"}", 5).await;
    first.keepalive().await;
    // Whoever is there may go, and then the other one gets in.
    first.shutdown().await;
    first.expect_close().await;
    site.until_agent(first.id(), "it is gone", |agent| agent.status == Status::Disconnected).await;
    let mut second = site.reconnect(second).await;
    second.startup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloned_agents_over_udp_are_reported_and_the_one_that_is_there_stays() {
    let site = Site::start_with(1, 1, |config| {
        config.channel.listen = "0.0.0.0:0".parse().unwrap();
        config.channel.verify_msg_id = false; // else the one that is behind gets a turn a minute, and this takes minutes
    })
    .await;
    let mut first = site.active_as("web-01", Dialect::udp()).await;
    let mut second = clone_of(&site, 1, &first, Transport::Udp).await;
    second.startup().await;
    site.until_agent(first.id(), "the other one has it", |agent| is_from(agent, "127.0.0.9")).await;
    first.startup().await;
    second.say(&FromAgent::Startup(second.dialect.release.startup())).await;
    site.until_count("muster_agent_datagrams_dropped_total{cause=\"in_use\"}", 1).await;
    second.wire.expect_quiet().await;
    assert_eq!(site.count(1, CONTESTS), 1);
    first.keepalive().await;
    let is_active = |agent: &muster_control::Agent| is_from(agent, "127.0.0.1") && agent.status == Status::Active;
    site.until_agent(first.id(), "the first one is active again", is_active).await;
    site.issue(CommandKind::Restart, first.id()).await;
    first.expect_restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_fought_for_between_nodes_is_left_where_it_is_for_a_while() {
    let site = Site::start_with(3, 2, |config| config.channel.listen = "0.0.0.0:0".parse().unwrap()).await;
    let mut first = site.active("web-01").await;
    let mut second = clone_of(&site, 2, &first, Transport::Tcp).await;
    let mut openings = 0;
    for turn in 0..8 {
        let (agent, number) = if turn % 2 == 0 { (&mut second, 2) } else { (&mut first, 1) };
        let before = site.replica().view();
        site.replicas.node(number).view_at(before.index, Instant::now() + PATIENCE).await.unwrap();
        *agent = Agent::dial(site.address_from(number, agent.dialect.from), &agent.identity, agent.dialect).await;
        agent.say(&FromAgent::Startup(agent.dialect.release.startup())).await;
        if agent.hear().await.is_none() {
            break;
        }
        openings += 1;
        let epoch = before.control.agents().get(agent.id()).unwrap().epoch;
        let is_here = |agent: &muster_control::Agent| agent.epoch > epoch && agent.session.is_some();
        site.until_agent(agent.id(), "it is owned there", is_here).await;
    }
    assert_eq!(openings, 3, "each opening is an entry of the log");
    assert_eq!(site.count(1, CONTESTS) + site.count(2, CONTESTS), 1);
}
