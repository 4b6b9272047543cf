//! Where an agent may use its key from, and what names it (agent protocol, sections 1.5 and 3.2).

use muster_control::Status;
use muster_gateway::codec::{ClientKeyLine, FromAgent};

use super::support::{Agent, Dialect, Site, Transport};

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Udp];

fn at(from: &str, transport: Transport) -> Dialect {
    Dialect { transport, from: from.parse().unwrap(), ..Dialect::default() }
}

async fn is_accepted(site: &Site, identity: &ClientKeyLine, dialect: Dialect) {
    let mut agent = Agent::dial(site.address_from(1, dialect.from), identity, dialect).await;
    agent.startup().await;
    agent.keepalive().await;
    let peer = |agent: &muster_control::Agent| agent.session.as_ref().map(|session| session.peer.to_string());
    let is_here = |agent: &muster_control::Agent| {
        agent.status == Status::Active && peer(agent).is_some_and(|peer| peer.contains(&dialect.from.to_string()))
    };
    site.until_agent(agent.id(), "it is active from there", is_here).await;
}

async fn is_refused(site: &Site, identity: &ClientKeyLine, dialect: Dialect, cause: &str) {
    let metric = match dialect.transport {
        Transport::Tcp => format!("muster_agent_connections_closed_total{{cause=\"{cause}\"}}"),
        Transport::Udp => format!("muster_agent_datagrams_dropped_total{{cause=\"{cause}\"}}"),
    };
    let before = site.count(1, &metric);
    let mut agent = Agent::dial(site.address_from(1, dialect.from), identity, dialect).await;
    agent.say(&FromAgent::Startup(dialect.release.startup())).await;
    match dialect.transport {
        Transport::Tcp => agent.expect_close().await,
        Transport::Udp => {
            site.until_count(&metric, before + 1).await;
            agent.wire.expect_quiet().await;
        }
    }
    site.until_count(&metric, before + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_one_ipv4_address_sends_no_id_and_is_known_by_that_address_alone() {
    let site = Site::start_with(1, 1, |config| config.channel.listen = "0.0.0.0:0".parse().unwrap()).await;
    let (first, second) = (site.enroll_at("web-01", "127.0.0.2").await, site.enroll_at("web-02", "127.0.0.3").await);
    assert!(!first.address.sends_id());
    for transport in BOTH {
        is_accepted(&site, &first, at("127.0.0.2", transport)).await;
        is_accepted(&site, &second, at("127.0.0.3", transport)).await;
        is_refused(&site, &first, at("127.0.0.4", transport), "unknown_agent").await;
        // Where another agent is at home, its key is expected.
        is_refused(&site, &first, at("127.0.0.3", transport), "undecryptable").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_one_ipv4_address_may_not_come_from_another_by_naming_itself() {
    let site = Site::start().await;
    let mut identity = site.enroll_at("web-01", "127.0.0.2").await;
    identity.address = "any".parse().unwrap();
    for transport in BOTH {
        is_refused(&site, &identity, at("127.0.0.1", transport), "foreign_address").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_a_network_is_accepted_from_inside_and_refused_from_outside() {
    let site = Site::start_with(1, 1, |config| config.channel.listen = "0.0.0.0:0".parse().unwrap()).await;
    let identity = site.enroll_at("web-01", "127.0.4.0/24").await;
    let masked = site.enroll_at("web-02", "127.0.5.0/255.255.255.0").await;
    for transport in BOTH {
        for (identity, inside, outside) in
            [(&identity, "127.0.4.200", "127.0.5.200"), (&masked, "127.0.5.1", "127.0.4.1")]
        {
            assert!(identity.address.sends_id());
            is_accepted(&site, identity, at(inside, transport)).await;
            is_refused(&site, identity, at(outside, transport), "foreign_address").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_served_and_its_agents_name_themselves() {
    let site = Site::start_with(1, 1, |config| config.channel.listen = "[::]:0".parse().unwrap()).await;
    let anywhere = site.enroll("web-01").await;
    let host = site.enroll_at("web-02", "::1").await;
    let network = site.enroll_at("web-03", "::/64").await;
    let elsewhere = site.enroll_at("web-04", "fd00::/8").await;
    let ipv4 = site.enroll_at("web-05", "127.0.0.2").await;
    let mixed = site.enroll("web-06").await;
    for transport in BOTH {
        for identity in [&anywhere, &host, &network] {
            assert!(identity.address.sends_id());
            is_accepted(&site, identity, at("::1", transport)).await;
        }
        is_refused(&site, &elsewhere, at("::1", transport), "foreign_address").await;
        // One socket serves both; an IPv4 agent is the same there as anywhere.
        is_accepted(&site, &ipv4, at("127.0.0.2", transport)).await;
        is_accepted(&site, &mixed, at("127.0.0.1", transport)).await;
        is_refused(&site, &host, at("127.0.0.1", transport), "foreign_address").await;
    }
}
