use super::*;
use crate::change::{Change, CloseCause, ProcessState, Seen, Sighting};
use crate::ids::Epoch;
use crate::selector::Selector;
use crate::testing::Script;

const FRESH: Evidence = Evidence::State(ProcessState { has_sent_keepalive: false });
const RUNNING: Evidence = Evidence::State(ProcessState { has_sent_keepalive: true });
const PROVE: u64 = PROVE_WITHIN.get();

struct Case {
    script: Script,
    agent: AgentId,
    epoch: Epoch,
    command: CommandId,
}

/// An active agent on node 1, and a restart of it that is queued.
fn queued() -> Case {
    let mut script = Script::new();
    script.node(1);
    script.node(2);
    let (agent, epoch) = script.connected(1);
    let command = script.restart(agent);
    Case { script, agent, epoch, command }
}

/// The same, and its owner has the right to send it.
fn sent() -> Case {
    let mut case = queued();
    case.script.send(case.agent, case.epoch, case.command).expect("it is queued for this session");
    case
}

/// A restart sent to an agent whose process was heard, but has sent no keepalive yet.
fn sent_to_a_fresh_process() -> Case {
    let mut script = Script::new();
    script.node(1);
    let agent = script.enroll();
    let epoch = script.opened(agent, 1);
    let heard = Sighting { agent, epoch, keepalive_at: None, report: None };
    script.apply(Change::Seen(Seen { sightings: vec![heard], refused: None }));
    let command = script.restart(agent);
    script.send(agent, epoch, command).expect("it is queued for this session");
    Case { script, agent, epoch, command }
}

impl Case {
    fn stage(&self) -> Stage {
        self.script.delivery(self.command, self.agent).stage
    }

    fn reason(&self) -> Option<Reason> {
        self.script.delivery(self.command, self.agent).reason
    }

    fn tell(&mut self, epoch: Epoch, evidence: Evidence) -> Result<(), Refusal> {
        self.script.receipt(self.agent, epoch, Some(self.command), evidence)
    }

    fn shut_down(&mut self, epoch: Epoch) {
        self.script.close(self.agent, epoch, CloseCause::Shutdown).expect("the session is open");
    }
}

#[test]
fn the_owner_is_offered_the_delivery_and_allowed_to_send_it_once() {
    let mut case = queued();
    let offered = case.script.offered();
    assert_eq!(offered.len(), 1);
    assert_eq!((offered[0].agent, offered[0].epoch, offered[0].command), (case.agent, case.epoch, case.command));
    assert_eq!(case.script.send(case.agent, case.epoch, case.command), Ok(()));
    assert_eq!(case.script.allowed(), offered);
    assert_eq!(case.script.send(case.agent, case.epoch, case.command), Err(Refusal::NotQueued));
    assert_eq!(case.script.allowed(), []);
}

#[test]
fn only_the_holder_of_the_current_epoch_may_send() {
    let mut case = queued();
    let newer = case.script.connect(case.agent, 2);
    assert_eq!(case.script.send(case.agent, case.epoch, case.command), Err(Refusal::StaleEpoch));
    assert_eq!(case.script.send(case.agent, newer, case.command), Ok(()));
}

#[test]
fn what_was_not_sent_before_the_owner_died_is_offered_to_the_next_one() {
    let mut case = queued();
    let newer = case.script.opened(case.agent, 2);
    let offered = case.script.offered();
    assert_eq!(offered.iter().map(|dispatch| dispatch.epoch).collect::<Vec<_>>(), [newer]);
}

#[test]
fn agent_started_in_a_later_session_proves_a_restart() {
    let mut case = sent();
    let newer = case.script.opened(case.agent, 2);
    assert_eq!(case.script.receipt(case.agent, newer, None, Evidence::Started), Ok(()));
    assert_eq!((case.stage(), case.reason()), (Stage::Confirmed, Some(Reason::Started)));
}

#[test]
fn agent_started_after_a_session_in_which_nothing_was_heard_may_be_of_an_earlier_start() {
    let mut case = queued();
    // The new process says "Agent started" but once: here its first connection broke before it was acked.
    let silent = case.script.opened(case.agent, 2);
    case.script.send(case.agent, silent, case.command).expect("it is queued for this session");
    let newer = case.script.opened(case.agent, 1);
    let refusal = case.script.receipt(case.agent, newer, None, Evidence::Started);
    assert_eq!((refusal, case.stage()), (Err(Refusal::NothingUnderWay), Stage::Sent));
}

