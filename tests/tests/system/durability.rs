//! What a client was told is done, is done.

use std::time::Duration;

use muster_tests::{Cluster, Settings, Turn, until};
use rand::Rng;

use crate::PROGRAM;
use crate::load::{Ledgers, Writers};

/// Times the whole cluster dies.
const ROUNDS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_the_death_of_all_nodes() {
    let _turn = Turn::shared().await;
    let mut cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let mut told = Ledgers::default();
    for round in 0..ROUNDS {
        let writers = Writers::start(&cluster, &format!("round-{round}"));
        // Somewhere between two syncs, never at the same place.
        let enough = rand::rng().random_range(60..200);
        until("clients are at work", Duration::from_secs(60), async || {
            let count = writers.acknowledged();
            if count >= enough { Ok(()) } else { Err(format!("{count} of {enough} acknowledged")) }
        })
        .await;
        for number in 0..cluster.size() {
            cluster.node_mut(number).kill().await;
        }
        told.merge(writers.stop().await);
        assert!(told.acknowledged() >= enough, "{}", told.acknowledged());

        for number in 0..cluster.size() {
            cluster.node_mut(number).start();
        }
        cluster.ready().await;
        for number in 0..cluster.size() {
            told.check(cluster.api(number)).await;
        }
        cluster.agree().await;
        eprintln!("round {round}: {} changes acknowledged, none lost", told.acknowledged());
    }
}
