//! What the gateway counts. All names are here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const CONNECTIONS: &str = "muster_agent_connections";
const CONNECTIONS_CLOSED: &str = "muster_agent_connections_closed";
const UDP_SESSIONS: &str = "muster_agent_udp_sessions";
const DATAGRAMS_DROPPED: &str = "muster_agent_datagrams_dropped";
const KEY_CONTESTS: &str = "muster_agent_key_contests";
const MESSAGES: &str = "muster_agent_messages";
const EVENTS_FORWARDED: &str = "muster_agent_events_forwarded";
const EVENTS_DROPPED: &str = "muster_agent_events_dropped";
const BATCHES: &str = "muster_agent_batches";
const STATEMENTS: &str = "muster_agent_statements";
const STATEMENTS_REFUSED: &str = "muster_agent_statements_refused";
const DELIVERIES_WRITTEN: &str = "muster_agent_deliveries_written";
const DELIVERIES_UNWRITTEN: &str = "muster_agent_deliveries_unwritten";
const ENROLLMENTS: &str = "muster_enrollments";
const ENROLLMENTS_IN_FLIGHT: &str = "muster_enrollments_in_flight";

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// Counters of one gateway; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    /// Open TCP connections of the secure channel.
    pub(crate) connections: Gauge,
    closed: Family<Label, Counter>,
    /// Agents that are connected over UDP.
    pub(crate) udp_sessions: Gauge,
    datagrams_dropped: Family<Label, Counter>,
    /// Times that an agent's key was refused to one of two machines that use it.
    pub(crate) key_contests: Counter,
    messages: Family<Label, Counter>,
    /// Events that the analysis side took.
    pub(crate) events_forwarded: Counter,
    events_dropped: Family<Label, Counter>,
    batches: Family<Label, Counter>,
    statements: Family<Label, Counter>,
    /// Statements that were refused when they were applied: their session was over.
    pub(crate) refused: Counter,
    /// Deliveries of which at least one byte went to an agent's socket.
    pub(crate) written: Counter,
    /// Deliveries of which nothing went to an agent's socket.
    pub(crate) unwritten: Counter,
    enrollments: Family<Label, Counter>,
    /// Enrollment connections that are open.
    pub(crate) enrolling: Gauge,
}

impl Metrics {
    /// Counters that show up in `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(CONNECTIONS, "Open TCP connections of agents", metrics.connections.clone());
        registry.register(CONNECTIONS_CLOSED, "Connections of agents that ended, by cause", metrics.closed.clone());
        registry.register(UDP_SESSIONS, "Agents that are connected over UDP", metrics.udp_sessions.clone());
        registry.register(DATAGRAMS_DROPPED, "Datagrams not taken, by cause", metrics.datagrams_dropped.clone());
        registry.register(KEY_CONTESTS, "Keys refused, as another machine uses them", metrics.key_contests.clone());
        registry.register(MESSAGES, "Valid messages of agents, by kind", metrics.messages.clone());
        registry.register(EVENTS_FORWARDED, "Events handed to the analysis side", metrics.events_forwarded.clone());
        registry.register(EVENTS_DROPPED, "Events not handed on, by cause", metrics.events_dropped.clone());
        registry.register(BATCHES, "Batches of statements that were committed, by change", metrics.batches.clone());
        registry.register(STATEMENTS, "Statements that were committed, by change", metrics.statements.clone());
        registry.register(STATEMENTS_REFUSED, "Statements refused as out of date", metrics.refused.clone());
        registry.register(DELIVERIES_WRITTEN, "Deliveries written to agents", metrics.written.clone());
        registry.register(DELIVERIES_UNWRITTEN, "Deliveries that did not get to a socket", metrics.unwritten.clone());
        registry.register(ENROLLMENTS, "Enrollment connections that ended, by result", metrics.enrollments.clone());
        registry.register(ENROLLMENTS_IN_FLIGHT, "Enrollment connections that are open", metrics.enrolling.clone());
        metrics
    }

    /// A connection of the secure channel ended.
    pub(crate) fn closed(&self, cause: &'static str) {
        self.closed.get_or_create(&[("cause", cause)]).inc();
    }

    /// A datagram was not taken.
    pub(crate) fn datagram_dropped(&self, cause: &'static str) {
        self.datagrams_dropped.get_or_create(&[("cause", cause)]).inc();
    }

    /// A valid message came.
    pub(crate) fn message(&self, kind: &'static str) {
        self.messages.get_or_create(&[("kind", kind)]).inc();
    }

    /// An event was not handed on.
    pub(crate) fn event_dropped(&self, cause: &'static str) {
        self.events_dropped.get_or_create(&[("cause", cause)]).inc();
    }

    /// Events not handed on for this cause.
    #[cfg(test)]
    pub(crate) fn events_dropped(&self, cause: &'static str) -> u64 {
        self.events_dropped.get_or_create(&[("cause", cause)]).get()
    }

    /// A batch of statements was committed.
    pub(crate) fn batch(&self, change: &'static str, statements: usize) {
        self.batches.get_or_create(&[("change", change)]).inc();
        self.statements.get_or_create(&[("change", change)]).inc_by(statements as u64);
    }

    /// An enrollment connection ended.
    pub(crate) fn enrollment(&self, result: &'static str) {
        self.enrollments.get_or_create(&[("result", result)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.closed("peer");
        metrics.datagram_dropped("repeated");
        metrics.message("event");
        metrics.event_dropped("busy");
        metrics.batch("seen", 2);
        metrics.enrollment("enrolled");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
        let distinct: BTreeSet<&str> = names.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!((names.len(), distinct.len()), (15, 15), "{text}");
    }
}
