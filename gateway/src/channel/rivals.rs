//! Claims on a key: granted, or refused and told to people.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_control::{AgentId, Control};
use tokio::time::Instant;

use super::Channel;
use super::ending::Ending;
use super::heard::now;
use super::holders::{Claimant, Verdict, is_fought_for_elsewhere};

/// Least time between two lines of the log about keys that two machines use: each of them tries again for ever.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Lets a line through now and then, and counts the others.
#[derive(Default)]
pub(super) struct Throttle(Mutex<(Option<Instant>, u64)>);

impl Throttle {
    /// How many were kept back since the last one, if this one may pass.
    fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, kept_back) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < TELL_EVERY) {
            *kept_back += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(kept_back))
    }
}

impl Channel {
    /// Takes the key of an agent for a line that begins.
    ///
    /// # Errors
    /// [`Ending::InUse`].
    pub(super) fn claim(&self, control: &Control, claimant: Claimant) -> Result<(), Ending> {
        let (agent, peer) = (claimant.agent, claimant.peer);
        let here = self.replica.node_id();
        let record = control.agents().get(agent);
        let is_elsewhere = record.is_some_and(|record| is_fought_for_elsewhere(record, here, peer.ip(), now()));
        let verdict = match is_elsewhere {
            true => Verdict::InUse(None),
            false => self.holders.claim(claimant, Instant::now()),
        };
        self.tell(agent, peer, verdict)
    }

    /// Takes the way to an agent elsewhere, without a startup.
    ///
    /// # Errors
    /// [`Ending::InUse`].
    pub(super) fn move_to(&self, agent: AgentId, peer: SocketAddr) -> Result<(), Ending> {
        self.tell(agent, peer, self.holders.moved(agent, peer, Instant::now()))
    }

    fn tell(&self, agent: AgentId, peer: SocketAddr, verdict: Verdict) -> Result<(), Ending> {
        let Verdict::InUse(holder) = verdict else { return Ok(()) };
        self.metrics.key_contests.inc();
        if let Some(kept_back) = self.contests_told.pass(Instant::now()) {
            let holder = holder.map_or_else(|| "another node".to_owned(), |holder| holder.to_string());
            tracing::warn!(
                agent_id = %agent, %peer, %holder, kept_back,
                "two machines use the key of one agent, enroll one of them anew; until then the one that has it keeps it"
            );
        }
        Err(Ending::InUse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_in_rate_and_those_kept_back_are_counted() {
        let (throttle, begin) = (Throttle::default(), Instant::now());
        let passed: Vec<_> = (0..=30).map(|second| throttle.pass(begin + Duration::from_secs(second))).collect();
        assert_eq!(passed.iter().flatten().collect::<Vec<_>>(), [&0, &9, &9, &9]);
    }
}
