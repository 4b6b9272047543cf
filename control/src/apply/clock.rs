//! What happens because time passed.

use crate::control::{Control, Turn};
use crate::timer::Timer;

impl Control {
    pub(crate) fn do_what_is_due(&mut self, turn: &mut Turn) {
        // All of it, however much a pause let pile up: a rest would have to be part of the state.
        while let Some(timer) = self.timers.take_due(turn.now) {
            match timer {
                Timer::Lease(node) => self.lose_node(node, turn),
                Timer::SendBefore(command) => self.stop_sending(command, turn),
                Timer::Lane(agent) => self.wake_lane(agent, turn),
            }
        }
    }
}
