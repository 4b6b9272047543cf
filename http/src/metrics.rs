//! What this node tells about itself at `/metrics`.

use std::fmt;
use std::time::Duration;

use muster_control::{Stage, Status};
use muster_raft::{Replica, Role};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Names of the metrics of this crate. Counters get `_total` behind their name.
mod name {
    pub(super) const REQUESTS: &str = "muster_http_requests";
    pub(super) const SECONDS: &str = "muster_http_request_seconds";
    pub(super) const IN_FLIGHT: &str = "muster_http_requests_in_flight";
    pub(super) const CONNECTIONS: &str = "muster_http_connections";
    pub(super) const TURNED_AWAY: &str = "muster_http_connections_turned_away";
    pub(super) const LOGINS: &str = "muster_http_logins";
    pub(super) const TERM: &str = "muster_raft_term";
    pub(super) const IS_LEADER: &str = "muster_raft_is_leader";
    pub(super) const READY: &str = "muster_raft_ready";
    pub(super) const LAST_LOG: &str = "muster_raft_last_log_index";
    pub(super) const COMMITTED: &str = "muster_raft_committed_index";
    pub(super) const APPLIED: &str = "muster_raft_applied_index";
    pub(super) const SNAPSHOT: &str = "muster_raft_snapshot_index";
    pub(super) const AGENTS: &str = "muster_agents";
    pub(super) const OWNED: &str = "muster_agents_active_here";
    pub(super) const GROUPS: &str = "muster_groups";
    pub(super) const COMMANDS: &str = "muster_commands";
    pub(super) const DELIVERIES: &str = "muster_deliveries";

    #[cfg(test)]
    pub(super) const ALL: [&str; 18] = [
        REQUESTS,
        SECONDS,
        IN_FLIGHT,
        CONNECTIONS,
        TURNED_AWAY,
        LOGINS,
        TERM,
        IS_LEADER,
        READY,
        LAST_LOG,
        COMMITTED,
        APPLIED,
        SNAPSHOT,
        AGENTS,
        OWNED,
        GROUPS,
        COMMANDS,
        DELIVERIES,
    ];
}

/// What is counted while requests are served.
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
    /// Requests under way.
    pub(crate) in_flight: Gauge,
    /// Connections open.
    pub(crate) connections: Gauge,
    /// Connections closed at once since too many were open.
    pub(crate) turned_away: Counter,
    logins: Family<LoginLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginLabels {
    result: &'static str,
}

impl Metrics {
    /// Makes the metrics known to `registry`, those of the replica included.
    pub(crate) fn register(registry: &mut Registry, replica: Replica) -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            turned_away: Counter::default(),
            logins: Family::default(),
        };
        registry.register(name::REQUESTS, "Requests answered", metrics.requests.clone());
        registry.register(name::SECONDS, "Time from request to answer", metrics.seconds.clone());
        registry.register(name::IN_FLIGHT, "Requests under way", metrics.in_flight.clone());
        registry.register(name::CONNECTIONS, "Connections open", metrics.connections.clone());
        registry.register(name::TURNED_AWAY, "Connections closed for being too many", metrics.turned_away.clone());
        registry.register(name::LOGINS, "Logins", metrics.logins.clone());
        registry.register_collector(Box::new(ReplicaMetrics { replica }));
        metrics
    }

    /// Counts one answer.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, elapsed: Duration) {
        let route = route.unwrap_or("none").to_owned();
        self.requests.get_or_create(&RequestLabels { method: method.to_owned(), route, status }).inc();
        self.seconds.observe(elapsed.as_secs_f64());
    }

    /// Counts one login.
    pub(crate) fn login(&self, succeeded: bool) {
        let result = if succeeded { "success" } else { "failure" };
        self.logins.get_or_create(&LoginLabels { result }).inc();
    }
}

/// Reads the replica when it is asked, so that nothing has to be kept up to date.
struct ReplicaMetrics {
    replica: Replica,
}

impl fmt::Debug for ReplicaMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplicaMetrics")
    }
}

impl Collector for ReplicaMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let status = self.replica.status();
        let control = self.replica.view().control;
        let mut gauge = |name, help, value: u64| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge(name::TERM, "Current term", status.term)?;
        gauge(name::IS_LEADER, "Whether this node leads", (status.role == Role::Leader).into())?;
        gauge(name::READY, "Whether this node should get requests", status.is_ready().into())?;
        gauge(name::LAST_LOG, "Last entry in the log", status.last_log.get())?;
        gauge(name::COMMITTED, "Last entry known to be committed", status.committed.get())?;
        gauge(name::APPLIED, "Last entry applied", status.applied.get())?;
        gauge(name::SNAPSHOT, "Last entry in the newest snapshot", status.snapshot.get())?;
        gauge(name::GROUPS, "Groups", control.groups().count() as u64)?;
        gauge(name::COMMANDS, "Commands remembered", control.commands().count() as u64)?;
        let counters = control.agents().counters();
        gauge(name::OWNED, "Active agents of this node", counters.active_on(status.node_id).into())?;
        let agents = Status::ALL.map(|status| (status.as_str(), u64::from(counters.status(status))));
        by_label(&mut encoder, name::AGENTS, "Agents by status", "status", &agents)?;
        let deliveries = Stage::ALL.map(|stage| {
            let count = control.commands().map(|command| u64::from(command.count(stage))).sum();
            (stage.as_str(), count)
        });
        by_label(&mut encoder, name::DELIVERIES, "Deliveries remembered, by stage", "stage", &deliveries)
    }
}

fn by_label(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: &[(&'static str, u64)],
) -> Result<(), fmt::Error> {
    let kind = ConstGauge::new(0_i64).metric_type();
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (word, value) in values {
        let gauge = ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX));
        gauge.encode(metric.encode_family(&[(label, *word)])?)?;
    }
    Ok(())
}

/// Counts something as under way for as long as it lives.
pub(crate) struct UnderWay(Gauge);

impl UnderWay {
    /// One more is under way.
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All metrics in the text format of OpenMetrics.
pub(crate) fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_unique() {
        let names = std::collections::BTreeSet::from(super::name::ALL);
        assert_eq!(names.len(), super::name::ALL.len());
    }
}
