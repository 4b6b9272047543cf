//! The life of deliveries: when each may be sent, and what proves that it was carried out.
//!
//! Two things never happen here. What may have reached an agent is not sent again, unless the agent said that it
//! did nothing or the owner that it wrote nothing. And nothing counts as done that the agent did not prove.

use std::sync::Arc;

use crate::agent::{Session, Status};
use crate::change::{Evidence, MarkSent, Receipt, Receipts, Send};
use crate::command::{CommandKind, Delivery, Reason, Stage};
use crate::control::{Control, Turn};
use crate::event::{Dispatch, Event};
use crate::ids::{AgentId, CommandId};
use crate::lane::{Lane, LaneItem, Sending, Sent};
use crate::outcome::{Outcome, Refusal};
use crate::stamp::{Millis, Stamp};
use crate::text::Label;
use crate::timer::Timer;

use super::session::refused;

/// How long a sent delivery waits for its proof: a restart may take a slow stop, a retry and a change of node.
pub(crate) const PROVE_WITHIN: Millis = Millis::from_secs(120);

/// After `err`, the agent is asked again so much later ...
const RETRY_AFTER: Millis = Millis::from_secs(2);

/// ... until it has been saying so for this long.
const RETRY_FOR: Millis = Millis::from_secs(15);

impl Control {
    /// Puts a command into the lane of an agent; returns the command whose sending it shares, if it does.
    pub(crate) fn enqueue(
        &mut self,
        agent: AgentId,
        command: CommandId,
        kind: CommandKind,
        turn: &mut Turn,
    ) -> Option<CommandId> {
        let lane = self.lanes.entry(agent).or_default();
        if let Some(last) = lane.items.last_mut().filter(|last| last.kind == kind && last.sent().is_none()) {
            last.sharers.push(command);
            return Some(last.command);
        }
        let sending = Sending::Waiting(turn.now);
        lane.items.reserve_exact(1); // few lanes ever hold more, and a vector begins with room for four
        lane.items.push(LaneItem { command, kind, sharers: Vec::new(), sending, first_refused_at: None });
        if lane.items.len() == 1 {
            self.offer(agent, turn);
        }
        None
    }

    /// Tells the agent's owner, if it has one, what is to be sent next.
    fn offer(&self, agent: AgentId, turn: &mut Turn) {
        turn.events.extend(self.sendable(agent).map(Event::DeliveryQueued));
    }

    pub(crate) fn mark_sent(&mut self, mark: &MarkSent, turn: &mut Turn) -> Outcome {
        refused(mark.sends.iter().map(|send| (send.agent, self.send(send, turn))))
    }

    fn send(&mut self, send: &Send, turn: &mut Turn) -> Result<(), Refusal> {
        self.current(send.agent, send.epoch)?;
        let dispatch = self.sendable(send.agent).filter(|dispatch| dispatch.command == send.command);
        let dispatch = dispatch.ok_or(Refusal::NotQueued)?;
        let sent = Sent {
            epoch: send.epoch,
            prove_by: turn.now.plus(PROVE_WITHIN),
            kept_alive: false,
            shutdown_seen: false,
            index: turn.index,
            spoke: false,
        };
        self.set_sending(send.agent, Sending::Sent(sent), turn.now);
        self.note_process(send.agent);
        self.update_head(send.agent, turn, |delivery| {
            delivery.stage = Stage::Sent;
            delivery.reason = None;
            delivery.epoch = Some(send.epoch);
            delivery.sent_at = Some(turn.now);
            delivery.attempts += 1;
        });
        turn.events.push(Event::DeliverySent(dispatch));
        Ok(())
    }

    pub(crate) fn receipts(&mut self, receipts: &Receipts, turn: &mut Turn) -> Outcome {
        refused(receipts.receipts.iter().map(|receipt| (receipt.agent, self.receipt(receipt, turn))))
    }

    fn receipt(&mut self, receipt: &Receipt, turn: &mut Turn) -> Result<(), Refusal> {
        let agent = receipt.agent;
        if receipt.evidence != Evidence::Unwritten {
            self.current(agent, receipt.epoch)?;
            self.heard(agent, turn);
        }
        let head = self.lanes.get(&agent).and_then(Lane::head).ok_or(Refusal::NothingUnderWay)?;
        let sent = head.sent().ok_or(Refusal::NothingUnderWay)?;
        let named = receipt.command == Some(head.command);
        let restarts = head.kind == CommandKind::Restart;
        // A session may be opened long after its startup came, so its epoch does not tell which was first.
        let later = self.agents.get(agent).is_some_and(|agent| agent.startup_at >= sent.index);
        match &receipt.evidence {
            Evidence::Answered if named => self.acknowledge(agent, turn),
            Evidence::Refused(text) if named => self.ask_again(agent, text, turn),
            // Only the holder of the right to send can say that it was not used.
            Evidence::Unwritten if named && receipt.epoch == sent.epoch => {
                self.requeue(agent, turn.now, &Reason::Unwritten, turn);
            }
            // Otherwise the event may be of an earlier start.
            Evidence::Started if restarts && later && sent.spoke => {
                self.settle(agent, Stage::Confirmed, &Reason::Started, turn);
            }
            Evidence::State(state) if restarts && named && later => {
                if sent.kept_alive && !state.has_sent_keepalive {
                    self.settle(agent, Stage::Confirmed, &Reason::NewProcess, turn);
                }
            }
            _ => return Err(Refusal::NothingUnderWay),
        }
        Ok(())
    }

