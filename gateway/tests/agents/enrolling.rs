//! Enrollment over TLS.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_control::{Change, Status};
use muster_gateway::codec::enrollment::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::support::{Agent, PATIENCE, Site, until};

fn refused(answer: Option<Answer>) -> String {
    match answer {
        Some(Answer::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_enrolls_and_is_registered_when_it_is_answered() {
    let site = Site::start().await;
    site.propose(Change::CreateGroup("web".parse().unwrap())).await;
    let answer = site.request(1, "OSSEC A:'web-01' V:'v4.14.7' G:'web' IP:'10.0.0.0/8'\n").await;
    let Some(Answer::Enrolled(identity)) = answer else { panic!("{answer:?}") };
    assert_eq!((identity.id.as_str(), identity.address.to_string().as_str()), ("001", "10.0.0.0/8"));
    let control = site.replica().read().await.unwrap().control;
    let agent = control.agents().get(identity.id.parse().unwrap()).unwrap();
    assert_eq!((&agent.key, agent.status), (&identity.key, Status::NeverConnected));
    assert_eq!(agent.registered_from.as_ref().unwrap().as_str(), "127.0.0.1");
    assert_eq!(agent.groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_words_agents_log() {
    let site = Site::start_with(1, 1, |config| {
        config.host_name = "manager-1".into();
        config.enrollment.force.enabled = false;
    })
    .await;
    site.enroll("taken").await;
    for (line, text) in [
        ("OSSEC A:'taken'\n", "Duplicate agent name: taken"),
        ("OSSEC A:'manager-1'\n", "Invalid agent name: manager-1"),
        ("OSSEC A:'node-1'\n", "Invalid agent name: node-1"),
        ("OSSEC A:'web-01' G:'web'\n", "Invalid group: web"),
        ("OSSEC A:'web-01' V:'v4.15.0'\n", "Agent version must be lower or equal to manager version"),
        ("OSSEC A:'web-01' IP:'10.0.0.300'\n", "Invalid IP: 10.0.0.300"),
        ("OSSEC PASS: pw OSSEC A:'web-01'\n", "Invalid request for new agent"),
    ] {
        assert_eq!(refused(site.request(1, line).await), format!("{text}. Unable to add agent"), "{line}");
    }
    assert_eq!(site.replica().view().control.agents().len(), 1);
    site.until_count("muster_enrollments_total{result=\"rejected\"}", 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_demanded_where_one_is_set() {
    let site = Site::start_with(1, 1, |config| config.enrollment.password = Some("open sesame".into())).await;
    for line in ["OSSEC A:'web-01'\n", "OSSEC PASS: open OSSEC A:'web-01'\n"] {
        assert_eq!(refused(site.request(1, line).await), "Invalid password. Unable to add agent");
    }
    let answer = site.request(1, "OSSEC PASS: open sesame OSSEC A:'web-01'\n").await;
    assert!(matches!(answer, Some(Answer::Enrolled(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peer_of_a_lost_answer_enrolls_again_at_once() {
    let site = Site::start().await;
    let lost = site.enroll("web-01").await;
    let found = site.enroll("web-01").await;
    assert_ne!(lost.id, found.id);
    assert_eq!(site.replica().view().control.agents().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_could_not_be_answered_is_removed_again() {
    let site = Site::start().await;
    let unanswered = "muster_enrollments_total{result=\"unanswered\"}";
    for number in 0..200 {
        let mut stream = site.enrollment(1).await;
        stream.write_all(format!("OSSEC A:'agent-{number}'\n").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // A reset: what is on its way to the agent is lost.
        stream.get_ref().0.set_zero_linger().unwrap();
        drop(stream);
        if site.count(1, unanswered) > 0 {
            break;
        }
    }
    site.until_count(unanswered, 1).await;
    until("only those are left that were answered", || async {
        let enrolled = site.count(1, "muster_enrollments_total{result=\"enrolled\"}");
        let idle = site.count(1, "muster_enrollments_in_flight") == 0;
        (idle && site.replica().view().control.agents().len() as u64 == enrolled).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enrollments_at_once_have_ids_of_their_own() {
    let site = Arc::new(Site::start().await);
    let mut requests = JoinSet::new();
    for number in 0..60 {
        let site = site.clone();
        requests.spawn(async move { site.enroll(&format!("agent-{number}")).await.id });
    }
    let ids: BTreeSet<String> = requests.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_line_without_end_is_refused_and_closed() {
    let site = Site::start().await;
    let (mut reader, mut writer) = tokio::io::split(site.enrollment(1).await);
    let flood = tokio::spawn(async move {
        let piece = [b'a'; 8192];
        while writer.write_all(&piece).await.is_ok() {}
    });
    let mut answer = Vec::new();
    // The end may be a reset, since more was sent than was read.
    _ = timeout(PATIENCE, reader.read_to_end(&mut answer)).await.expect("the connection ends");
    flood.await.unwrap();
    site.until_count("muster_enrollments_total{result=\"rejected\"}", 1).await;
    assert_eq!(site.enroll("web-01").await.id, "001");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_come_is_not_waited_for() {
    let site = Site::start_with(1, 1, |config| {
        config.enrollment.request_within = std::time::Duration::from_millis(200);
    })
    .await;
    let mut half = site.enrollment(1).await;
    half.write_all(b"OSSEC A:'web-01'").await.unwrap();
    let mut silent = tokio::net::TcpStream::connect(site.gateway(1).enrollment_address()).await.unwrap();
    let mut rest = Vec::new();
    _ = timeout(PATIENCE, half.read_to_end(&mut rest)).await.expect("the connection ends");
    _ = timeout(PATIENCE, silent.read_to_end(&mut rest)).await.expect("the connection ends");
    site.until_count("muster_enrollments_total{result=\"no_request\"}", 1).await;
    site.until_count("muster_enrollments_total{result=\"no_handshake\"}", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_accepted_by_every_node_the_moment_it_is_known() {
    let site = Site::start_with(3, 3, |_| {}).await;
    for number in 0..30 {
        let (here, there) = (number % 3 + 1, (number + 1) % 3 + 1);
        let identity = site.enroll_on(here, &format!("agent-{number}")).await;
        let mut agent = Agent::connect(site.gateway(there).channel_address(), &identity).await;
        agent.startup().await;
        agent.event(b"wazuh-agent:hello").await;
        site.until_agent(agent.id(), "it is active there", |agent| {
            agent.status == Status::Active && agent.session_node().is_some_and(|node| node.get() == there as u64)
        })
        .await;
    }
}
