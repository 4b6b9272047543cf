//! What is wrong before anything starts.

use std::net::TcpListener;

use crate::program::{Single, only_line, run};

#[test]
fn a_mistake_on_the_command_line_ends_with_64_and_one_line() {
    for args in [&["serve"][..], &["serve", "--confg", "x"], &["surve"], &["dev", "--base-port", "70000"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(only_line(&output).starts_with("muster: "), "{}", only_line(&output));
    }
}

#[test]
fn help_and_version_are_no_mistake() {
    for command in ["", "serve", "dev", "simulate", "import", "export"] {
        let help = [command, "--help"];
        let output = run(if command.is_empty() { &help[1..] } else { &help });
        assert!(output.status.success(), "{command}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{command}");
    }
    assert!(String::from_utf8(run(&["--version"]).stdout).expect("UTF-8").starts_with("muster 0."));
}

#[test]
fn an_unknown_key_ends_with_64_and_one_line_that_names_it() {
    let single = Single::new();
    let output = run(&["serve", "--config", &single.config("one", "max_strangrs = 5")]);
    assert_eq!(output.status.code(), Some(64));
    let line = only_line(&output);
    assert!(line.contains("max_strangrs") && line.contains("muster.toml: line "), "{line}");
    assert!(!single.data_dir().exists());
}

#[test]
fn a_missing_file_ends_with_64_and_is_named() {
    let output = run(&["serve", "--config", "/nowhere/muster.toml"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(only_line(&output).contains("/nowhere/muster.toml"), "{}", only_line(&output));
}

#[test]
fn a_contradiction_ends_with_64_and_names_both_keys() {
    let single = Single::new();
    let output = run(&["serve", "--config", &single.config("one", "[agents]\nseen_interval = \"1h\"")]);
    assert_eq!(output.status.code(), Some(64));
    let line = only_line(&output);
    assert!(line.contains("agents.seen_interval = 1h") && line.contains("agents.disconnection_time = 15m"), "{line}");
}

#[test]
fn a_check_prints_every_default_and_starts_nothing() {
    let single = Single::new();
    let output = run(&["serve", "--check", "--config", &single.config("one", "")]);
    assert!(output.status.success(), "{}", only_line(&output));
    assert!(String::from_utf8(output.stdout).expect("UTF-8").contains("token_lifetime = \"15m\""));
    assert!(!single.data_dir().exists());
}

#[test]
fn a_port_in_use_ends_with_69_and_names_the_key() {
    for (key, offset) in [("api.listen", 0), ("channel.listen", 1), ("enrollment.listen", 2), ("peers.listen", 3)] {
        let single = Single::new();
        let port = single.port(offset);
        let _taken = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let output = run(&["serve", "--config", &single.config("one", "")]);
        assert_eq!(output.status.code(), Some(69), "{key}");
        let line = only_line(&output);
        assert!(line.contains(&format!("{key} = 127.0.0.1:{port}")), "{line}");
        assert!(!single.data_dir().exists());
    }
}

#[test]
fn a_certificate_of_another_node_ends_with_64() {
    let single = Single::new();
    let config = single.config("one", "");
    let text = std::fs::read_to_string(&config).expect("a file");
    let other = text.replace("id = 1\n", "id = 2\n").replace("{ id = 1,", "{ id = 2,");
    let output = run(&["serve", "--config", &single.write(&other)]);
    assert_eq!(output.status.code(), Some(64));
    assert!(only_line(&output).contains("raft://one/2"), "{}", only_line(&output));
}

#[test]
fn a_certificate_that_is_not_there_ends_with_64_and_names_the_key() {
    let single = Single::new();
    std::fs::remove_file(single.directory.path().join("one/ca.pem")).expect("it was there");
    let output = run(&["serve", "--config", &single.config("one", "")]);
    assert_eq!(output.status.code(), Some(64));
    assert!(only_line(&output).contains("peers.ca = "), "{}", only_line(&output));
}

#[test]
fn a_broken_file_to_import_ends_with_65_before_anybody_is_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (keys, db) = (path("client.keys"), path("global.db"));
    std::fs::write(&keys, "001 web-01 any k1\n002 web-02 nowhere SECRET\n").expect("a file");
    std::fs::write(&db, "no database").expect("a file");
    let nowhere = ["--api", "https://127.0.0.1:1", "--ca", "/nowhere/ca.pem"];
    let import = |more: &[&str]| {
        let output = run(&[&["import", "--client-keys", &keys][..], &nowhere, more].concat());
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        only_line(&output)
    };
    let line = import(&[]);
    assert!(line.contains("client.keys: line 2: the address") && !line.contains("SECRET"), "{line}");
    std::fs::write(&keys, "001 web-01 any k1\n").expect("a file");
    let line = import(&["--global-db", &db]);
    assert!(line.contains("global.db: it is damaged"), "{line}");
    assert!(import(&["--groups", "/nowhere/shared"]).contains("/nowhere/shared"));
}
