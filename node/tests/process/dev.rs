//! `muster dev` as its user meets it.

use std::path::Path;
use std::process::{Child, Stdio};

use crate::program::{free_ports, muster, read, signal, wait_for};

/// A development cluster; stopped when dropped.
struct Dev {
    child: Child,
    directory: std::path::PathBuf,
}

impl Dev {
    fn start(directory: &Path, base_port: u16) -> Self {
        let file = |name: &str| std::fs::File::create(directory.join(name)).expect("a file");
        let child = muster()
            .args(["dev", "--base-port", &base_port.to_string(), "--dir"])
            .arg(directory.join("dev"))
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("the program starts");
        Self { child, directory: directory.to_owned() }
    }

    fn told(&self) -> String {
        read(&self.directory.join("out")) + &read(&self.directory.join("err"))
    }

    fn tells(&self, text: &str) {
        wait_for(&format!("{text:?}"), || self.told().contains(text).then_some(()));
    }

    fn pid_of(&self, node: usize) -> u32 {
        let told = self.told();
        let (_, rest) = told.split_once(&format!("node {node} pid ")).expect("a pid");
        rest.split(|character: char| !character.is_ascii_digit())
            .next()
            .and_then(|pid| pid.parse().ok())
            .expect("a pid")
    }

    fn stop(mut self) {
        signal(self.child.id(), "INT");
        let status = wait_for("end", || self.child.try_wait().expect("it can be waited for"));
        assert!(status.success(), "{status}: {}", self.told());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_cluster_of_three_starts_says_when_a_node_dies_and_goes_on_where_it_stopped() {
    let directory = tempfile::tempdir().expect("a directory");
    let base_port = free_ports(30);
    let dev = Dev::start(directory.path(), base_port);
    dev.tells("The cluster is ready");
    let password = read(&directory.path().join("dev/password"));
    assert!(!dev.told().contains(password.trim()), "the password was printed");
    signal(dev.pid_of(3), "KILL");
    dev.tells("node 3 ended: signal: 9");
    dev.tells("start it again: ");
    dev.stop();

    let again = Dev::start(directory.path(), base_port);
    again.tells("The cluster is ready");
    assert_eq!(read(&directory.path().join("dev/password")), password);
    again.stop();
}
