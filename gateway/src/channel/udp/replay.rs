//! Which datagrams of an agent were here before (3.7): the network may bring one twice or late, and whoever saw one pass
//! can send it again.

use crate::codec::Place;

/// How far behind the newest one a datagram is still told apart from the others.
const WIDTH: u64 = u128::BITS as u64;

/// What of one agent's messages came already; nothing, at first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayWindow {
    newest: Place,
    /// Bit n: the message n places before the newest came.
    came: u128,
}

/// How a message stands to those that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Newer than all of them: its sender is the agent, here and now.
    Fresh,
    /// Older than the newest, and did not come before.
    Late,
    /// It came before, or is too old to tell.
    Repeated,
}

impl ReplayWindow {
    /// Judges a message that is surely of the key's holder, and remembers that it came.
    pub(super) fn judge(&mut self, place: Place) -> Order {
        if let Some(ahead) = place.get().checked_sub(self.newest.get()).filter(|ahead| *ahead > 0) {
            self.came = u32::try_from(ahead).ok().and_then(|ahead| self.came.checked_shl(ahead)).unwrap_or(0) | 1;
            self.newest = place;
            return Order::Fresh;
        }
        let behind = self.newest.get() - place.get();
        if behind >= WIDTH || self.came & (1 << behind) != 0 {
            return Order::Repeated;
        }
        self.came |= 1 << behind;
        Order::Late
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::Numbering;

    fn place(global: u64, local: u16) -> Place {
        Numbering { global, local, noise: 0 }.place()
    }

    #[test]
    fn what_came_before_is_told_from_what_comes_late() {
        let mut window = ReplayWindow::default();
        for (local, order) in [
            (10, Order::Fresh),
            (11, Order::Fresh),
            (14, Order::Fresh),
            (13, Order::Late),
            (13, Order::Repeated),
            (14, Order::Repeated),
            (10, Order::Repeated),
            (12, Order::Late),
        ] {
            assert_eq!(window.judge(place(0, local)), order, "{local}");
        }
    }

    #[test]
    fn what_is_too_old_to_tell_counts_as_repeated() {
        let mut window = ReplayWindow::default();
        assert_eq!(window.judge(place(0, 1000)), Order::Fresh);
        assert_eq!(window.judge(place(0, 999 - 126)), Order::Late);
        assert_eq!(window.judge(place(0, 999 - 127)), Order::Repeated);
    }

    #[test]
    fn a_carry_from_local_to_global_goes_on() {
        let mut window = ReplayWindow::default();
        assert_eq!(window.judge(place(4, 9_997)), Order::Fresh);
        assert_eq!(window.judge(place(5, 1)), Order::Fresh);
        assert_eq!(window.judge(place(4, 9_996)), Order::Late);
        assert_eq!(window.judge(place(4, 9_997)), Order::Repeated);
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice_and_what_grows_is_always_fresh(
            locals in proptest::collection::vec(1u16..400, 1..300),
        ) {
            let (mut window, mut taken) = (ReplayWindow::default(), BTreeSet::new());
            for local in &locals {
                let newest = taken.last().copied().unwrap_or_default();
                match window.judge(place(0, *local)) {
                    Order::Fresh => prop_assert!(*local > newest && taken.insert(*local)),
                    Order::Late => prop_assert!(*local < newest && taken.insert(*local)),
                    Order::Repeated => prop_assert!(taken.contains(local) || newest - local >= 128),
                }
            }
        }
    }
}
