//! What has to hold between two values. A message names both, since either may be the wrong one.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::ConfigError;
use super::raw::RawConfig;
use super::unit::Span;

/// The state machine remembers for two minutes, by its own clock, what it has answered; after that a repetition would
/// count as new. Half of it allows for clocks that jump.
const ANSWERS_REMEMBERED: Span = Span(Duration::from_secs(60));

/// A restart has 120 s to be proven once it is sent; one that may wait less than that for its turn would end while
/// the one before it, of the same agent, is still waiting for its proof.
const PROOF_TIME: Span = Span(Duration::from_secs(120));

/// So many heartbeats a new leader has on top of the longest election before leases may lapse.
const LEASE_HEARTBEATS: u32 = 4;

/// Checks all of them.
///
/// # Errors
/// The first that does not hold.
pub(super) fn check(raw: &RawConfig) -> Result<(), ConfigError> {
    let RawConfig { node, raft, api, agents, enrollment, channel, .. } = raw;
    // The lease of the old leader has to lapse, then a candidate waits, each election_max at most.
    let change_of_leader = Span(raft.election_max.0 * 2 + raft.heartbeat.0 * LEASE_HEARTBEATS);

    let heartbeats = ("2.5 times raft.heartbeat", Span(raft.heartbeat.0 * 5 / 2));
    let election_min = ("raft.election_min", raft.election_min);
    let election_max = ("raft.election_max", raft.election_max);
    let propose_deadline = ("raft.propose_deadline", raft.propose_deadline);
    let read_deadline = ("raft.read_deadline", raft.read_deadline);
    let request_timeout = ("api.request_timeout", api.request_timeout);
    let longest_change = ("twice raft.election_max plus 4 raft.heartbeat", change_of_leader);
    let remembered = ("the time answers are remembered", ANSWERS_REMEMBERED);

    less(heartbeats, election_min, "a late heartbeat would start an election")?;
    less(election_min, election_max, "candidates would stand at the same moment")?;
    less(longest_change, ("node.session_lease", node.session_lease), "a change of leader would end all sessions")?;
    less(longest_change, propose_deadline, "a change of leader would fail every write")?;
    less(longest_change, read_deadline, "a change of leader would fail every read")?;
    less(propose_deadline, remembered, "a repeated write could count twice")?;
    less(longest_change, request_timeout, "a change of leader would fail every request")?;
    less(request_timeout, remembered, "a repeated write could count twice")?;
    less(
        ("agents.seen_interval", agents.seen_interval),
        ("agents.disconnection_time", agents.disconnection_time),
        "agents would be taken for disconnected before their keepalives are told",
    )?;
    if api.send_within < PROOF_TIME {
        return Err(relation(
            ("api.send_within", api.send_within),
            "at least",
            ("the time a restart has to be proven", PROOF_TIME),
            "a second command for an agent would expire while the first is waited for",
        ));
    }
    at_most(
        ("enrollment.max_per_peer", enrollment.max_per_peer),
        ("enrollment.max_in_flight", enrollment.max_in_flight),
        "a limit for one address above that for all has no effect",
    )?;
    at_most(
        ("channel.max_strangers", channel.max_strangers),
        ("channel.max_connections", channel.max_connections),
        "a limit for some connections above that for all has no effect",
    )?;
    distinct_ports(raw)
}

/// Two servers cannot share a port, neither directly nor behind the address that stands for all.
fn distinct_ports(raw: &RawConfig) -> Result<(), ConfigError> {
    let mut listens = vec![
        ("peers.listen", raw.peers.listen),
        ("enrollment.listen", raw.enrollment.listen),
        ("channel.listen", raw.channel.listen),
    ];
    listens.extend(raw.api.listen.iter().map(|address| ("api.listen", *address)));
    for (position, left) in listens.iter().enumerate() {
        for right in &listens[position + 1..] {
            if collide(left.1, right.1) {
                return Err(relation(*left, "another port than", *right, "each server needs its own"));
            }
        }
    }
    Ok(())
}

fn collide(left: SocketAddr, right: SocketAddr) -> bool {
    let everywhere = left.ip().is_unspecified() || right.ip().is_unspecified();
    let same_family = left.is_ipv4() == right.is_ipv4();
    left.port() != 0 && left.port() == right.port() && (left.ip() == right.ip() || (everywhere && same_family))
}

type Named<T> = (&'static str, T);

fn less(left: Named<Span>, right: Named<Span>, why: &'static str) -> Result<(), ConfigError> {
    if left.1 < right.1 { Ok(()) } else { Err(relation(left, "less than", right, why)) }
}

fn at_most(left: Named<usize>, right: Named<usize>, why: &'static str) -> Result<(), ConfigError> {
    if left.1 <= right.1 { Ok(()) } else { Err(relation(left, "at most", right, why)) }
}

fn relation<T: ToString>(left: Named<T>, relation: &'static str, right: Named<T>, why: &'static str) -> ConfigError {
    ConfigError::Relation {
        left: left.0,
        left_value: left.1.to_string(),
        relation,
        right: right.0,
        right_value: right.1.to_string(),
        why,
    }
}
