//! openraft's settings.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use crate::config::{ReplicaConfig, Tuning};
use crate::error::StartError;

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Checks what contradicts itself in a configuration, before anything is opened.
pub(crate) fn validate(config: &ReplicaConfig) -> Result<(), StartError> {
    let refuse = |reason: String| Err(StartError::Config(reason));
    let mut ids: Vec<_> = config.members.iter().map(|member| member.node_id).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return refuse(format!("node {} is listed twice among the members", twice[0]));
    }
    if !ids.contains(&config.node_id) {
        return refuse(format!("node {} is not among the members", config.node_id));
    }
    if ids.first().is_some_and(|id| id.get() == 0) {
        return refuse("node ids begin at 1".to_owned());
    }
    let Tuning { heartbeat, election_min, election_max, change_bytes, .. } = config.tuning;
    if heartbeat * 5 / 2 >= election_min || election_min >= election_max {
        return refuse(format!(
            "2.5 heartbeats must be less than election_min, and that less than election_max: \
             {heartbeat:?}, {election_min:?}, {election_max:?}"
        ));
    }
    if change_bytes > crate::peer::MESSAGE_BYTES_MAX / 2 {
        return refuse(format!("change_bytes may be {} at most", crate::peer::MESSAGE_BYTES_MAX / 2));
    }
    Ok(())
}

/// The settings for a configuration.
pub(crate) fn settings(config: &ReplicaConfig) -> Result<Config, StartError> {
    let tuning = &config.tuning;
    let election_max = millis(tuning.election_max);
    let settings = Config {
        cluster_name: config.cluster_id.to_string(),
        heartbeat_interval: millis(tuning.heartbeat),
        // A heartbeat is spared where replication has just shown the same.
        heartbeat_min_interval: Some(millis(tuning.heartbeat)),
        election_timeout_min: millis(tuning.election_min),
        election_timeout_max: election_max,
        max_payload_entries: 1024,
        max_append_entries: Some(4096),
        // A follower gets entries as long as there are any: a snapshot costs more than any number of them.
        replication_lag_threshold: u64::MAX / 2,
        snapshot_policy: SnapshotPolicy::Never, // by bytes of log instead, see `Published`
        max_in_snapshot_log_to_keep: tuning.logs_to_keep,
        purge_batch_size: (tuning.logs_to_keep / 16).clamp(1, 4096),
        api_channel_size: Some(8192),
        enable_pre_vote: Some(true),
        // A restarted leader must be elected again: its state machine may be behind what it served.
        enable_leader_restore: Some(false),
        allow_log_reversion: None,
        quorum_loss_probe_interval: Some(election_max * 3),
        ..Config::default()
    };
    settings.validate().map_err(|error| StartError::Config(error.to_string()))
}

#[cfg(test)]
mod tests {
    use muster_control::NodeId;

    use super::*;
    use crate::config::{MemberConfig, PeerTls};

    fn config() -> ReplicaConfig {
        let member = |node| MemberConfig { node_id: NodeId::new(node), address: "host:1".to_owned() };
        ReplicaConfig {
            cluster_id: "test".parse().expect("a name"),
            node_id: NodeId::new(2),
            data_dir: "unused".into(),
            listen: "127.0.0.1:0".parse().expect("an address"),
            members: [1, 2, 3].map(member).to_vec(),
            tls: PeerTls { ca_pem: String::new(), certificate_pem: String::new(), key_pem: String::new() },
            tuning: Tuning::default(),
        }
    }

    fn refused(spoil: impl FnOnce(&mut ReplicaConfig)) -> String {
        let mut config = config();
        spoil(&mut config);
        validate(&config).expect_err("spoilt").to_string()
    }

    #[test]
    fn the_defaults_do_not_contradict_themselves() {
        validate(&config()).expect("sound");
        settings(&config()).expect("sound");
    }

    #[test]
    fn contradictions_are_named() {
        assert!(refused(|config| config.node_id = NodeId::new(4)).contains("node 4 is not among"));
        assert!(refused(|config| config.members[0].node_id = NodeId::new(3)).contains("node 3 is listed twice"));
        assert!(refused(|config| config.members[0].node_id = NodeId::new(0)).contains("begin at 1"));
        assert!(refused(|config| config.tuning.heartbeat = config.tuning.election_min).contains("election_min"));
        assert!(refused(|config| config.tuning.election_min = config.tuning.election_max).contains("election_max"));
        assert!(refused(|config| config.tuning.change_bytes = usize::MAX).contains("change_bytes"));
    }
}
