//! Runs the program and what it needs.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use muster_node::Authority;
use tempfile::TempDir;

/// Longest wait for anything a test waits for; a loaded machine takes seconds for what else takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn muster() -> Command {
    Command::new(env!("CARGO_BIN_EXE_muster"))
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    muster().args(args).stdin(Stdio::null()).output().expect("the program runs")
}

/// The only line on stderr.
pub(crate) fn only_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

/// Waits until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// So many ports in a row that nobody listens on, below those that the system hands out.
pub(crate) fn free_ports(count: u16) -> u16 {
    wait_for("free ports", || {
        let first = rand::random_range(20_000..31_000);
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        (first..first + count).all(free).then_some(first)
    })
}

/// Sends a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}: {status}");
}

/// Everything for a cluster of one node.
pub(crate) struct Single {
    pub(crate) directory: TempDir,
    port: u16,
}

impl Single {
    /// Certificates and free ports.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let single = Self { directory, port: free_ports(4) };
        single.certify("one");
        single
    }

    /// Makes certificates for a cluster of this name.
    pub(crate) fn certify(&self, cluster: &str) {
        let directory = self.directory.path().join(cluster);
        let authority = Authority::keep(&directory, cluster.parse().expect("valid")).expect("an authority");
        let pair = authority.issue(muster_control::NodeId::new(1), &["127.0.0.1".to_owned()]).expect("a certificate");
        pair.save(&directory, "node-1").expect("files");
    }

    pub(crate) fn port(&self, offset: u16) -> u16 {
        self.port + offset
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Writes the configuration for a cluster of this name, with `more` at its end.
    pub(crate) fn config(&self, cluster: &str, more: &str) -> String {
        let [api, channel, enrollment, peers] = [0, 1, 2, 3].map(|offset| self.port(offset));
        let text = format!(
            r#"
            [node]
            id = 1
            name = "node-1"
            address = "127.0.0.1"
            data_dir = "data"
            [cluster]
            id = "{cluster}"
            members = [{{ id = 1, address = "127.0.0.1:{peers}" }}]
            [peers]
            listen = "127.0.0.1:{peers}"
            ca = "{cluster}/ca.pem"
            certificate = "{cluster}/node-1.pem"
            key = "{cluster}/node-1.key"
            [raft]
            disk_reserve = "1MiB"
            [api]
            listen = ["127.0.0.1:{api}"]
            [enrollment]
            listen = "127.0.0.1:{enrollment}"
            [channel]
            listen = "127.0.0.1:{channel}"
            {more}
            "#
        );
        self.write(&text)
    }

    /// Writes this as the configuration.
    pub(crate) fn write(&self, text: &str) -> String {
        let path = self.directory.path().join("muster.toml");
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Starts the node; what it prints goes to a file.
    pub(crate) fn start(&self, config: &str) -> Running {
        let log = std::fs::File::create(self.log()).expect("a file");
        let child = muster()
            .args(["serve", "--config", config])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Running { child }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// What the node has printed.
    pub(crate) fn printed(&self) -> String {
        read(&self.log())
    }

    /// Waits until it serves.
    pub(crate) fn serves(&self) {
        wait_for("serving node", || self.printed().contains("serving").then_some(()));
    }
}

/// A running process, killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    /// Waits for its end: exit code, and what it wrote to stderr.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = wait_for("end", || self.child.try_wait().expect("it can be waited for"));
        let mut text = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("UTF-8");
        (status.code(), text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
