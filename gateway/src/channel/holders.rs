//! Who uses each agent's key on this node, and whether that is more than one machine (6.3, 6.4).
//!
//! A startup under the right key takes over: the agent has one process, and its connection before may be dead without
//! anybody having noticed. Two machines with one key, a cloned one most often, would so push each other out within
//! milliseconds for ever. So take-overs that one machine alone does not cause are counted, and if there are many, whoever
//! has the key keeps it as long as it is heard, and people are told.

mod contests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use muster_control::{Agent, AgentId, Millis, NodeId, Stamp};
use tokio::time::Instant;

use self::contests::{Contests, MANY, WITHIN};
use crate::codec::Place;
use crate::session::{LineId, Pulse};

/// A rival that was heard so lately is surely there: agents send a keepalive every 10 to 20 s.
const LIVELY: Duration = Duration::from_secs(30);

/// For so long a session on another node is left alone once a key is fought for; agents that are refused come again after
/// as long.
const LEFT_ALONE: Millis = Millis::from_secs(10);

/// The holders of all keys in use on this node.
pub(super) struct Holders {
    /// How long a holder may be silent before a rival gets its place; zero is for ever.
    overtake_time: Duration,
    by_agent: Mutex<HashMap<AgentId, Holder>>,
}

/// Signs of life of one line, shared between it and what judges its rivals.
pub(super) struct Presence {
    pub(super) pulse: Arc<Pulse>,
    newest: AtomicU64,
}

/// Who has a key, or had it lately.
struct Holder {
    line: LineId,
    is_here: bool,
    peer: SocketAddr,
    /// Where it was before, if it has moved.
    former: Option<SocketAddr>,
    presence: Arc<Presence>,
    contests: Contests,
}

/// Who wants it.
pub(super) struct Claimant {
    pub(super) agent: AgentId,
    pub(super) line: LineId,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
    pub(super) presence: Arc<Presence>,
}

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key is the claimant's.
    Granted,
    /// The key stays where it is: with this address, or with another node.
    InUse(Option<SocketAddr>),
}

impl Presence {
    /// Of a line that begins.
    pub(super) fn new(pulse: Arc<Pulse>) -> Arc<Self> {
        Arc::new(Self { pulse, newest: AtomicU64::new(0) })
    }

    /// A valid message came.
    pub(super) fn beat(&self, place: Place) {
        self.pulse.beat();
        self.newest.fetch_max(place.get(), Ordering::Relaxed);
    }
}

impl Holders {
    /// Nobody has a key.
    pub(super) fn new(overtake_time: Duration) -> Self {
        Self { overtake_time, by_agent: Mutex::default() }
    }

    /// A startup wants to take the key over.
    pub(super) fn claim(&self, claimant: Claimant, now: Instant) -> Verdict {
        let mut by_agent = self.by_agent.lock().unwrap_or_else(PoisonError::into_inner);
        let Claimant { agent, line, peer, place, presence } = claimant;
        let mut contests = Contests::default();
        if let Some(holder) = by_agent.get_mut(&agent) {
            if holder.is_rival_of(line, now) && holder.is_another_machine_than(peer, place) {
                holder.contests.add(now);
            }
            if holder.line != line && holder.keeps(self.overtake_time, now) {
                return Verdict::InUse(Some(holder.peer));
            }
            contests = std::mem::take(&mut holder.contests);
        }
        by_agent.insert(agent, Holder { line, is_here: true, peer, former: None, presence, contests });
        Verdict::Granted
    }

    /// The holder of the key spoke from another address, without a startup.
    pub(super) fn moved(&self, agent: AgentId, peer: SocketAddr, now: Instant) -> Verdict {
        let mut by_agent = self.by_agent.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(holder) = by_agent.get_mut(&agent).filter(|holder| holder.peer != peer) else {
            return Verdict::Granted;
        };
        // One machine behind a changing address does not come back to one that it left.
        if holder.former == Some(peer) {
            holder.contests.add(now);
        }
        if holder.keeps(self.overtake_time, now) {
            return Verdict::InUse(Some(holder.peer));
        }
        holder.former = Some(holder.peer);
        holder.peer = peer;
        Verdict::Granted
    }

    /// A line is over.
    pub(super) fn release(&self, agent: AgentId, line: LineId, now: Instant) {
        let mut by_agent = self.by_agent.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(holder) = by_agent.get_mut(&agent).filter(|holder| holder.line == line) else { return };
        holder.is_here = false;
        if holder.contests.is_empty(now) {
            by_agent.remove(&agent);
        }
    }
}

impl Holder {
    fn is_rival_of(&self, line: LineId, now: Instant) -> bool {
        self.is_here && self.line != line && self.presence.pulse.silence(now) < LIVELY
    }

    /// One machine has one address at a time, and its counters only grow.
    fn is_another_machine_than(&self, peer: SocketAddr, place: Place) -> bool {
        self.peer.ip() != peer.ip() || place.get() < self.presence.newest.load(Ordering::Relaxed)
    }

    fn keeps(&self, overtake_time: Duration, now: Instant) -> bool {
        let is_heard = overtake_time.is_zero() || self.presence.pulse.silence(now) < overtake_time;
        self.is_here && is_heard && self.contests.are_many(now)
    }
}

/// Whether another machine than that at `peer` has fought for the key on another node, and is to be left alone for now.
///
/// Judged by the log alone, so that all nodes see the same. It knows no counters, so two machines that come from one
/// address are not told apart here.
pub(super) fn is_fought_for_elsewhere(agent: &Agent, here: NodeId, peer: IpAddr, now: Stamp) -> bool {
    let Some(session) = agent.session.as_ref().filter(|session| session.node != here) else { return false };
    let holder: Option<SocketAddr> = session.peer.as_str().parse().ok();
    if now.since(session.opened_at) >= LEFT_ALONE || holder.is_none_or(|holder| holder.ip() == peer) {
        return false;
    }
    let lately = agent.history.iter().filter(|transition| now.since(transition.at) <= Millis::from(WITHIN));
    let owners: Vec<_> = lately.filter_map(|transition| transition.owner).collect();
    let moves = owners.windows(2).filter(|pair| pair[0] != pair[1]).count();
    moves >= MANY && owners.contains(&here)
}

#[cfg(test)]
mod tests;
