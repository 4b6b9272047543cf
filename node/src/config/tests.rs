use std::path::Path;

use super::*;

/// The least a file can say.
const LEAST: &str = r#"
[node]
id = 1
name = "node-1"
address = "192.0.2.1"
data_dir = "/var/lib/muster"

[cluster]
id = "muster"
members = [
    { id = 1, address = "192.0.2.1:1516" },
    { id = 2, address = "192.0.2.2:1516" },
    { id = 3, address = "192.0.2.3:1516" },
]

[peers]
ca = "/etc/muster/ca.pem"
certificate = "/etc/muster/node-1.pem"
key = "/etc/muster/node-1.key"
"#;

const EXAMPLE: &str = include_str!("../../../deploy/muster.example.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/muster/muster.toml"))
}

fn error(more: &str) -> String {
    let message = parse(&format!("{LEAST}{more}")).expect_err(more).to_string();
    assert!(!message.contains('\n'), "more than a line: {message}");
    message
}

#[test]
fn the_example_shows_every_default() {
    assert_eq!(parse(EXAMPLE).unwrap().effective(), parse(LEAST).unwrap().effective());
}

#[test]
fn the_example_explains_every_key() {
    let with_optional = format!(
        "{LEAST}[api]\ncertificate = \"a\"\nkey = \"b\"\n[enrollment]\ncertificate = \"a\"\nkey = \"b\"\npassword = \"c\"\n\
         [events]\nsocket = \"s\"\n[users]\nwazuh_password = \"d\"\nwazuh_wui_password = \"e\"\n"
    );
    let effective = parse(&with_optional).unwrap().effective();
    for line in effective.lines().filter(|line| line.contains(" = ") && !line.starts_with(' ')) {
        let key = line.split(" = ").next().unwrap();
        let explained = EXAMPLE.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        assert!(explained, "{key}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let message = error("[channel]\nlisten = \"0.0.0.0:1514\"\nmax_strangrs = 5\n");
    let line = LEAST.lines().count() + 3;
    assert!(message.starts_with(&format!("/etc/muster/muster.toml: line {line}: ")), "{message}");
    assert!(message.contains("max_strangrs") && message.contains("max_strangers"), "{message}");
}

#[test]
fn an_unknown_table_is_refused() {
    assert!(error("[chanel]\n").contains("chanel"));
}

#[test]
fn a_missing_key_is_named() {
    let text = LEAST.replace("name = \"node-1\"\n", "");
    assert!(parse(&text).unwrap_err().to_string().contains("`name`"));
}

#[test]
fn a_relation_names_both_keys_and_values() {
    for (more, keys) in [
        ("[raft]\nheartbeat = \"1s\"", ["raft.heartbeat = 2500ms", "raft.election_min = 300ms"]),
        ("[raft]\nelection_min = \"2s\"", ["raft.election_min = 2s", "raft.election_max = 600ms"]),
        ("[raft]\nelection_max = \"5s\"", ["raft.heartbeat = 10400ms", "node.session_lease = 10s"]),
        ("[raft]\nelection_max = \"4s\"", ["raft.heartbeat = 8400ms", "raft.propose_deadline = 8s"]),
        ("[raft]\nread_deadline = \"1s\"", ["raft.heartbeat = 1600ms", "raft.read_deadline = 1s"]),
        ("[raft]\npropose_deadline = \"1m\"", ["raft.propose_deadline = 1m", "remembered = 1m"]),
        ("[api]\nrequest_timeout = \"2m\"", ["api.request_timeout = 2m", "remembered = 1m"]),
        ("[api]\nrequest_timeout = \"1s\"", ["raft.heartbeat = 1600ms", "api.request_timeout = 1s"]),
        ("[api]\nsend_within = \"119s\"", ["api.send_within = 119s", "= 2m"]),
        ("[agents]\nseen_interval = \"15m\"", ["agents.seen_interval = 15m", "agents.disconnection_time = 15m"]),
        ("[enrollment]\nmax_per_peer = 1000", ["enrollment.max_per_peer = 1000", "enrollment.max_in_flight = 999"]),
        ("[channel]\nmax_connections = 9", ["channel.max_strangers = 16384", "channel.max_connections = 9"]),
        (
            "[channel]\nlisten = \"[::]:1515\"\n[enrollment]\nlisten = \"[::]:1515\"",
            ["enrollment.listen", "channel.listen"],
        ),
        ("[api]\nlisten = [\"127.0.0.1:1516\"]", ["peers.listen = 0.0.0.0:1516", "api.listen = 127.0.0.1:1516"]),
    ] {
        let message = error(more);
        assert!(keys.iter().all(|key| message.contains(key)), "{more}: {message}");
    }
}

#[test]
fn a_value_out_of_range_is_named() {
    for (more, key) in [
        ("[raft]\nchange_size = \"1KiB\"", "raft.change_size = 1KiB"),
        ("[raft]\nchange_size = \"33MiB\"", "raft.change_size = 33MiB"),
        ("[raft]\nproposals_in_flight = 0", "raft.proposals_in_flight = 0"),
        ("[api]\nlisten = []", "api.listen"),
        ("[api]\ncertificate = \"x\"", "api.key"),
        ("[enrollment]\nkey = \"x\"", "enrollment.certificate"),
        ("[channel]\nprotocol = []", "channel.protocol = []"),
        ("[channel]\nconnection_overtake_time = \"61m\"", "channel.connection_overtake_time = 61m"),
        ("[channel]\nudp_backlog = \"1KiB\"", "channel.udp_backlog = 1KiB"),
        ("[api]\ntoken_lifetime = \"1500ms\"", "api.token_lifetime = 1500ms"),
        ("[enrollment]\npassword = \"\"", "enrollment.password"),
        ("[agents]\nmanager_version = \"latest\"", "agents.manager_version = \"latest\""),
        ("[log]\nfilter = \"muster=lots\"", "log.filter = \"muster=lots\""),
    ] {
        let message = error(more);
        assert!(message.contains(key), "{more}: {message}");
    }
    for (from, to, key) in [
        ("name = \"node-1\"", "name = \"a b\"", "node.name"),
        ("id = \"muster\"", "id = \"Muster\"", "cluster.id"),
        ("address = \"192.0.2.1\"", "address = \"192.0.2.1:55000\"", "node.address"),
        ("id = 1\nname", "id = 4\nname", "node.id = 4"),
        ("{ id = 2,", "{ id = 1,", "cluster.members = id 1"),
        ("192.0.2.3:1516", "192.0.2.2:1516", "cluster.members = 192.0.2.2:1516"),
        ("192.0.2.3:1516", "192.0.2.3", "cluster.members = 192.0.2.3"),
    ] {
        let message = parse(&LEAST.replace(from, to)).unwrap_err().to_string();
        assert!(message.contains(key), "{to}: {message}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let more = "[enrollment]\npassword = \"hunter2\"\n[users]\nwazuh_password = \"hunter2\"\n";
    let config = parse(&format!("{LEAST}{more}")).unwrap();
    assert_eq!(config.gateway.enrollment.password.as_deref(), Some("hunter2"));
    for shown in [config.effective(), config.effective_line(), format!("{:?}", config.users)] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("[secret]"), "{shown}");
    }
}

#[test]
fn relative_paths_start_at_the_file() {
    let config = parse(&LEAST.replace("/var/lib/muster", "data").replace("/etc/muster/ca.pem", "../ca.pem")).unwrap();
    assert_eq!(config.node.data_dir, Path::new("/etc/muster/data"));
    assert_eq!(config.peers.ca, Path::new("/etc/muster/../ca.pem"));
}
