//! What agents say about what they were told to do, on its way into the log.

use super::*;

#[test]
fn agent_started_heard_before_the_epoch_is_known_confirms_the_restart() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Answered(command));
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Acknowledged);
    story.disconnect(agent);
    story.connect(agent);
    let open = story.take(Kind::Open).unwrap();
    story.say(agent, Heard::Started);
    story.commit(open, false);
    story.settle();
    assert_eq!(story.proof(agent, command), Some(Reason::Started));
}

#[test]
fn agent_started_is_not_stated_when_no_restart_is_under_way() {
    let mut story = Story::new();
    let agent = story.enroll();
    story.connect(agent);
    story.say(agent, Heard::Started);
    assert_eq!(story.settle(), ["open_sessions"]);
}

#[test]
fn a_shutdown_and_the_next_startup_confirm_the_restart() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Answered(command));
    story.say(agent, Heard::Shutdown);
    assert!(is_closed(&sink));
    story.connect(agent);
    story.settle();
    assert_eq!(story.proof(agent, command), Some(Reason::ShutdownThenStartup));
}

#[test]
fn a_mere_reconnect_makes_the_agent_be_asked_for_its_state() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    story.keepalive(agent, Some("Wazuh v4.14.7"));
    story.settle();
    let command = story.restart(agent);
    for (has_sent_keepalive, proof) in [(true, None), (false, Some(Reason::NewProcess))] {
        story.disconnect(agent);
        let sink = story.connect(agent);
        story.settle();
        let [question] = &sent(&sink)[..] else { panic!("{:?}", sent(&sink)) };
        assert!(question.ends_with(" agent getstate"), "{question}");
        story.say(agent, Heard::State(command, ProcessState { has_sent_keepalive }));
        story.settle();
        assert_eq!(story.proof(agent, command), proof);
    }
}

#[test]
fn a_refused_restart_is_sent_again_two_seconds_later() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.restart(agent);
    story.say(agent, Heard::Refused(command, Label::truncated("Connection refused")));
    story.settle();
    assert_eq!((story.stage(agent, command), sent(&sink).len()), (Stage::Queued, 1));
    story.pass(Millis::from_secs(2));
    story.settle();
    assert_eq!((story.stage(agent, command), sent(&sink).len()), (Stage::Sent, 2));
}

#[test]
fn an_answer_counts_from_the_connection_after() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    story.disconnect(agent);
    story.connect(agent);
    story.say(agent, Heard::Answered(command));
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Acknowledged);
}