#[test]
fn whoever_was_heard_after_the_sending_had_started_before() {
    let mut case = queued();
    let silent = case.script.opened(case.agent, 2);
    case.script.send(case.agent, silent, case.command).expect("it is queued for this session");
    case.script.sighting(case.agent, silent).expect("the session is open");
    let newer = case.script.opened(case.agent, 1);
    assert_eq!(case.script.receipt(case.agent, newer, None, Evidence::Started), Ok(()));
    assert_eq!(case.stage(), Stage::Confirmed);
}

#[test]
fn whoever_answered_had_started_before() {
    let mut case = queued();
    let silent = case.script.opened(case.agent, 2);
    case.script.send(case.agent, silent, case.command).expect("it is queued for this session");
    case.tell(silent, Evidence::Answered).expect("it is under way");
    let newer = case.script.opened(case.agent, 1);
    assert_eq!(case.script.receipt(case.agent, newer, None, Evidence::Started), Ok(()));
    assert_eq!(case.stage(), Stage::Confirmed);
}

#[test]
fn agent_started_in_the_session_it_was_sent_in_is_of_an_earlier_start() {
    let mut case = sent();
    let refusal = case.script.receipt(case.agent, case.epoch, None, Evidence::Started);
    assert_eq!((refusal, case.stage()), (Err(Refusal::NothingUnderWay), Stage::Sent));
}

#[test]
fn a_startup_that_came_before_the_sending_proves_nothing_however_late_its_session_opens() {
    let mut case = queued();
    let Change::OpenSessions(open) = case.script.open_under(case.agent, 2, 1) else { panic!("a session") };
    case.script.send(case.agent, case.epoch, case.command).expect("it is queued for this session");
    case.script.apply(Change::OpenSessions(open));
    let newer = case.epoch.next();
    let refusal = case.script.receipt(case.agent, newer, None, Evidence::Started);
    assert_eq!((refusal, case.stage()), (Err(Refusal::NothingUnderWay), Stage::Sent));
}

#[test]
fn what_a_resumed_session_repeats_is_no_later_startup() {
    let mut case = sent();
    case.script.pass(case.script.lease.get());
    case.script.node(1);
    case.script.resume(case.agent, 1, case.epoch);
    let refusal = case.script.receipt(case.agent, case.epoch.next(), None, Evidence::Started);
    assert_eq!((refusal, case.stage()), (Err(Refusal::NothingUnderWay), Stage::Sent));
}

#[test]
fn a_mere_reconnect_proves_nothing() {
    let mut case = sent();
    case.script.connect(case.agent, 2);
    assert_eq!(case.stage(), Stage::Sent);
    case.script.keep_leases(PROVE);
    assert_eq!((case.stage(), case.reason()), (Stage::Unproven, Some(Reason::NoEvidence)));
}

#[test]
fn a_shutdown_and_then_a_startup_prove_a_restart() {
    let mut case = sent();
    case.shut_down(case.epoch);
    assert_eq!(case.stage(), Stage::Sent);
    case.script.opened(case.agent, 2);
    assert_eq!((case.stage(), case.reason()), (Stage::Confirmed, Some(Reason::ShutdownThenStartup)));
}

#[test]
fn a_shutdown_before_the_command_was_sent_proves_nothing() {
    let mut case = queued();
    case.shut_down(case.epoch);
    let newer = case.script.connect(case.agent, 2);
    case.script.send(case.agent, newer, case.command).expect("it is offered to the new session");
    case.script.connect(case.agent, 2);
    assert_eq!(case.stage(), Stage::Sent);
}

#[test]
fn a_startup_without_other_evidence_makes_the_owner_ask_for_the_state() {
    let mut case = sent();
    let newer = case.script.opened(case.agent, 2);
    let wanted = case.script.events.iter().any(|event| {
        matches!(event, Event::StateWanted(dispatch) if dispatch.agent == case.agent && dispatch.epoch == newer)
    });
    assert!(wanted, "{:?}", case.script.events);
    assert_eq!(case.tell(newer, FRESH), Ok(()));
    assert_eq!((case.stage(), case.reason()), (Stage::Confirmed, Some(Reason::NewProcess)));
}

#[test]
fn the_state_of_the_old_process_proves_nothing() {
    let mut case = sent();
    let newer = case.script.opened(case.agent, 2);
    assert_eq!((case.tell(newer, RUNNING), case.stage()), (Ok(()), Stage::Sent));
}

#[test]
fn a_fresh_state_proves_nothing_if_the_old_process_was_fresh_too() {
    let mut case = sent_to_a_fresh_process();
    let newer = case.script.opened(case.agent, 1);
    assert_eq!((case.tell(newer, FRESH), case.stage()), (Ok(()), Stage::Sent));
}

