//! What a run shows of itself: a line every few seconds, and the totals at its end.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::fleet::Fleet;
use super::stats::Count;

/// How often a line is shown.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// A run of a fleet, with the times that its summary tells.
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) enrolled: usize,
    pub(super) enroll_failures: usize,
    pub(super) enroll_time: Duration,
    pub(super) launched: Instant,
    /// From launch to the moment at which every agent had a session.
    pub(super) all_online_after: Option<Duration>,
}

impl Report {
    /// One line on how it goes.
    pub(super) fn line(&self, fleet: &Fleet) -> String {
        let stats = fleet.stats();
        let count = |count| stats.get(count);
        format!(
            "{:>6.1}s  online {}/{}  keepalives {}  moves {}  restarts {}/{}  reconnects {}  lost {}  refused {}",
            self.launched.elapsed().as_secs_f64(),
            stats.online(),
            fleet.agents().len(),
            count(Count::Keepalives),
            count(Count::Moves),
            count(Count::RestartsDone),
            count(Count::RestartsReceived),
            count(Count::ReconnectsReceived),
            count(Count::ClosedByManager),
            count(Count::ConnectFailures) + count(Count::HandshakeFailures),
        )
    }

    /// All totals as one JSON object; without a fleet, of the enrollment alone.
    pub(super) fn summary(&self, fleet: Option<&Fleet>) -> Value {
        let seconds = |time: Duration| (time.as_secs_f64() * 1_000.0).round() / 1_000.0;
        let mut summary = Map::new();
        let mut put = |key: &str, value: Value| summary.insert(key.to_owned(), value);
        put("seed", json!(self.seed));
        put("enrolled", json!(self.enrolled));
        put("enroll_failures", json!(self.enroll_failures));
        put("enroll_seconds", json!(seconds(self.enroll_time)));
        if let Some(fleet) = fleet {
            put("agents", json!(fleet.agents().len()));
            put("run_seconds", json!(seconds(self.launched.elapsed())));
            put("all_online_seconds", json!(self.all_online_after.map(seconds)));
            put("online_at_end", json!(fleet.stats().online()));
            for count in Count::ALL {
                put(count.name(), json!(fleet.stats().get(*count)));
            }
        }
        Value::Object(summary)
    }
}
