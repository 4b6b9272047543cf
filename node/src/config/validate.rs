//! From what stands in the file to what the node runs with. Pure: nothing is opened, resolved or created.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use muster_control::{Force, NodeId, NodeName};
use muster_gateway::{ChannelConfig, EnrollmentConfig, EventsConfig, GatewayConfig, SessionConfig};
use muster_http::ApiConfig;
use muster_raft::{MemberConfig, Tuning};

use super::error::ConfigError;
use super::raw::{Protocol, RawCluster, RawConfig, RawMember};
use super::relations;
use super::unit::{Size, Span};
use super::{Config, LogConfig, NodeConfig, PeersConfig, TlsFiles, UsersConfig};

impl RawConfig {
    /// Checks every value and every relation between values. Relative paths start at `base`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn validate(self, base: &Path) -> Result<Config, ConfigError> {
        relations::check(&self)?;
        let name: NodeName = parse("node.name", &self.node.name)?;
        let node_id = NodeId::new(self.node.id);
        let members = members(&self.cluster, node_id)?;
        let path = |path: &Path| base.join(path);
        Ok(Config {
            node: NodeConfig {
                id: node_id,
                name: name.clone(),
                address: host("node.address", &self.node.address)?,
                data_dir: path(&self.node.data_dir),
                session_lease: positive("node.session_lease", self.node.session_lease.0)?,
                stop_within: positive("node.stop_within", self.node.stop_within.0)?,
            },
            cluster_id: parse("cluster.id", &self.cluster.id)?,
            peers: PeersConfig {
                listen: self.peers.listen,
                members,
                ca: path(&self.peers.ca),
                tls: TlsFiles { certificate: path(&self.peers.certificate), key: path(&self.peers.key) },
                tuning: tuning(&self)?,
            },
            api: api(&self, name.clone())?,
            api_tls: tls("api.certificate", "api.key", &self.api.certificate, &self.api.key, base)?,
            gateway: gateway(&self, name, base)?,
            enrollment_tls: tls(
                "enrollment.certificate",
                "enrollment.key",
                &self.enrollment.certificate,
                &self.enrollment.key,
                base,
            )?,
            users: UsersConfig {
                wazuh: self.users.wazuh_password.clone(),
                wazuh_wui: self.users.wazuh_wui_password.clone(),
            },
            log: LogConfig { format: self.log.format, filter: parse("log.filter", &self.log.filter)? },
            effective: self,
        })
    }
}

fn members(cluster: &RawCluster, this: NodeId) -> Result<Vec<MemberConfig>, ConfigError> {
    let key = "cluster.members";
    let mut ids = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for member in &cluster.members {
        if member.id == 0 || !ids.insert(member.id) {
            return Err(value(key, format!("id {}", member.id), "ids start at 1 and each is listed once"));
        }
        let port = member.address.rsplit_once(':').and_then(|(host, port)| Some(host).zip(port.parse::<u16>().ok()));
        if !port.is_some_and(|(host, port)| !host.is_empty() && port != 0) || !addresses.insert(&member.address) {
            return Err(value(key, &member.address, "an address is host:port, and each is listed once"));
        }
    }
    if !ids.contains(&this.get()) {
        return Err(ConfigError::Relation {
            left: "node.id",
            left_value: this.to_string(),
            relation: "one of the ids in",
            right: key,
            right_value: format!("{:?}", ids.iter().collect::<Vec<_>>()),
            why: "a node is a member of its cluster",
        });
    }
    let config = |member: &RawMember| MemberConfig { node_id: NodeId::new(member.id), address: member.address.clone() };
    Ok(cluster.members.iter().map(config).collect())
}

