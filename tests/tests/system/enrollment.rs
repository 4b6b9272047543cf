//! Many agents enroll at the same moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster_node::simulate::{AgentConfig, Count, Fleet};
use muster_tests::{Cluster, QUICK, Settings, Turn, enroll};
use tokio::time::timeout;

use crate::PROGRAM;

const AGENTS: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_enrollments_at_once_give_a_thousand_agents_that_every_node_knows() {
    let _turn = Turn::alone().await;
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let identities = enroll(&cluster, "burst", AGENTS).await;

    let ids: BTreeSet<&str> = identities.iter().map(|identity| &*identity.id).collect();
    assert_eq!(ids.len(), AGENTS, "ids are distinct");
    // Each key at each node, without waiting for anything: the first attempt has to do.
    for place in cluster.places() {
        let config = AgentConfig { pace: QUICK, ..AgentConfig::new(vec![place.channel.to_string()]) };
        let fleet = Fleet::launch(Arc::new(config), identities.clone());
        let all = timeout(Duration::from_secs(60), fleet.all_online()).await;
        let counts = [Count::Accepted, Count::HandshakeFailures, Count::ConnectFailures, Count::Undecryptable]
            .map(|count| (count.name(), fleet.stats().get(count)));
        assert!(all.is_ok(), "{}: not all agents are accepted: {counts:?}", place.name());
        assert!(counts[1..].iter().all(|(_, count)| *count == 0), "{}: {counts:?}", place.name());
    }
    for number in 0..cluster.size() {
        let listed = cluster.api(number).texts("/agents?select=id&sort=id", "id").await;
        let listed: BTreeSet<&str> = listed.iter().map(|id| &**id).filter(|id| *id != "000").collect();
        assert_eq!(listed, ids, "node {number} lists what was enrolled");
    }
    cluster.agree().await;
}
