//! Many agents at once.

use std::time::Duration;

use muster_gateway::codec::ClientKeyLine;

use crate::simulate::testing::{FakeManager, QUICK, config, within};
use crate::simulate::{Count, Fleet, Mover};

fn identities(count: u32) -> Vec<ClientKeyLine> {
    (1..=count).map(|id| format!("{id:03} agent-{id} any 00ff{id}").parse().unwrap()).collect()
}

#[tokio::test]
async fn a_fleet_spreads_over_its_servers_and_ends_in_order() {
    let managers = [FakeManager::start().await, FakeManager::start().await, FakeManager::start().await];
    let identities = identities(60);
    let run = async {
        let fleet = Fleet::launch(config(&[&managers[0], &managers[1], &managers[2]], QUICK), identities.clone());
        within(fleet.all_online()).await;
        for server in 0..3 {
            let there = fleet.agents().iter().filter(|agent| agent.stats().server() == Some(server));
            assert_eq!(there.count(), 20);
        }
        let stats = fleet.stats().clone();
        within(fleet.stop(Duration::from_secs(5))).await;
        assert_eq!((stats.online(), stats.get(Count::Shutdowns), stats.get(Count::StartedEvents)), (0, 60, 60));
    };
    tokio::select! {
        () = run => {}
        () = managers[0].serve(&identities) => {}
        () = managers[1].serve(&identities) => {}
        () = managers[2].serve(&identities) => {}
    }
}

#[tokio::test]
async fn moved_agents_leave_their_server_and_stay_online() {
    let managers = [FakeManager::start().await, FakeManager::start().await];
    let identities = identities(20);
    let run = async {
        let fleet = Fleet::launch(config(&[&managers[0], &managers[1]], QUICK), identities.clone());
        within(fleet.all_online()).await;
        let moved = fleet.stats().until(|stats| stats.get(Count::Moves) >= 50);
        tokio::select! {
            () = within(moved) => {}
            never = Mover::new(1_000.0, 7).run(&fleet) => match never {},
        }
        within(fleet.all_online()).await;
        assert_eq!(fleet.stats().get(Count::StartedEvents), 20);
        assert_eq!(fleet.stats().get(Count::ClosedByManager), 0);
    };
    tokio::select! {
        () = run => {}
        () = managers[0].serve(&identities) => {}
        () = managers[1].serve(&identities) => {}
    }
}
