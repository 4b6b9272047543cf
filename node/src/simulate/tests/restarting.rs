//! Restarts (agent protocol, section 4.7), and what quirks make of them.

use std::time::Duration;

use muster_gateway::codec::{AgentState, FromAgent, ToAgent};

use crate::simulate::testing::{FakeManager, QUICK, config, identity, number, within};
use crate::simulate::{Agent, Count, Pace, Quirks, Reaction};

async fn agent_and_manager() -> (Agent, FakeManager) {
    let manager = FakeManager::start().await;
    let agent = Agent::start(config(&[&manager], QUICK), identity(), 0, None);
    (agent, manager)
}

#[tokio::test]
async fn a_restart_is_answered_and_followed_by_shutdown_and_a_new_process() {
    let (agent, manager) = agent_and_manager().await;
    let mut peer = manager.new_process().await;
    assert_eq!(peer.ask(ToAgent::restart(number("a1"))).await, b"ok ");
    peer.expect_shutdown().await;
    manager.new_process().await;
    let stats = agent.stats();
    within(stats.until(|stats| stats.get(Count::RestartsDone) == 1)).await;
    assert_eq!(stats.get(Count::RestartsReceived), 1);
    assert_eq!(stats.restart_numbers(), ["a1"]);
}

#[tokio::test]
async fn restarts_queue_up_and_each_one_is_carried_out() {
    let manager = FakeManager::start().await;
    // Long enough for all three to arrive at the first process.
    let pace = Pace { settle: Duration::from_millis(200), ..QUICK };
    let agent = Agent::start(config(&[&manager], pace), identity(), 0, None);
    let mut peer = manager.new_process().await;
    for word in ["a1", "a2", "a3"] {
        assert_eq!(peer.ask(ToAgent::restart(number(word))).await, b"ok ");
    }
    for _ in 0..3 {
        peer.expect_shutdown().await;
        peer = manager.new_process().await;
    }
    assert_eq!(agent.stats().get(Count::RestartsReceived), 3);
    within(agent.stats().until(|stats| stats.get(Count::RestartsDone) == 3)).await;
}

#[tokio::test]
async fn a_restart_is_carried_out_although_the_manager_is_gone() {
    let (first, second) = (FakeManager::start().await, FakeManager::start().await);
    let agent = Agent::start(config(&[&first, &second], QUICK), identity(), 0, None);
    let mut peer = first.new_process().await;
    assert_eq!(peer.ask(ToAgent::restart(number("a1"))).await, b"ok ");
    drop((peer, first));
    second.new_process().await;
    assert_eq!(agent.stats().get(Count::RestartsReceived), 1);
    assert_eq!(agent.stats().get(Count::RestartsDone), 1);
}

#[tokio::test]
async fn only_a_new_process_has_sent_no_keepalive() {
    let (agent, manager) = agent_and_manager().await;
    let mut peer = manager.new_process().await;
    let state = AgentState::from_answer(&peer.ask(ToAgent::state_query(number("q1"))).await).unwrap();
    assert_eq!((state.msg_sent, state.has_sent_keepalive()), (2, false));
    let state = AgentState::from_answer(&peer.ask(ToAgent::state_query(number("q2"))).await).unwrap();
    assert_eq!(state.msg_sent, 3);
    peer.ask(ToAgent::restart(number("a1"))).await;
    peer.expect_shutdown().await;
    let mut peer = manager.new_process().await;
    let state = AgentState::from_answer(&peer.ask(ToAgent::state_query(number("q3"))).await).unwrap();
    assert_eq!(state.msg_sent, 2);
    drop(agent);
}

#[tokio::test]
async fn refused_restarts_are_answered_err_and_not_carried_out() {
    let (agent, manager) = agent_and_manager().await;
    agent.set_quirks(Quirks { refuse_restarts: 2, ..Quirks::default() });
    let mut peer = manager.new_process().await;
    assert_eq!(peer.ask(ToAgent::restart(number("a1"))).await, b"err Connection refused");
    assert_eq!(peer.ask(ToAgent::restart(number("a2"))).await, b"err Connection refused");
    assert_eq!(peer.ask(ToAgent::restart(number("a3"))).await, b"ok ");
    peer.expect_shutdown().await;
    manager.new_process().await;
    assert_eq!(agent.stats().get(Count::RestartsRefused), 2);
    assert_eq!(agent.stats().restart_numbers(), ["a1", "a2", "a3"]);
}