    /// The agent took the command, which it could not without having been acked.
    fn acknowledge(&mut self, agent: AgentId, turn: &mut Turn) {
        if let Some(sent) = self.lanes.get_mut(&agent).and_then(Lane::head_mut).and_then(LaneItem::sent_mut) {
            sent.spoke = true;
        }
        self.update_head(agent, turn, |delivery| delivery.stage = Stage::Acknowledged);
    }

    /// The agent said `err`: it did nothing, so it may be asked again, for a while.
    fn ask_again(&mut self, agent: AgentId, text: &Label, turn: &mut Turn) {
        let Some(head) = self.lanes.get_mut(&agent).and_then(Lane::head_mut) else { return };
        let since = *head.first_refused_at.get_or_insert(turn.now);
        let reason = Reason::Refused(text.clone());
        if turn.now.since(since) >= RETRY_FOR {
            self.settle(agent, Stage::Failed, &reason, turn);
        } else {
            self.requeue(agent, turn.now.plus(RETRY_AFTER), &reason, turn);
        }
    }

    /// Lets the head be sent again from `from` on; the commands whose time to be sent is over end here.
    fn requeue(&mut self, agent: AgentId, from: Stamp, reason: &Reason, turn: &mut Turn) {
        self.set_sending(agent, Sending::Waiting(from), turn.now);
        self.update_head(agent, turn, |delivery| {
            delivery.stage = Stage::Queued;
            delivery.reason = Some(reason.clone());
        });
        let Some(head) = self.lanes.get(&agent).and_then(Lane::head) else { return };
        let late = |id: &CommandId| self.commands.get(id).is_none_or(|command| command.head.send_before <= turn.now);
        let late: Vec<_> = head.commands().filter(late).collect();
        for command in late {
            self.give_up_sending(agent, command, turn);
        }
        self.offer(agent, turn);
    }

    /// A session was opened: something may flow through it, or it tells of what was sent before.
    pub(crate) fn lane_meets_session(&mut self, agent: AgentId, is_startup: bool, turn: &mut Turn) {
        let Some(head) = self.lanes.get(&agent).and_then(Lane::head) else { return };
        match (head.sent(), head.kind) {
            (None, _) => self.offer(agent, turn),
            (Some(_), _) if !is_startup => {}
            (Some(_), CommandKind::Reconnect) => self.settle(agent, Stage::Confirmed, &Reason::Reconnected, turn),
            (Some(sent), CommandKind::Restart) if sent.shutdown_seen => {
                self.settle(agent, Stage::Confirmed, &Reason::ShutdownThenStartup, turn);
            }
            (Some(_), CommandKind::Restart) => {
                let (command, kind) = (head.command, head.kind);
                let wanted = self.session(agent).map(|session| {
                    let (node, epoch) = (session.node, session.epoch);
                    Event::StateWanted(Dispatch { agent, node, epoch, command, kind })
                });
                turn.events.extend(wanted);
            }
        }
    }

    /// The agent announced its shutdown in its current session.
    pub(crate) fn note_shutdown(&mut self, agent: AgentId) {
        if let Some(sent) = self.lanes.get_mut(&agent).and_then(Lane::head_mut).and_then(LaneItem::sent_mut) {
            sent.shutdown_seen = true;
        }
    }

    /// Remembers with what was sent what the open session tells of the agent's process: needed to judge what comes in
    /// later ones. Called when it is sent, and when its session ends.
    pub(crate) fn note_process(&mut self, agent: AgentId) {
        let Some(agent) = self.agents.get(agent) else { return };
        let Some(session) = agent.session.as_deref() else { return };
        let (epoch, kept_alive, spoke) = (session.epoch, session.kept_alive, agent.status == Status::Active);
        let sent = self.lanes.get_mut(&agent.id).and_then(Lane::head_mut).and_then(LaneItem::sent_mut);
        if let Some(sent) = sent.filter(|sent| sent.epoch == epoch) {
            sent.kept_alive |= kept_alive;
            sent.spoke |= spoke;
        }
    }

    /// The moment set for the head of a lane has come.
    pub(crate) fn wake_lane(&mut self, agent: AgentId, turn: &mut Turn) {
        let Some(head) = self.lanes.get(&agent).and_then(Lane::head) else { return };
        match &head.sending {
            Sending::Sent(sent) if sent.prove_by <= turn.now => {
                self.settle(agent, Stage::Unproven, &Reason::NoEvidence, turn);
            }
            Sending::Sent(_) => {}
            Sending::Waiting(_) => self.offer(agent, turn),
        }
    }