#[test]
fn a_keepalive_after_the_sending_counts_for_the_old_process() {
    let mut case = sent_to_a_fresh_process();
    case.script.sighting(case.agent, case.epoch).expect("the session is open");
    let newer = case.script.opened(case.agent, 1);
    assert_eq!((case.tell(newer, FRESH), case.stage()), (Ok(()), Stage::Confirmed));
}

#[test]
fn ok_alone_ends_unproven() {
    let mut case = sent();
    assert_eq!(case.tell(case.epoch, Evidence::Answered), Ok(()));
    assert_eq!(case.stage(), Stage::Acknowledged);
    case.script.keep_leases(PROVE);
    assert_eq!(case.stage(), Stage::Unproven);
}

#[test]
fn err_is_sent_again_after_a_pause() {
    let mut case = sent();
    let text = Label::truncated("Connection refused");
    assert_eq!(case.tell(case.epoch, Evidence::Refused(text.clone())), Ok(()));
    assert_eq!((case.stage(), case.reason()), (Stage::Queued, Some(Reason::Refused(text))));
    assert_eq!(case.script.offered(), []);
    assert_eq!(case.script.send(case.agent, case.epoch, case.command), Err(Refusal::NotQueued));
    case.script.pass(RETRY_AFTER.get());
    assert_eq!(case.script.offered().len(), 1);
    assert_eq!(case.script.send(case.agent, case.epoch, case.command), Ok(()));
    assert_eq!(case.script.delivery(case.command, case.agent).attempts, 2);
}

#[test]
fn err_for_a_quarter_of_a_minute_is_a_failure() {
    let mut case = sent();
    let refused = || Evidence::Refused(Label::truncated("Connection refused"));
    while case.stage() != Stage::Failed {
        case.tell(case.epoch, refused()).expect("it is under way");
        case.script.keep_leases(RETRY_AFTER.get());
        if case.stage() == Stage::Queued {
            case.script.send(case.agent, case.epoch, case.command).expect("it is offered again");
        }
    }
    let attempts = case.script.delivery(case.command, case.agent).attempts;
    assert!((7..=9).contains(&attempts), "{attempts}");
}

#[test]
fn what_was_not_written_is_offered_again() {
    let mut case = sent();
    assert_eq!(case.tell(case.epoch, Evidence::Unwritten), Ok(()));
    assert_eq!((case.stage(), case.script.offered().len()), (Stage::Queued, 1));
}

#[test]
fn another_session_cannot_say_that_nothing_was_written() {
    let mut case = sent();
    let newer = case.script.connect(case.agent, 2);
    assert_eq!(case.tell(newer, Evidence::Unwritten), Err(Refusal::NothingUnderWay));
    assert_eq!(case.tell(case.epoch, Evidence::Unwritten), Ok(()));
    assert_eq!(case.script.offered().iter().map(|dispatch| dispatch.epoch).collect::<Vec<_>>(), [newer]);
}

#[test]
fn what_may_have_been_written_is_not_sent_again_after_a_fail_over() {
    let mut case = sent();
    case.script.keep_leases(1_000);
    case.script.restart_node(1);
    assert_eq!(case.script.offered(), []);
    let newer = case.script.connect(case.agent, 2);
    assert_eq!(case.script.send(case.agent, newer, case.command), Err(Refusal::NotQueued));
}

#[test]
fn ten_restarts_within_a_second_are_at_most_two() {
    let mut case = sent();
    let others: Vec<_> = (0..9).map(|_| case.script.restart(case.agent)).collect();
    assert_eq!(case.script.offered(), []);
    let newer = case.script.opened(case.agent, 1);
    case.script.receipt(case.agent, newer, None, Evidence::Started).expect("it proves the first");
    let offered = case.script.offered();
    assert_eq!(offered.iter().map(|dispatch| dispatch.command).collect::<Vec<_>>(), [others[0]]);
    case.script.send(case.agent, newer, others[0]).expect("it is offered");
    let newest = case.script.opened(case.agent, 1);
    case.script.receipt(case.agent, newest, None, Evidence::Started).expect("it proves the second");
    for command in others {
        let delivery = case.script.delivery(command, case.agent);
        assert_eq!((delivery.stage, delivery.reason), (Stage::Confirmed, Some(Reason::Started)));
    }
    assert_eq!(case.script.control.lane(case.agent), None);
}

