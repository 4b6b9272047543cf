//! The clock that a leader stamps entries with.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use muster_control::{Millis, Stamp};

use crate::machine::Published;

/// A lead of the cluster's clock over this node's that is worth a word.
const NOTEWORTHY: Millis = Millis::from_secs(5);

/// The clock of this node, unless that of the state machine is ahead of it.
///
/// An earlier leader's clock may have been fast. Its successor's would then be ignored, since the state machine's
/// clock never goes back, and time would stand still until it has caught up: no lease would lapse, no delivery end.
/// So time goes on from where the state machine is, at the pace of this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LeaderClock {
    published: Arc<Published>,
    floor: Arc<Mutex<Option<Floor>>>,
}

/// A moment of the state machine's clock, and when this node saw it.
#[derive(Clone, Copy)]
struct Floor {
    clock: Stamp,
    seen: Instant,
}

impl LeaderClock {
    pub(crate) fn new(published: Arc<Published>) -> Self {
        Self { published, floor: Arc::default() }
    }

    /// Now; not before anything that this node has applied.
    pub(crate) fn now(&self) -> Stamp {
        let reached = self.published.view().control.clock();
        let mut floor = self.floor.lock().expect("nothing panics under this lock");
        read(&mut floor, reached, wall(), Instant::now())
    }
}

fn read(floor: &mut Option<Floor>, reached: Stamp, wall: Stamp, now: Instant) -> Stamp {
    let goes_on = floor.map(|floor| floor.clock.plus(now.duration_since(floor.seen).into()));
    let least = goes_on.unwrap_or_default().max(reached);
    if wall >= least {
        *floor = None;
        return wall;
    }
    if goes_on.is_none_or(|goes_on| goes_on < reached) {
        if floor.is_none() && least.since(wall) >= NOTEWORTHY {
            tracing::warn!(ahead = %least.since(wall), "the cluster's clock is ahead of this node's: one of the nodes' clocks is wrong");
        }
        *floor = Some(Floor { clock: least, seen: now });
    }
    least
}

/// The clock of this node alone.
fn wall() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn at(millis: u64) -> Stamp {
        Stamp::from_millis(millis)
    }

    #[test]
    fn the_nodes_own_clock_counts_while_it_is_ahead() {
        let mut floor = None;
        assert_eq!(read(&mut floor, at(1_000), at(5_000), Instant::now()), at(5_000));
        assert!(floor.is_none());
    }

    #[test]
    fn time_goes_on_from_where_the_cluster_is() {
        let (mut floor, start) = (None, Instant::now());
        assert_eq!(read(&mut floor, at(90_000), at(5_000), start), at(90_000));
        let later = start + Duration::from_secs(10);
        assert_eq!(read(&mut floor, at(90_000), at(15_000), later), at(100_000));
    }

    #[test]
    fn what_was_applied_meanwhile_is_never_undercut() {
        let (mut floor, start) = (None, Instant::now());
        read(&mut floor, at(90_000), at(5_000), start);
        let later = start + Duration::from_secs(1);
        assert_eq!(read(&mut floor, at(95_000), at(6_000), later), at(95_000));
        assert_eq!(read(&mut floor, at(95_000), at(7_000), later + Duration::from_secs(1)), at(96_000));
    }

    #[test]
    fn the_nodes_own_clock_counts_again_once_it_has_caught_up() {
        let (mut floor, start) = (None, Instant::now());
        read(&mut floor, at(90_000), at(5_000), start);
        assert_eq!(read(&mut floor, at(90_000), at(200_000), start + Duration::from_secs(1)), at(200_000));
        assert!(floor.is_none());
    }
}