fn tuning(raw: &RawConfig) -> Result<Tuning, ConfigError> {
    let raft = &raw.raft;
    Ok(Tuning {
        heartbeat: positive("raft.heartbeat", raft.heartbeat.0)?,
        election_min: raft.election_min.0,
        election_max: raft.election_max.0,
        propose_deadline: raft.propose_deadline.0,
        read_deadline: raft.read_deadline.0,
        proposals_in_flight: at_least("raft.proposals_in_flight", raft.proposals_in_flight, 1)?,
        change_bytes: change_size(raft.change_size)?,
        snapshot_bytes: bytes("raft.snapshot_size", raft.snapshot_size.0, 64 << 10)? as u64,
        logs_to_keep: raft.logs_to_keep,
        disk_reserve_bytes: raft.disk_reserve.0,
        tail_cache_bytes: bytes("raft.tail_cache", raft.tail_cache.0, 1 << 20)?,
        notice_backlog: at_least("raft.notice_backlog", raft.notice_backlog, 16)?,
    })
}

/// At most what peers take in one message.
fn change_size(size: Size) -> Result<usize, ConfigError> {
    let most = Size(32 << 20);
    if size > most {
        return Err(value("raft.change_size", size, format!("at most {most}")));
    }
    bytes("raft.change_size", size.0, 64 << 10)
}

fn api(raw: &RawConfig, node_name: NodeName) -> Result<ApiConfig, ConfigError> {
    let api = &raw.api;
    if api.listen.is_empty() {
        return Err(value("api.listen", "[]", "at least one address"));
    }
    if raw.cluster.name.is_empty() {
        return Err(value("cluster.name", "\"\"", "a name"));
    }
    if api.token_lifetime.0.subsec_nanos() != 0 {
        return Err(value("api.token_lifetime", api.token_lifetime, "whole seconds: tokens carry no parts of them"));
    }
    Ok(ApiConfig {
        listen: api.listen.clone(),
        node_name,
        cluster_name: raw.cluster.name.clone(),
        request_timeout: api.request_timeout.0,
        max_body_bytes: bytes("api.max_body", api.max_body.0, 0)?,
        requests_per_minute: api.requests_per_minute,
        failed_logins: api.failed_logins,
        login_block: api.login_block.0,
        token_lifetime: positive("api.token_lifetime", api.token_lifetime.0)?,
        logins_at_once: at_least("api.logins_at_once", api.logins_at_once, 1)?,
        send_within: api.send_within.0,
        max_connections: at_least("api.max_connections", api.max_connections, 1)?,
        handshake_timeout: positive("api.handshake_timeout", api.handshake_timeout.0)?,
        header_timeout: positive("api.header_timeout", api.header_timeout.0)?,
    })
}