#[tokio::test]
async fn an_ok_may_be_followed_by_nothing() {
    let (agent, manager) = agent_and_manager().await;
    agent.set_quirks(Quirks { on_restart: Reaction::AnswerOnly, ..Quirks::default() });
    let mut peer = manager.new_process().await;
    assert_eq!(peer.ask(ToAgent::restart(number("a1"))).await, b"ok ");
    // The next thing that happens is what is asked for next, on the same connection.
    agent.restart();
    peer.expect_shutdown().await;
    manager.new_process().await;
    within(agent.stats().until(|stats| stats.get(Count::RestartsDone) == 1)).await;
    assert_eq!(agent.stats().get(Count::RestartsReceived), 1);
}

#[tokio::test]
async fn a_restart_may_never_be_answered() {
    let (agent, manager) = agent_and_manager().await;
    agent.set_quirks(Quirks { on_restart: Reaction::Ignore, ..Quirks::default() });
    let mut peer = manager.new_process().await;
    peer.send(&ToAgent::restart(number("a1"))).await;
    // The answer is to the second request: none came for the first.
    assert!(peer.ask(ToAgent::state_query(number("q1"))).await.starts_with(b"{"));
    assert_eq!(agent.stats().get(Count::RestartsReceived), 1);

    agent.set_quirks(Quirks { on_restart: Reaction::ObeySilently, ..Quirks::default() });
    peer.send(&ToAgent::restart(number("a2"))).await;
    peer.expect_shutdown().await;
    manager.new_process().await;
}

#[tokio::test]
async fn a_lost_started_event_leaves_a_gap_in_the_counter() {
    let (agent, manager) = agent_and_manager().await;
    let mut peer = manager.new_process().await;
    agent.set_quirks(Quirks { lose_started: 1, ..Quirks::default() });
    peer.ask(ToAgent::restart(number("a1"))).await;
    peer.expect_shutdown().await;
    let mut peer = manager.session().await;
    let startup = peer.numbering.unwrap();
    let state = AgentState::from_answer(&peer.ask(ToAgent::state_query(number("q1"))).await).unwrap();
    assert_eq!((state.msg_sent, state.has_sent_keepalive()), (2, false));
    assert_eq!(peer.numbering.unwrap().local, startup.local + 2);
    assert_eq!(agent.stats().get(Count::LostStartedEvents), 1);
    assert_eq!(agent.stats().get(Count::RestartsDone), 1);
}

#[tokio::test]
async fn a_killed_process_says_no_shutdown() {
    let (agent, manager) = agent_and_manager().await;
    agent.set_quirks(Quirks { omit_shutdown: true, ..Quirks::default() });
    let mut peer = manager.new_process().await;
    peer.ask(ToAgent::restart(number("a1"))).await;
    peer.expect_close().await;
    manager.new_process().await;
    assert_eq!(agent.stats().get(Count::Shutdowns), 0);
}

#[tokio::test]
async fn an_agent_may_die_of_a_restart() {
    let (agent, manager) = agent_and_manager().await;
    agent.set_quirks(Quirks { on_restart: Reaction::Die, ..Quirks::default() });
    let mut peer = manager.new_process().await;
    peer.send(&ToAgent::restart(number("a1"))).await;
    peer.expect_close().await;
    within(agent.stats().until(|stats| stats.online() == 0)).await;
    within(async {
        while !agent.has_ended() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_managers_execd_form_restarts_nobody_without_ar_conf() {
    let (agent, manager) = agent_and_manager().await;
    let mut peer = manager.new_process().await;
    peer.send(&ToAgent::EXECD_RESTART).await;
    peer.ask(ToAgent::state_query(number("q1"))).await;
    assert_eq!(agent.stats().get(Count::RestartsReceived), 0);
    let direct = br#"{"version":1,"origin":{"name":"n1","module":"m"},"command":"restart-wazuh","parameters":{}}"#;
    peer.send(&ToAgent::Execd(direct)).await;
    peer.expect_shutdown().await;
    manager.new_process().await;
}

#[tokio::test]
async fn a_stopped_agent_says_its_shutdown() {
    let (agent, manager) = agent_and_manager().await;
    let mut peer = manager.new_process().await;
    agent.send_event("1:/var/log/syslog:hello");
    assert!(matches!(FromAgent::decode(&peer.receive().await.unwrap()), FromAgent::Event(_)));
    let stats = agent.stats().clone();
    within(agent.stop()).await;
    peer.expect_shutdown().await;
    assert_eq!((stats.online(), stats.get(Count::Shutdowns)), (0, 1));
}
