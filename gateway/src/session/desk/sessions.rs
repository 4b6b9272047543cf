//! What the log says about sessions of this node.

use muster_control::{AgentId, Control, EndCause, Epoch, Event, StatusCode};

use super::Desk;
use crate::session::statement::Statement;

impl Desk {
    /// Takes what was applied; `control` contains it.
    pub(crate) fn applied(&mut self, events: &[Event], control: &Control) {
        for event in events {
            match event {
                Event::SessionEnded { agent, node, epoch, cause } if *node == self.config.node => {
                    self.ended(*agent, *epoch, *cause, control);
                }
                Event::AgentRemoved { agent } => self.removed(*agent),
                Event::DeliveryQueued(dispatch) => self.queued(dispatch),
                Event::DeliverySent(dispatch) => self.may_send(dispatch, control),
                Event::StateWanted(dispatch) => self.ask_state(dispatch),
                Event::SessionEnded { .. }
                | Event::AgentEnrolled { .. }
                | Event::SessionOpened { .. }
                | Event::NodeLost { .. }
                | Event::DeliveryEnded { .. } => {}
            }
        }
    }

    /// Events were missed: everything derived from them is looked up.
    pub(crate) fn jumped(&mut self, control: &Control) {
        let agents: Vec<_> = self.seats.keys().copied().collect();
        for agent in agents {
            self.reconcile(agent, control);
            self.recheck_asked(agent, control);
        }
        let queued: Vec<_> = control.queued_on(self.config.node).collect();
        queued.iter().for_each(|dispatch| self.queued(dispatch));
    }

    /// Brings one agent in line with the state, unless that is older than its session.
    ///
    /// Events up to the state's index may still come after this; all of them may be handled twice.
    pub(super) fn reconcile(&mut self, agent: AgentId, control: &Control) {
        let Some(seat) = self.seats.get(&agent) else { return };
        let Some(epoch) = seat.epoch.filter(|_| control.index() >= seat.opened_at) else { return };
        let Some(record) = control.agents().get(agent) else { return self.removed(agent) };
        if record.holds(epoch) {
            return self.catch_up(agent, epoch, control);
        }
        let cause = match record.status_code {
            _ if record.epoch != epoch => EndCause::Superseded,
            StatusCode::NodeLost => EndCause::NodeLost,
            StatusCode::Shutdown => EndCause::Shutdown,
            StatusCode::Silent | StatusCode::None | StatusCode::TooNew | StatusCode::NoVersion => EndCause::Silent,
        };
        self.ended(agent, epoch, cause, control);
    }

    fn ended(&mut self, agent: AgentId, epoch: Epoch, cause: EndCause, control: &Control) {
        if self.seats.get(&agent).is_some_and(|seat| seat.asked.is_some_and(|ticket| ticket.epoch == epoch)) {
            self.recheck_asked(agent, control);
        }
        let Some(seat) = self.seats.get_mut(&agent) else { return };
        let was_current = seat.epoch == Some(epoch);
        let on_line = seat.line_in(epoch).is_some();
        seat.forget(epoch);
        match cause {
            // The connection is as good as before: only the lease of this node had lapsed.
            EndCause::NodeLost if on_line || (was_current && self.queue.has_shutdown(agent)) => {
                self.queue.push_next(agent, Statement::Open(seat.resumption(epoch)));
            }
            EndCause::Superseded | EndCause::Shutdown | EndCause::Silent | EndCause::AgentRemoved if on_line => {
                seat.hang_up();
            }
            _ => {}
        }
    }

    fn removed(&mut self, agent: AgentId) {
        if let Some(seat) = self.seats.get_mut(&agent) {
            seat.hang_up();
            seat.epoch = None;
            seat.asked = None;
        }
    }
}
