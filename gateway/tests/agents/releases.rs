//! A whole life of an agent of each version, over each transport, in each cipher.

use muster_control::{AgentSet, Change, CommandKind, Millis, Reason, RemoveAgents, Stage, Status};
use muster_gateway::codec::{Event, FromAgent, Method, ToAgent};

use super::support::{Agent, Dialect, Release, Site, Transport};

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_every_version_live_over_tcp_with_aes() {
    lives(Transport::Tcp, Method::Aes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_every_version_live_over_tcp_with_blowfish() {
    lives(Transport::Tcp, Method::Blowfish).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_every_version_live_over_udp_with_aes() {
    lives(Transport::Udp, Method::Aes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_every_version_live_over_udp_with_blowfish() {
    lives(Transport::Udp, Method::Blowfish).await;
}

async fn lives(transport: Transport, method: Method) {
    let site = Site::start().await;
    for (number, release) in Release::ALL.into_iter().enumerate() {
        let dialect = Dialect { transport, method, release, ..Dialect::default() };
        let agent = connects(&site, &format!("agent-{number}"), dialect).await;
        let agent = restarts(&site, agent).await;
        let agent = reconnects(&site, agent).await;
        is_removed(&site, agent).await;
    }
}

async fn connects(site: &Site, name: &str, dialect: Dialect) -> Agent {
    let identity = site.enroll(name).await;
    let mut agent = Agent::dial(site.gateway(1).channel_address(), &identity, dialect).await;
    agent.startup().await;
    site.until_agent(agent.id(), "it is pending", |agent| agent.status == Status::Pending).await;
    agent.started().await;
    agent.keepalive().await;
    let record = site.until_agent(agent.id(), "it reported", |agent| agent.report.os.name.is_some()).await;
    assert_eq!(record.status, Status::Active);
    assert_eq!(record.report.version.as_ref().unwrap().as_str(), dialect.release.product());
    agent
}

async fn restarts(site: &Site, mut agent: Agent) -> Agent {
    let (id, command) = (agent.id(), site.issue(CommandKind::Restart, agent.id()).await);
    let number = agent.expect_restart().await;
    site.until_stage(id, command, Stage::Sent).await;
    agent.answer(&number, b"ok ").await;
    site.until_stage(id, command, Stage::Acknowledged).await;
    let announces = agent.dialect.release.announces_shutdown();
    if announces {
        agent.shutdown().await;
        if !agent.is_udp() {
            agent.expect_close().await;
        }
        site.until_agent(id, "its session is over", |agent| agent.session.is_none()).await;
    }
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    agent.started().await;
    if !announces {
        let question = agent.expect_request("agent", "getstate").await;
        agent.answer_state(&question, false).await;
    }
    let delivery = site.until_stage(id, command, Stage::Confirmed).await;
    let proof = if announces { Reason::ShutdownThenStartup } else { Reason::Started };
    assert_eq!((delivery.reason, delivery.attempts), (Some(proof), 1));
    is_active(site, agent).await
}

async fn reconnects(site: &Site, mut agent: Agent) -> Agent {
    let (id, command) = (agent.id(), site.issue(CommandKind::Reconnect, agent.id()).await);
    agent.expect(&ToAgent::ForceReconnect).await;
    if !agent.dialect.release.obeys_reconnect() {
        agent.keepalive().await;
        assert_eq!(site.delivery(id, command).stage, Stage::Sent);
        return agent;
    }
    let mut agent = site.reconnect(agent).await;
    agent.startup().await;
    let delivery = site.until_stage(id, command, Stage::Confirmed).await;
    assert_eq!(delivery.reason, Some(Reason::Reconnected));
    is_active(site, agent).await
}

async fn is_active(site: &Site, mut agent: Agent) -> Agent {
    agent.keepalive().await;
    site.until_agent(agent.id(), "it is active again", |agent| agent.status == Status::Active).await;
    agent
}

async fn is_removed(site: &Site, mut agent: Agent) {
    let agents = AgentSet::Only(vec![agent.id()]);
    site.propose(Change::RemoveAgents(RemoveAgents { agents, statuses: None, older_than: Millis::new(0) })).await;
    if agent.is_udp() {
        let unknown = "muster_agent_datagrams_dropped_total{cause=\"unknown_agent\"}";
        let before = site.count(1, unknown);
        agent.say(&FromAgent::Event(Event { queue: b'1', text: b"a:b" })).await;
        site.until_count(unknown, before + 1).await;
        agent.wire.expect_quiet().await;
    } else {
        agent.expect_close().await;
    }
}
