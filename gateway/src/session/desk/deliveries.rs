//! Deliveries from the log to the connection: asked for, allowed, written; and the question for an agent's state.

use muster_control::{AgentId, CommandId, CommandKind, Control, Dispatch, Epoch, Lane, LaneItem};

use super::Desk;
use crate::codec::{RequestNumber, ToAgent};
use crate::session::request::{Purpose, RequestTag};
use crate::session::sink::{Outgoing, Ticket};
use crate::session::statement::Statement;

impl Desk {
    /// A delivery waits: asks for the right to send it, if the agent's connection is here and was acked.
    pub(super) fn queued(&mut self, dispatch: &Dispatch) {
        let ticket = ticket(dispatch);
        let Some(seat) = self.seats.get_mut(&dispatch.agent) else { return };
        if seat.line_in(dispatch.epoch).is_some() && seat.asked != Some(ticket) {
            seat.asked = Some(ticket);
            self.queue.push(dispatch.agent, Statement::Send(ticket));
        }
    }

    /// The right to send was committed.
    pub(super) fn may_send(&mut self, dispatch: &Dispatch, control: &Control) {
        let ticket = ticket(dispatch);
        if self.seats.get(&dispatch.agent).is_some_and(|seat| seat.asked == Some(ticket)) {
            self.write(dispatch.agent, ticket, control);
        }
    }

    /// Uses the right to send, once. What ended meanwhile is not sent: nobody waits for it any more.
    fn write(&mut self, agent: AgentId, ticket: Ticket, control: &Control) {
        let Some(seat) = self.seats.get_mut(&agent) else { return };
        seat.asked = None;
        let Some(item) = head(control, agent).filter(|item| is_sent_with(item, ticket)) else { return };
        let outgoing = Outgoing { payload: order(item.kind, ticket.command), ticket: Some(ticket) };
        match seat.line_in(ticket.epoch).map(|line| line.sink.send(outgoing)) {
            Some(Ok(())) => {}
            Some(Err(_)) => {
                seat.hang_up();
                self.unwritten(agent, ticket);
            }
            None => self.unwritten(agent, ticket),
        }
    }

    /// States that a right to send was not used.
    pub(super) fn unwritten(&mut self, agent: AgentId, ticket: Ticket) {
        self.metrics.unwritten.inc();
        self.queue.push(agent, Statement::Unwritten(ticket));
    }

    /// An unproven restart may have happened: asks the agent whether its process is a new one.
    pub(super) fn ask_state(&mut self, dispatch: &Dispatch) {
        let line = self.seats.get_mut(&dispatch.agent).and_then(|seat| seat.line_in(dispatch.epoch));
        let Some(line) = line.filter(|line| !line.questioned) else { return };
        line.questioned = true;
        let payload = numbered(Purpose::AskState, dispatch.command, |number| ToAgent::state_query(number).encode());
        if line.sink.send(Outgoing { payload, ticket: None }).is_err() {
            tracing::debug!(agent_id = %dispatch.agent, "the connection does not take the question for the state");
        }
    }

    /// Looks up what events of this agent's session may have said before its epoch was known here.
    pub(super) fn catch_up(&mut self, agent: AgentId, epoch: Epoch, control: &Control) {
        let Some(item) = head(control, agent) else { return };
        let (command, kind) = (item.command, item.kind);
        let dispatch = Dispatch { agent, node: self.config.node, epoch, command, kind };
        match item.sent() {
            None => self.queued(&dispatch),
            Some(sent) if kind == CommandKind::Restart && sent.epoch < epoch => self.ask_state(&dispatch),
            Some(_) => {}
        }
    }

    /// Looks up what became of a right that was asked for.
    pub(super) fn recheck_asked(&mut self, agent: AgentId, control: &Control) {
        let Some(seat) = self.seats.get_mut(&agent) else { return };
        let Some(ticket) = seat.asked else { return };
        match head(control, agent) {
            Some(item) if is_sent_with(item, ticket) => self.write(agent, ticket, control),
            // Still under way, unless its session is over.
            Some(item) if item.sent().is_none() && seat.epoch == Some(ticket.epoch) => {}
            _ => seat.asked = None,
        }
    }

    /// Whether "Agent started", said in this session, can prove anything.
    ///
    /// A state that is older than the session does not tell, so it counts as yes.
    pub(super) fn is_start_awaited(&self, agent: AgentId, epoch: Epoch, control: &Control) -> bool {
        let is_current = self.seats.get(&agent).is_some_and(|seat| control.index() >= seat.opened_at);
        let sent = head(control, agent).and_then(LaneItem::sent);
        !is_current || sent.is_some_and(|sent| sent.epoch < epoch)
    }
}

fn ticket(dispatch: &Dispatch) -> Ticket {
    Ticket { command: dispatch.command, epoch: dispatch.epoch }
}

fn head(control: &Control, agent: AgentId) -> Option<&LaneItem> {
    control.lane(agent).and_then(Lane::head)
}

fn is_sent_with(item: &LaneItem, ticket: Ticket) -> bool {
    item.command == ticket.command && item.sent().is_some_and(|sent| sent.epoch == ticket.epoch)
}

/// The message that carries out a command.
fn order(kind: CommandKind, command: CommandId) -> Vec<u8> {
    match kind {
        CommandKind::Restart => numbered(Purpose::Deliver, command, |number| ToAgent::restart(number).encode()),
        CommandKind::Reconnect => ToAgent::ForceReconnect.encode(),
    }
}

fn numbered(purpose: Purpose, command: CommandId, encode: impl FnOnce(RequestNumber<'_>) -> Vec<u8>) -> Vec<u8> {
    let tag = RequestTag::new(purpose, command).to_string();
    encode(RequestNumber::new(&tag).expect("a tag is a short word of letters, digits and '-'"))
}
