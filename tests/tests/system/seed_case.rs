//! The fault this program was made for: agents that move while commands, lists and changes of leader go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_node::simulate::{Agent, Count, Fleet, Mover};
use muster_tests::{Api, Cluster, Delivery, QUICK, Settings, Turn, enroll, fleet_config, until};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::PROGRAM;
use crate::load::Tally;

const AGENTS: usize = 300;

/// Moves a second that have to be carried out.
const MOVES: f64 = 50.0;

/// Moves a second that are ordered: an agent that is just restarting does not take one.
const MOVES_ORDERED: f64 = 120.0;

/// Moves of the whole run.
const ALL_MOVES: u64 = 3_000;

/// Each client asks so often.
const ASK_EVERY: Duration = Duration::from_millis(60);

/// A sent delivery has 120 s to be proven, and one that waits behind it is sent then.
const ALL_FINAL: Duration = Duration::from_secs(200);

/// Asks one node for lists, single restarts and bulk restarts, in turn and as they come.
async fn ask(api: Api, ids: Arc<[String]>, seed: u64, tally: Tally, stop: CancellationToken) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut beats = interval(ASK_EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        beats.tick().await;
        let (kind, answer) = match random.random_range(0..10) {
            0 => ("bulk", api.put("/agents/restart").await),
            1..4 => {
                let id = ids.choose(&mut random).expect("there are agents");
                ("single", api.put(&format!("/agents/{id}/restart")).await)
            }
            _ => ("list", api.get("/agents?limit=500&select=id,status,node_name,version").await),
        };
        let status = answer.as_ref().map_or("none".to_owned(), |answer| answer.status.to_string());
        if !matches!(&*status, "200" | "503" | "504" | "none") {
            eprintln!("{kind}: {answer:?}");
        }
        tally.count(format!("{kind} {status}"));
        tally.count(status);
    }
}

/// Each agent's node and status as a node tells them.
async fn listed(api: &Api) -> BTreeMap<String, (String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let agents = api.all("/agents?select=id,status,node_name&sort=id").await;
    agents.iter().map(|agent| (text(&agent["id"]), (text(&agent["status"]), text(&agent["node_name"])))).collect()
}

/// What an agent really is.
fn real(cluster: &Cluster, agent: &Agent) -> (String, String) {
    let server = agent.stats().server().expect("it was accepted once");
    ("active".to_owned(), cluster.node(server).place().name())
}

/// How often an agent was told to restart, by the command that its numbers name (`d<hex>-<noise>`).
fn received(agent: &Agent) -> BTreeMap<u64, u64> {
    let mut received = BTreeMap::new();
    for number in agent.stats().restart_numbers() {
        let hex = number.strip_prefix('d').and_then(|rest| rest.split_once('-')).map(|(hex, _)| hex);
        let command = hex.and_then(|hex| u64::from_str_radix(hex, 16).ok());
        *received.entry(command.unwrap_or_else(|| panic!("number {number:?}"))).or_default() += 1;
    }
    received
}

/// Compares the deliveries of one agent with how often it was told to restart, by command.
fn judge(received: &BTreeMap<u64, u64>, deliveries: &BTreeMap<u64, Delivery>) -> Result<(), String> {
    for (command, count) in received {
        let delivery = deliveries.get(command).ok_or(format!("sent command {command}, which is not its own"))?;
        // These agents never refuse, so there is no reason to send anything twice.
        if *count != 1 {
            return Err(format!("sent command {command} {count} times: {delivery:?}"));
        }
        if delivery.attempts == 0 || delivery.shares.is_some() {
            return Err(format!("sent command {command} without permission: {delivery:?}"));
        }
    }
    for (command, delivery) in deliveries {
        if !delivery.is_final() || delivery.reason.is_none() {
            return Err(format!("command {command} has no end: {delivery:?}"));
        }
        let carrier = delivery.shares.unwrap_or(*command);
        if deliveries.get(&carrier).is_none_or(|carrier| carrier.stage != delivery.stage) {
            return Err(format!("command {command} ended otherwise than {carrier}, which carries it: {delivery:?}"));
        }
        if delivery.stage == "confirmed" && !received.contains_key(&carrier) {
            return Err(format!("command {command} is confirmed, but was never received: {delivery:?}"));
        }
    }
    Ok(())
}

