//! One node from start to stop.

use std::os::unix::fs::PermissionsExt;

use crate::program::{Single, muster, only_line, read, run, signal, wait_for};

#[test]
fn a_new_cluster_keeps_its_first_passwords_to_itself_and_stops_in_order() {
    let single = Single::new();
    let node = single.start(&single.config("one", ""));
    single.serves();
    let file = single.data_dir().join("passwords.toml");
    let text = read(&file);
    let password = |user: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{user} = "))).expect("a password");
        line.trim_matches('"').to_owned()
    };
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    assert!(single.printed().contains(file.to_str().expect("UTF-8")), "{}", single.printed());
    signal(node.child.id(), "TERM");
    assert_eq!(node.ended(), (Some(0), String::new()));
    for user in ["wazuh", "wazuh-wui"] {
        assert!(!single.printed().contains(&password(user)), "the password of {user} is in the log");
    }
    assert!(single.printed().contains("session lease released"), "{}", single.printed());

    let again = single.start(&single.config("one", ""));
    single.serves();
    assert_eq!(read(&file), text, "a second start changed the passwords");
    signal(again.child.id(), "INT");
    assert_eq!(again.ended().0, Some(0));
}

#[test]
fn passwords_that_were_chosen_are_nowhere_on_the_disk_in_plain_text() {
    let single = Single::new();
    let chosen = "[users]\nwazuh_password = \"Chosen.Pass-1\"\nwazuh_wui_password = \"Chosen.Pass-2\"";
    let node = single.start(&single.config("one", chosen));
    single.serves();
    signal(node.child.id(), "TERM");
    assert_eq!(node.ended().0, Some(0));
    let found = files_with(&single.data_dir(), "Chosen.Pass");
    assert!(found.is_empty(), "{found}");
    assert!(!single.printed().contains("Chosen.Pass"));
}

#[test]
fn a_data_directory_of_another_cluster_ends_with_65() {
    let single = Single::new();
    let node = single.start(&single.config("one", ""));
    single.serves();
    signal(node.child.id(), "TERM");
    assert_eq!(node.ended().0, Some(0));
    single.certify("two");
    let output = run(&["serve", "--config", &single.config("two", "")]);
    assert_eq!(output.status.code(), Some(65));
    let line = only_line(&output);
    assert!(line.contains("belongs to cluster one, not to two"), "{line}");
}

#[test]
fn a_data_directory_in_use_ends_with_65() {
    let single = Single::new();
    let _node = single.start(&single.config("one", ""));
    single.serves();
    let other = Single::new();
    let text = read(other.config("one", "").as_ref());
    let data_dir = format!("data_dir = {:?}", single.data_dir());
    let output = run(&["serve", "--config", &other.write(&text.replace("data_dir = \"data\"", &data_dir))]);
    assert_eq!(output.status.code(), Some(65));
    assert!(only_line(&output).contains("in use"), "{}", only_line(&output));
}

#[test]
fn a_node_stops_in_order_when_whoever_started_it_is_gone() {
    let single = Single::new();
    let mut child = muster()
        .args(["serve", "--stop-with-stdin", "--config", &single.config("one", "")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    wait_for("first passwords", || single.data_dir().join("passwords.toml").exists().then_some(()));
    drop(child.stdin.take());
    let status = wait_for("end", || child.try_wait().expect("it can be waited for"));
    assert!(status.success(), "{status}");
}

/// Files below `directory` that contain `text`.
fn files_with(directory: &std::path::Path, text: &str) -> String {
    let output = std::process::Command::new("grep").args(["-rlaF", text]).arg(directory).output().expect("grep runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
