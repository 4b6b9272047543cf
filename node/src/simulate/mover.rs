//! Agents that wander from node to node.

use std::convert::Infallible;
use std::future;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{MissedTickBehavior, interval};

use super::fleet::Fleet;

/// How often moves are ordered; between two ticks they are saved up.
const TICK: Duration = Duration::from_millis(20);

/// Moves random agents to random other servers at a steady rate.
#[derive(Debug)]
pub struct Mover {
    moves_per_second: f64,
    random: StdRng,
}

impl Mover {
    /// A mover that repeats its choices for the same seed.
    pub fn new(moves_per_second: f64, seed: u64) -> Self {
        Self { moves_per_second, random: StdRng::seed_from_u64(seed) }
    }

    /// Moves agents of `fleet` for as long as it is polled. With one server or a rate of zero it only waits.
    pub async fn run(mut self, fleet: &Fleet) -> Infallible {
        if fleet.agents().is_empty() || fleet.servers() < 2 || self.moves_per_second <= 0.0 {
            return future::pending().await;
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut owed = 0.0;
        loop {
            ticks.tick().await;
            owed += self.moves_per_second * TICK.as_secs_f64();
            while owed >= 1.0 {
                owed -= 1.0;
                self.move_one(fleet);
            }
        }
    }

    fn move_one(&mut self, fleet: &Fleet) {
        let agent = &fleet.agents()[self.random.random_range(0..fleet.agents().len())];
        let away = self.random.random_range(1..fleet.servers());
        let here = agent.stats().server().unwrap_or_default();
        agent.move_to((here + away) % fleet.servers());
    }
}
