//! One node: a process that can be started, killed, paused and looked at.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::place::Place;
use crate::until;

/// SIGKILL.
const KILL: i32 = 9;

/// A node and, while it runs, its process.
#[derive(Debug)]
pub struct Node {
    place: Place,
    program: PathBuf,
    process: Option<Process>,
}

/// A process of a node.
#[derive(Debug)]
struct Process {
    child: Child,
    /// The node stops when this is closed: so none outlives its test, however that ends.
    stdin: Option<ChildStdin>,
    /// Adds what it prints to its log.
    printing: JoinHandle<std::io::Result<u64>>,
}

impl Process {
    /// Waits for its end and its last words.
    async fn wait(mut self) -> ExitStatus {
        let status = self.child.wait().await.expect("a process ends");
        self.printing.await.expect("copying does not panic").expect("the log can be written");
        status
    }
}

impl Node {
    pub(crate) fn new(place: Place, program: PathBuf) -> Self {
        Self { place, program, process: None }
    }

    /// Where it lives.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Starts the process; what it prints is added to its log.
    ///
    /// # Panics
    /// When it runs already, or cannot be started.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.place.name());
        // Through a shell, which lets a file that may not grow be an error and not a deadly signal, and lets the
        // program have the process. What it prints goes through us, so that limits on its files do not touch it.
        let mut child = Command::new("sh")
            .args(["-c", r#"trap "" XFSZ; exec "$0" serve --stop-with-stdin --config "$1" 2>&1"#])
            .arg(&self.program)
            .arg(self.place.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program under test starts");
        let stdin = child.stdin.take();
        let mut printed = child.stdout.take().expect("it is piped");
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("a log file");
        let mut log = tokio::fs::File::from_std(log);
        let printing = tokio::spawn(async move {
            let copied = tokio::io::copy(&mut printed, &mut log).await;
            log.flush().await.and(copied)
        });
        self.process = Some(Process { child, stdin, printing });
    }

    /// Whether a process was started and not seen to end.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.process
            .as_ref()
            .and_then(|process| process.child.id())
            .unwrap_or_else(|| panic!("{} does not run", self.place.name()))
    }

    /// Kills it as a power cut would, and sees that this is what ended it.
    ///
    /// # Panics
    /// When it does not run, or ended by itself before.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().unwrap_or_else(|| panic!("{} does not run", self.place.name()));
        process.child.start_kill().expect("a process can be killed");
        let status = process.wait().await;
        assert_eq!(status.signal(), Some(KILL), "{} ended before it was killed: {status}", self.place.name());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within this time.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let process = self.process.take().unwrap_or_else(|| panic!("{} does not run", self.place.name()));
        match timeout(within, process.wait()).await {
            Ok(status) => status,
            Err(_) => panic!("{} did not end within {within:?}", self.place.name()),
        }
    }

    /// How it ended, if it did; its last words are in its log then.
    pub async fn has_ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.child.try_wait().expect("a process can be waited for")?;
        Some(self.process.take()?.wait().await)
    }

    /// Asks it to stop in order, and waits for that.
    ///
    /// # Panics
    /// When it does not run, or does not stop in order.
    pub async fn stop(&mut self) {
        drop(self.process.as_mut().and_then(|process| process.stdin.take()));
        let status = self.ended(Duration::from_secs(20)).await;
        assert!(status.success(), "{} stopped with {status}", self.place.name());
    }

    /// Stops its threads, as a stalled machine would, and sees that they stand still.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn pause(&self) {
        self.signal("STOP").await;
        until("the process stands still", Duration::from_secs(5), async || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).map_err(|error| error.to_string())?;
            // The state is behind the name, which is in brackets.
            let state = stat.rsplit_once(") ").map_or("", |(_, state)| state);
            if state.starts_with('T') { Ok(()) } else { Err(stat) }
        })
        .await;
    }

    /// Lets its threads go on.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn resume(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &command]).status().await.expect("a shell runs");
        assert!(status.success(), "{command}: {status}");
    }

    /// Takes away everything it kept, as a new disk would.
    ///
    /// # Panics
    /// When it runs, or had nothing.
    pub fn wipe(&self) {
        assert!(!self.runs(), "{} runs", self.place.name());
        fs::remove_dir_all(&self.place.data_dir).expect("the node had data");
    }

    /// Everything it printed, in all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.place.dir.join("muster.log")
    }
}
