//! What happens because time passed.

use crate::control::{Control, Turn};
use crate::timer::Timer;

/// Most timers handled with one entry: after a long pause the rest follows with the next entries.
const AT_ONCE: usize = 20_000;

impl Control {
    pub(crate) fn do_what_is_due(&mut self, turn: &mut Turn) {
        for _ in 0..AT_ONCE {
            match self.timers.take_due(turn.now) {
                None => break,
                Some(Timer::Lease(node)) => self.lose_node(node, turn),
                Some(Timer::SendBefore(command)) => self.stop_sending(command, turn),
                Some(Timer::Lane(agent)) => self.wake_lane(agent, turn),
            }
        }
    }
}
