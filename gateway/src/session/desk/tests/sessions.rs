//! Sessions: opened, resumed, ended, and what was heard in them.

use super::*;

#[test]
fn agents_that_connect_at_the_same_moment_travel_in_one_change() {
    let mut story = Story::new();
    let agents: Vec<_> = (0..50).map(|_| story.enroll()).collect();
    for agent in &agents {
        story.connect(*agent);
        story.say(*agent, Heard::Spoke);
    }
    assert_eq!(story.settle(), ["open_sessions"]);
    assert!(agents.iter().all(|agent| story.agent(*agent).status == Status::Active));
}

#[test]
fn the_first_message_after_the_session_opened_is_stated_at_once() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    story.settle();
    assert_eq!(story.agent(agent).status, Status::Pending);
    story.say(agent, Heard::Spoke);
    assert_eq!(story.settle(), ["seen"]);
    assert_eq!(story.agent(agent).status, Status::Active);
}

#[test]
fn keepalives_wait_for_their_interval_and_news_do_not() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.keepalive(agent, Some("Wazuh v4.14.7"));
    assert_eq!(story.settle(), ["seen"]);
    assert_eq!(story.agent(agent).report.version, Some(Label::truncated("Wazuh v4.14.7")));
    story.pass(Millis::from_secs(1));
    story.keepalive(agent, None);
    story.keepalive(agent, None);
    assert!(story.settle().is_empty());
    story.desk.end_interval();
    assert_eq!(story.settle(), ["seen"]);
    assert_eq!(story.agent(agent).last_keepalive, Some(story.stamp));
    assert_eq!(story.agent(agent).report.version, Some(Label::truncated("Wazuh v4.14.7")));
}

#[test]
fn a_shutdown_right_after_a_startup_is_told_although_the_connection_is_gone() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.connect(agent);
    story.say(agent, Heard::Shutdown);
    assert_eq!(story.settle(), ["open_sessions", "close_sessions"]);
    assert_eq!(story.agent(agent).status, Status::Disconnected);
}

#[test]
fn an_agent_that_is_elsewhere_loses_its_connection_here() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    story.open_elsewhere(agent);
    assert!(is_closed(&sink));
    story.say(agent, Heard::Shutdown);
    story.settle();
    assert_eq!((story.agent(agent).owner, story.agent(agent).status), (Some(ELSEWHERE), Status::Active));
}

#[test]
fn a_session_superseded_before_its_outcome_arrived_is_noticed() {
    let mut story = Story::new();
    let agent = story.enroll();
    let sink = story.connect(agent);
    let open = story.take(Kind::Open).unwrap();
    let applied = story.apply_unseen(open.change.clone());
    story.desk.applied(&applied.events, &story.control);
    story.open_elsewhere(agent);
    assert!(!is_closed(&sink));
    story.desk.settled(open, applied.index, applied.outcome, &story.control);
    assert!(is_closed(&sink));
}

#[test]
fn no_session_is_opened_for_a_connection_that_is_gone() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    story.disconnect(agent);
    assert!(story.settle().is_empty());
    assert_eq!(story.agent(agent).status, Status::NeverConnected);
}

#[test]
fn sessions_that_ended_with_the_lease_are_resumed_when_there_is_one() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let old = story.agent(agent).epoch;
    story.pass(LEASE);
    assert_eq!(story.agent(agent).status, Status::Disconnected);
    let batch = story.take(Kind::Open).unwrap();
    let applied = story.apply_unseen(batch.change.clone());
    let next = story.desk.settled(batch, applied.index, applied.outcome, &story.control);
    assert_eq!(next, super::super::Next::Wait);
    story.renew(HERE);
    story.settle();
    let record = story.agent(agent);
    assert_eq!((record.status, record.epoch > old, is_closed(&sink)), (Status::Active, true, false));
}

#[test]
fn what_was_heard_while_the_lease_lapsed_is_stated_after_the_resumption() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Shutdown);
    let late = story.take(Kind::Close).unwrap();
    story.pass(LEASE);
    story.renew(HERE);
    story.commit(late, false);
    story.connect(agent);
    story.settle();
    assert_eq!(story.proof(agent, command), Some(Reason::ShutdownThenStartup));
}

#[test]
fn a_late_statement_does_not_take_an_agent_from_where_it_is() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.say(agent, Heard::Shutdown);
    let late = story.take(Kind::Close).unwrap();
    story.open_elsewhere(agent);
    story.commit(late, false);
    story.settle();
    assert_eq!((story.agent(agent).owner, story.agent(agent).status), (Some(ELSEWHERE), Status::Active));
}

#[test]
fn an_agent_not_heard_of_is_disconnected_and_forgotten() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    story.desk.sweep(story.now);
    assert!(story.settle().is_empty());
    story.desk.sweep(story.now + SILENCE + Duration::from_secs(1));
    assert!(is_closed(&sink));
    assert_eq!(story.settle(), ["close_sessions"]);
    assert_eq!(story.agent(agent).status, Status::Disconnected);
    story.desk.sweep(story.now + SILENCE + Duration::from_secs(2));
    assert!(story.desk.seats.is_empty() && story.settle().is_empty());
}

#[test]
fn a_removed_agent_is_cut_off_at_once() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let agents = AgentSet::Only(vec![agent]);
    story.apply(Change::RemoveAgents(RemoveAgents { agents, statuses: None, older_than: Millis::new(0) }));
    assert!(is_closed(&sink));
    let again = story.connect(agent);
    story.settle();
    assert!(is_closed(&again), "its session is refused");
}

#[test]
fn missed_events_are_made_up_for_by_the_state() {
    let mut story = Story::new();
    let (restarted, sink) = story.connected();
    let (moved, gone) = story.connected();
    let issue = IssueCommand {
        kind: CommandKind::Restart,
        selector: Selector::Agents(vec![restarted]),
        issuer: None,
        send_within: Millis::from_secs(60),
    };
    story.apply_unseen(Change::IssueCommand(issue));
    story.apply_unseen(elsewhere(moved, story.control.index()));
    story.desk.jumped(&story.control);
    assert!(is_closed(&gone));
    let batch = story.take(Kind::Send).unwrap();
    let applied = story.apply_unseen(batch.change.clone());
    assert!(applied.events.iter().any(|event| matches!(event, Event::DeliverySent(_))));
    story.desk.jumped(&story.control);
    assert_eq!(sent(&sink).len(), 1, "the granted right was found in the state");
    story.desk.settled(batch, applied.index, applied.outcome, &story.control);
    story.settle();
    assert_eq!(sent(&sink).len(), 1);
}

#[test]
fn statements_that_could_not_be_committed_are_taken_again() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    for _ in 0..3 {
        let batch = story.take(Kind::Open).unwrap();
        story.desk.failed(batch);
    }
    story.say(agent, Heard::Spoke);
    assert_eq!(story.settle(), ["open_sessions"]);
    assert_eq!(story.agent(agent).status, Status::Active);
}

#[test]
fn a_connection_long_unheard_of_is_not_opened_when_the_quorum_returns() {
    let mut story = Story::new();
    let agent = story.enroll();
    let sink = story.connect(agent);
    let batch = story.take(Kind::Open).unwrap();
    story.desk.failed(batch);
    story.now += Duration::from_secs(121);
    assert!(story.settle().is_empty());
    assert!(is_closed(&sink));
}