    /// The time to send a command is over: what of it still waits ends.
    pub(crate) fn stop_sending(&mut self, id: CommandId, turn: &mut Turn) {
        let Some(command) = self.commands.get(&id) else { return };
        let waits = |(_, delivery): &(&AgentId, &Delivery)| delivery.stage == Stage::Queued;
        let waiting: Vec<_> = command.deliveries.iter().filter(waits).map(|(agent, _)| *agent).collect();
        for agent in waiting {
            self.give_up_sending(agent, id, turn);
        }
    }

    /// Takes one command out of the part of a lane that waits; those that shared its sending stay.
    fn give_up_sending(&mut self, agent: AgentId, command: CommandId, turn: &mut Turn) {
        let Some(lane) = self.lanes.get_mut(&agent) else { return };
        let Some(place) = lane.items.iter().position(|item| item.commands().any(|id| id == command)) else { return };
        let item = &mut lane.items[place];
        let mut heir = None;
        if item.command != command {
            item.sharers.retain(|sharer| *sharer != command);
        } else if item.sharers.is_empty() {
            let gone = lane.items.remove(place);
            if place == 0 {
                self.timers.clear(gone.due(), Timer::Lane(agent)); // a lane's timer is that of its head
            }
        } else {
            item.command = item.sharers.remove(0);
            heir = Some(item.clone());
        }
        let emptied = lane.items.is_empty();
        if emptied {
            self.lanes.remove(&agent);
        }
        if let Some(item) = heir {
            self.update(agent, item.command, turn, |delivery| delivery.shares = None);
            for sharer in item.sharers {
                self.update(agent, sharer, turn, |delivery| delivery.shares = Some(item.command));
            }
        }
        let refusal = self.update(agent, command, turn, |delivery| delivery.reason.clone());
        match refusal.flatten() {
            Some(reason @ Reason::Refused(_)) => self.end(agent, command, Stage::Failed, &reason, turn),
            _ => self.end(agent, command, Stage::Expired, &Reason::NotSentInTime, turn),
        }
        if place == 0 && !emptied {
            self.offer(agent, turn);
        }
    }

    /// Ends all open deliveries of an agent.
    pub(crate) fn end_lane(&mut self, agent: AgentId, stage: Stage, reason: &Reason, turn: &mut Turn) {
        let Some(lane) = self.lanes.remove(&agent) else { return };
        if let Some(head) = lane.head() {
            self.timers.clear(head.due(), Timer::Lane(agent));
        }
        for command in lane.items.iter().flat_map(LaneItem::commands) {
            self.end(agent, command, stage, reason, turn);
        }
    }

    /// Ends the head of a lane and lets the next one flow.
    fn settle(&mut self, agent: AgentId, stage: Stage, reason: &Reason, turn: &mut Turn) {
        let Some(lane) = self.lanes.get_mut(&agent) else { return };
        let head = lane.items.remove(0);
        if lane.items.is_empty() {
            self.lanes.remove(&agent);
        }
        self.timers.clear(head.due(), Timer::Lane(agent));
        for command in head.commands() {
            self.end(agent, command, stage, reason, turn);
        }
        self.offer(agent, turn);
    }

    fn end(&mut self, agent: AgentId, command: CommandId, stage: Stage, reason: &Reason, turn: &mut Turn) {
        self.update(agent, command, turn, |delivery| {
            delivery.stage = stage;
            delivery.reason = Some(reason.clone());
        });
        turn.events.push(Event::DeliveryEnded { agent, command, stage });
    }

    /// Changes the deliveries that the head of a lane stands for.
    fn update_head(&mut self, agent: AgentId, turn: &Turn, change: impl Fn(&mut Delivery)) {
        let Some(head) = self.lanes.get(&agent).and_then(Lane::head) else { return };
        let commands: Vec<_> = head.commands().collect();
        for command in commands {
            self.update(agent, command, turn, &change);
        }
    }

    fn update<R>(
        &mut self,
        agent: AgentId,
        command: CommandId,
        turn: &Turn,
        change: impl FnOnce(&mut Delivery) -> R,
    ) -> Option<R> {
        let command = self.commands.get_mut(&command)?;
        Arc::make_mut(command).update(agent, turn.index, |delivery| {
            let before = delivery.stage;
            let result = change(delivery);
            if delivery.stage != before {
                delivery.since = turn.now;
            }
            result
        })
    }

    fn set_sending(&mut self, agent: AgentId, sending: Sending, now: Stamp) {
        let Some(head) = self.lanes.get_mut(&agent).and_then(Lane::head_mut) else { return };
        self.timers.clear(head.due(), Timer::Lane(agent));
        head.sending = sending;
        if head.due() > now {
            self.timers.set(head.due(), Timer::Lane(agent));
        }
    }

    fn session(&self, agent: AgentId) -> Option<&Session> {
        self.agents.get(agent).and_then(|agent| agent.session.as_deref())
    }
}

#[cfg(test)]
mod tests;