#[test]
fn a_restart_and_a_reconnect_do_not_share_a_sending() {
    let mut case = queued();
    let reconnect = case.script.issue(CommandKind::Reconnect, Selector::All).expect("an agent is active").command;
    assert_eq!(case.script.send(case.agent, case.epoch, reconnect), Err(Refusal::NotQueued));
    assert_eq!(case.script.delivery(reconnect, case.agent).shares, None);
}

#[test]
fn a_reconnect_is_proven_by_the_next_startup() {
    let mut script = Script::new();
    script.node(1);
    let (agent, epoch) = script.connected(1);
    let command = script.issue(CommandKind::Reconnect, Selector::All).expect("an agent is active").command;
    script.send(agent, epoch, command).expect("it is queued for this session");
    script.opened(agent, 1);
    let delivery = script.delivery(command, agent);
    assert_eq!((delivery.stage, delivery.reason), (Stage::Confirmed, Some(Reason::Reconnected)));
}

#[test]
fn a_resumed_session_is_no_startup() {
    let mut case = sent();
    case.script.pass(case.script.lease.get());
    case.script.node(1);
    case.script.resume(case.agent, 1, case.epoch);
    assert_eq!(case.stage(), Stage::Sent);
    assert!(!case.script.events.iter().any(|event| matches!(event, Event::StateWanted(_))));
}

#[test]
fn what_is_not_sent_in_time_expires_and_leaves_the_rest_to_its_heir() {
    let mut case = queued();
    case.script.keep_leases(60_000);
    let heir = case.script.restart(case.agent);
    let last = case.script.restart(case.agent);
    assert_eq!(case.script.delivery(heir, case.agent).shares, Some(case.command));
    case.script.keep_leases(60_000);
    assert_eq!((case.stage(), case.reason()), (Stage::Expired, Some(Reason::NotSentInTime)));
    assert_eq!(case.script.delivery(heir, case.agent).shares, None);
    assert_eq!(case.script.delivery(last, case.agent).shares, Some(heir));
    assert_eq!(case.script.send(case.agent, case.epoch, heir), Ok(()));
    case.script.keep_leases(PROVE);
    for command in [heir, last] {
        assert_eq!(case.script.delivery(command, case.agent).stage, Stage::Unproven);
    }
}

#[test]
fn a_command_in_the_middle_of_a_lane_expires_alone() {
    let mut case = sent();
    let second = case.script.restart(case.agent);
    case.script.keep_leases(1_000);
    let reconnect = case.script.issue(CommandKind::Reconnect, Selector::All).expect("an agent is active").command;
    case.script.keep_leases(119_000 - 1_000);
    case.script.keep_leases(1_000);
    assert_eq!(case.stage(), Stage::Unproven);
    assert_eq!(case.script.delivery(second, case.agent).stage, Stage::Expired);
    assert_eq!(case.script.delivery(reconnect, case.agent).stage, Stage::Queued);
    assert_eq!(case.script.send(case.agent, case.epoch, reconnect), Ok(()));
}

#[test]
fn removal_of_the_agent_cancels_what_is_open() {
    let mut case = sent();
    let second = case.script.restart(case.agent);
    case.script.remove(case.agent);
    for command in [case.command, second] {
        let delivery = case.script.delivery(command, case.agent);
        assert_eq!((delivery.stage, delivery.reason), (Stage::Cancelled, Some(Reason::AgentRemoved)));
    }
    case.script.pass(PROVE * 2);
    assert_eq!(case.stage(), Stage::Cancelled);
}

#[test]
fn a_retry_that_comes_too_late_to_be_sent_fails_with_the_words_of_the_agent() {
    let mut case = queued();
    case.script.keep_leases(119_000);
    case.script.send(case.agent, case.epoch, case.command).expect("a second is left");
    let text = Label::truncated("Connection refused");
    case.tell(case.epoch, Evidence::Refused(text.clone())).expect("it is under way");
    case.script.keep_leases(1_000);
    assert_eq!((case.stage(), case.reason()), (Stage::Failed, Some(Reason::Refused(text))));
    assert_eq!(case.script.control.lane(case.agent), None);
}

#[test]
fn a_sending_that_is_not_used_after_its_time_expires() {
    let mut case = queued();
    case.script.keep_leases(119_000);
    case.script.send(case.agent, case.epoch, case.command).expect("a second is left");
    case.script.keep_leases(2_000);
    case.tell(case.epoch, Evidence::Unwritten).expect("it is under way");
    assert_eq!((case.stage(), case.reason()), (Stage::Expired, Some(Reason::NotSentInTime)));
}
