//! Deliveries on their way from the log to the connection, once each.

use super::*;

#[test]
fn a_delivery_is_written_once_its_right_is_committed_and_only_once() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.issue(CommandKind::Restart, agent);
    assert!(sent(&sink).is_empty());
    let batch = story.take(Kind::Send).unwrap();
    assert!(sent(&sink).is_empty(), "asked for, not granted");
    let applied = story.apply_unseen(batch.change.clone());
    story.desk.applied(&applied.events, &story.control);
    story.desk.applied(&applied.events, &story.control);
    story.desk.jumped(&story.control);
    story.desk.settled(batch, applied.index, applied.outcome, &story.control);
    let [message] = &sent(&sink)[..] else { panic!("{:?}", sent(&sink)) };
    let number = format!("#!-req d{:x}-", command.get());
    assert!(message.starts_with(&number) && message.ends_with(" com restart"), "{message}");
}

#[test]
fn a_reconnect_is_an_order_without_a_number() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.issue(CommandKind::Reconnect, agent);
    story.settle();
    assert_eq!(sent(&sink), ["#!-force_reconnect"]);
    story.connect(agent);
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Confirmed);
}

#[test]
fn a_right_that_cannot_be_used_any_more_is_given_back() {
    let mut story = Story::new();
    let (agent, sink) = story.connected();
    let command = story.issue(CommandKind::Restart, agent);
    let batch = story.take(Kind::Send).unwrap();
    story.disconnect(agent);
    story.commit(batch, true);
    story.settle();
    assert_eq!(story.stage(agent, command), Stage::Queued);
    let next = story.connect(agent);
    story.settle();
    assert_eq!((sent(&sink).len(), sent(&next).len()), (0, 1));
    assert_eq!(story.delivery(agent, command).attempts, 2);
}

#[test]
fn a_right_granted_for_the_connection_before_is_not_used_on_the_next() {
    let mut story = Story::new();
    let (agent, old) = story.connected();
    let command = story.issue(CommandKind::Restart, agent);
    let batch = story.take(Kind::Send).unwrap();
    let new = story.connect(agent);
    story.commit(batch, true);
    assert_eq!((sent(&old).len(), sent(&new).len()), (0, 0));
    story.settle();
    // Asked for its state first: when it came back, the log did not know yet that nothing was written.
    let [question, order] = &sent(&new)[..] else { panic!("{:?}", sent(&new)) };
    assert!(question.ends_with("getstate") && order.ends_with("com restart"), "{question} {order}");
    assert!(sent(&old).is_empty());
    assert_eq!(story.stage(agent, command), Stage::Sent);
}

#[test]
fn what_the_connection_gave_back_unwritten_is_sent_again() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let command = story.restart(agent);
    let (line, epoch) = (story.lines[&agent].0, story.agent(agent).epoch);
    let unwritten = vec![crate::session::sink::Ticket { command, epoch }];
    story.desk.input(Input::Disconnected { agent, line, unwritten });
    let next = story.connect(agent);
    story.settle();
    assert_eq!(sent(&next).len(), 1);
}

#[test]
fn a_delivery_queued_before_the_outcome_arrived_is_sent() {
    let mut story = Story::new();
    let (agent, _) = story.connected();
    let sink = story.connect(agent);
    let open = story.take(Kind::Open).unwrap();
    let applied = story.apply_unseen(open.change.clone());
    story.desk.applied(&applied.events, &story.control);
    story.say(agent, Heard::Spoke);
    let elsewhere = story.apply_unseen(Change::IssueCommand(IssueCommand {
        kind: CommandKind::Reconnect,
        selector: Selector::All,
        issuer: None,
        send_within: Millis::from_secs(60),
    }));
    // Pending agents take no command; the same agent made active first does.
    assert!(matches!(elsewhere.outcome, Outcome::Issued(ref issued) if issued.targets.is_empty()));
    story.desk.settled(open, applied.index, applied.outcome, &story.control);
    story.settle();
    story.issue(CommandKind::Reconnect, agent);
    story.settle();
    assert_eq!(sent(&sink), ["#!-force_reconnect"]);
}