fn check_agent(agent: &Agent, deliveries: &BTreeMap<u64, Delivery>) {
    let id = &agent.identity().id;
    judge(&received(agent), deliveries).unwrap_or_else(|wrong| panic!("agent {id}: {wrong}"));
    let (told, done) = (agent.stats().get(Count::RestartsReceived), agent.stats().get(Count::RestartsDone));
    assert_eq!(told, done, "agent {id} carries out each restart it is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_move_while_leaders_die_are_owned_right_and_restarted_once_for_each_sending() {
    let _turn = Turn::alone().await;
    let mut cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let identities = enroll(&cluster, "mover", AGENTS).await;
    let ids: Arc<[String]> = identities.iter().map(|identity| identity.id.clone()).collect();
    let fleet = Fleet::launch(fleet_config(&cluster, QUICK), identities);
    let everyone = "every agent is where it is listed, on every node";
    settled(everyone, &cluster, &fleet).await;

    let seed = rand::random();
    let (stop, tally) = (CancellationToken::new(), Tally::default());
    let mut clients = JoinSet::new();
    for number in 0..cluster.size() {
        let api = cluster.api(number).clone();
        clients.spawn(ask(api, Arc::clone(&ids), seed + number as u64, tally.clone(), stop.clone()));
    }
    let began = Instant::now();
    let killed = tokio::select! {
        never = Mover::new(MOVES_ORDERED, seed).run(&fleet) => match never {},
        killed = kill_two_leaders(&mut cluster, &fleet) => killed,
    };
    let moves = fleet.stats().get(Count::Moves) as f64 / began.elapsed().as_secs_f64();
    stop.cancel();
    clients.join_all().await;
    eprintln!("seed {seed}: {moves:.0} moves a second, leaders {killed:?} killed; answers: {tally:?}");
    assert!(moves >= MOVES, "a run with {moves:.0} moves a second proves nothing");
    assert!(["bulk 200", "single 200", "list 200"].iter().all(|kind| tally.of(kind) >= 5), "{tally:?}");
    assert_eq!(tally.of("500"), 0, "{tally:?}");
    let honest: u64 = ["200", "503", "504", "none"].iter().map(|status| tally.of(status)).sum();
    assert_eq!(honest, ["bulk", "single", "list"].iter().map(|kind| tally.total(kind)).sum::<u64>(), "{tally:?}");

    until("every delivery comes to its end", ALL_FINAL, async || match cluster.api(0).commands_open().await? {
        0 => Ok(()),
        open => Err(format!("{open} commands are open")),
    })
    .await;
    settled(everyone, &cluster, &fleet).await;

    let mut deliveries: BTreeMap<String, BTreeMap<u64, Delivery>> = BTreeMap::new();
    let mut stages: BTreeMap<String, usize> = BTreeMap::new();
    for command in cluster.api(1).commands().await {
        for delivery in cluster.api(1).deliveries(command).await {
            *stages
                .entry(format!("{} ({})", delivery.stage, delivery.reason.as_deref().unwrap_or("?")))
                .or_default() += 1;
            deliveries.entry(delivery.agent.clone()).or_default().insert(command, delivery);
        }
    }
    eprintln!("deliveries: {stages:?}");
    for agent in fleet.agents() {
        check_agent(agent, deliveries.get(&agent.identity().id).unwrap_or(&BTreeMap::new()));
    }
    let confirmed: usize =
        stages.iter().filter(|(stage, _)| stage.starts_with("confirmed")).map(|(_, count)| count).sum();
    assert!(confirmed > 0, "{stages:?}");
    cluster.agree().await;
}

/// Kills the leader and lets it come back, twice, between moves; returns those killed when agents have moved enough.
async fn kill_two_leaders(cluster: &mut Cluster, fleet: &Fleet) -> Vec<String> {
    let mut killed = Vec::new();
    for kill in 1..=2 {
        fleet.stats().until(|stats| stats.get(Count::Moves) >= ALL_MOVES * kill / 4).await;
        let dead = cluster.kill_leader().await;
        cluster.node_mut(dead).start();
        cluster.ready().await;
        killed.push(cluster.node(dead).place().name());
    }
    fleet.stats().until(|stats| stats.get(Count::Moves) >= ALL_MOVES).await;
    killed
}

/// Waits until every node lists every agent as what it is.
async fn settled(what: &str, cluster: &Cluster, fleet: &Fleet) {
    until(what, Duration::from_secs(60), async || {
        if fleet.stats().online() < AGENTS as u64 {
            return Err(format!("{} of {AGENTS} agents are connected", fleet.stats().online()));
        }
        for number in 0..cluster.size() {
            let listed = listed(cluster.api(number)).await;
            let wrong = fleet.agents().iter().find(|agent| listed[&agent.identity().id] != real(cluster, agent));
            if let Some(agent) = wrong {
                let id = &agent.identity().id;
                return Err(format!(
                    "node {number}: {id} is listed as {:?}, is {:?}",
                    listed[id],
                    real(cluster, agent)
                ));
            }
        }
        Ok(())
    })
    .await;
}

mod the_judge {
    use super::*;

    fn delivery(stage: &str, shares: Option<u64>, attempts: u32) -> Delivery {
        let reason = Some("some".to_owned());
        Delivery { agent: "001".to_owned(), stage: stage.to_owned(), reason, shares, attempts }
    }

    fn verdict<const N: usize>(received: &[(u64, u64)], deliveries: [(u64, Delivery); N]) -> Result<(), String> {
        judge(&received.iter().copied().collect(), &deliveries.into())
    }

    #[test]
    fn accepts_one_restart_for_each_sending_and_honest_ends_without_one() {
        let shared = [(5, delivery("confirmed", None, 1)), (6, delivery("confirmed", Some(5), 0))];
        assert_eq!(verdict(&[(5, 1)], shared), Ok(()));
        assert_eq!(verdict(&[], [(5, delivery("unproven", None, 1)), (6, delivery("expired", None, 0))]), Ok(()));
    }

    #[test]
    fn sees_what_was_sent_twice_without_permission_or_to_the_wrong_agent() {
        assert!(verdict(&[(5, 2)], [(5, delivery("confirmed", None, 1))]).is_err());
        assert!(verdict(&[(5, 1)], [(5, delivery("expired", None, 0))]).is_err());
        assert!(verdict(&[(6, 1)], [(5, delivery("unproven", None, 1))]).is_err());
        let both = [(5, delivery("confirmed", None, 1)), (6, delivery("confirmed", Some(5), 0))];
        assert!(verdict(&[(5, 1), (6, 1)], both).is_err());
    }

    #[test]
    fn sees_what_was_confirmed_without_a_restart_and_what_has_no_end() {
        assert!(verdict(&[], [(5, delivery("confirmed", None, 1))]).is_err());
        assert!(verdict(&[(5, 1)], [(5, delivery("acknowledged", None, 1))]).is_err());
        let other = [(5, delivery("unproven", None, 1)), (6, delivery("confirmed", Some(5), 0))];
        assert!(verdict(&[(5, 1)], other).is_err());
    }
}