fn gateway(raw: &RawConfig, node_name: NodeName, base: &Path) -> Result<GatewayConfig, ConfigError> {
    let (enrollment, channel, agents) = (&raw.enrollment, &raw.channel, &raw.agents);
    let password = enrollment.password.as_ref().map(|password| password.reveal().to_owned());
    if password.as_ref().is_some_and(|password| password.is_empty() || password.contains(['\n', '\r'])) {
        return Err(value("enrollment.password", "[secret]", "one line, not empty; leave the key out for none"));
    }
    if channel.protocol.is_empty() {
        return Err(value("channel.protocol", "[]", "\"tcp\", \"udp\" or both"));
    }
    Ok(GatewayConfig {
        host_name: node_name.to_string(),
        node_name,
        manager_version: parse("agents.manager_version", &agents.manager_version)?,
        allow_higher_versions: agents.allow_higher_versions,
        enrollment: EnrollmentConfig {
            listen: enrollment.listen,
            password,
            use_source_ip: enrollment.use_source_ip,
            force: Force {
                enabled: enrollment.force.enabled,
                disconnected_for: enrollment
                    .force
                    .only_disconnected
                    .then_some(enrollment.force.disconnected_for.0.into()),
                registered_for: enrollment.force.registered_for.0.into(),
                key_mismatch: enrollment.force.key_mismatch,
            },
            max_in_flight: at_least("enrollment.max_in_flight", enrollment.max_in_flight, 1)?,
            max_per_peer: at_least("enrollment.max_per_peer", enrollment.max_per_peer, 1)?,
            request_within: positive("enrollment.request_within", enrollment.request_within.0)?,
            commit_within: positive("enrollment.commit_within", enrollment.commit_within.0)?,
        },
        channel: ChannelConfig {
            listen: channel.listen,
            tcp: channel.protocol.contains(&Protocol::Tcp),
            udp: channel.protocol.contains(&Protocol::Udp),
            max_connections: at_least("channel.max_connections", channel.max_connections, 1)?,
            max_strangers: at_least("channel.max_strangers", channel.max_strangers, 1)?,
            startup_within: positive("channel.startup_within", channel.startup_within.0)?,
            write_within: positive("channel.write_within", channel.write_within.0)?,
            write_backlog: bytes("channel.write_backlog", channel.write_backlog.0, 4 << 10)?,
            identify_within: positive("channel.identify_within", channel.identify_within.0)?,
            connection_overtake_time: overtake_time(channel.connection_overtake_time)?,
            verify_msg_id: channel.verify_msg_id,
            udp_backlog: bytes("channel.udp_backlog", channel.udp_backlog.0, 64 << 10)?,
            udp_receive_buffer: bytes("channel.udp_receive_buffer", channel.udp_receive_buffer.0, 64 << 10)?,
        },
        sessions: SessionConfig {
            seen_interval: positive("agents.seen_interval", agents.seen_interval.0)?,
            disconnection_time: agents.disconnection_time.0,
            batch_limit: at_least("agents.batch_limit", agents.batch_limit, 1)?,
            commit_within: positive("agents.commit_within", agents.commit_within.0)?,
        },
        events: EventsConfig {
            socket: raw.events.socket.as_ref().map(|socket| base.join(socket)),
            backlog: bytes("events.backlog", raw.events.backlog.0, 64 << 10)?,
        },
    })
}

/// At most an hour, as in the reference.
fn overtake_time(span: Span) -> Result<Duration, ConfigError> {
    let most = Span(Duration::from_secs(3600));
    if span > most {
        return Err(value("channel.connection_overtake_time", span, format!("at most {most}; \"0s\" is for ever")));
    }
    Ok(span.0)
}

fn tls(
    certificate_key: &'static str,
    key_key: &'static str,
    certificate: &Option<PathBuf>,
    key: &Option<PathBuf>,
    base: &Path,
) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Ok(Some(TlsFiles { certificate: base.join(certificate), key: base.join(key) }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(value(key_key, "missing", format!("goes with {certificate_key}"))),
        (None, Some(_)) => Err(value(certificate_key, "missing", format!("goes with {key_key}"))),
    }
}

/// A host without a port: name or address, as it goes into URLs and certificates.
fn host(key: &'static str, text: &str) -> Result<String, ConfigError> {
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name || text.parse::<std::net::IpAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(value(key, format!("{text:?}"), "a host name or an IP address, without a port"))
    }
}

fn parse<T: FromStr<Err: Display>>(key: &'static str, text: &str) -> Result<T, ConfigError> {
    text.parse().map_err(|rule: T::Err| value(key, format!("{text:?}"), rule.to_string()))
}

fn positive(key: &'static str, span: Duration) -> Result<Duration, ConfigError> {
    if span.is_zero() { Err(value(key, "0", "more than nothing")) } else { Ok(span) }
}

fn at_least(key: &'static str, number: usize, least: usize) -> Result<usize, ConfigError> {
    if number < least { Err(value(key, number, format!("at least {least}"))) } else { Ok(number) }
}

fn bytes(key: &'static str, number: u64, least: u64) -> Result<usize, ConfigError> {
    match usize::try_from(number) {
        Ok(fits) if number >= least => Ok(fits),
        Ok(_) => Err(value(key, Size(number), format!("at least {}", Size(least)))),
        Err(_) => Err(value(key, Size(number), "more than this machine can address")),
    }
}

fn value(key: &'static str, value: impl Display, rule: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, value: value.to_string(), rule: rule.into() }
}
