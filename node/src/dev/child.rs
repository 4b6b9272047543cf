//! One node of a development cluster: a process that stops when its standard input ends.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::process::{ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::layout::Place;

/// More than the grace period of a node: one that takes longer is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A running node.
pub(super) struct Node {
    number: usize,
    pid: u32,
    /// Dropped to stop the node; also dropped, by the kernel, when this process is killed.
    stdin: Option<ChildStdin>,
    kill: CancellationToken,
    watcher: JoinHandle<()>,
}

/// A node that ended without being asked to.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its number, from 1.
    pub(super) number: usize,
    /// How.
    pub(super) status: ExitStatus,
}

impl Node {
    /// Starts `muster serve`; its output is added to the log file. Its end is told to `ends`.
    pub(super) fn start(program: &Path, place: Place, ends: mpsc::UnboundedSender<Ended>) -> anyhow::Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&place.log)
            .with_context(|| format!("cannot open {}", place.log.display()))?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(&place.config)
            .arg("--stop-with-stdin")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0) // Ctrl-C reaches us alone, and we stop the nodes one after the other
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdin = child.stdin.take();
        let pid = child.id().context("the node ended at once")?;
        let kill = CancellationToken::new();
        let number = place.number;
        let watcher = tokio::spawn({
            let kill = kill.clone();
            async move {
                let status = tokio::select! {
                    status = child.wait() => status,
                    () = kill.cancelled() => {
                        let _ = child.kill().await;
                        return;
                    }
                };
                if let Ok(status) = status {
                    let _ = ends.send(Ended { number, status });
                }
            }
        });
        Ok(Self { number, pid, stdin, kill, watcher })
    }

    /// Its number, from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process is there.
    pub(super) fn runs(&self) -> bool {
        !self.watcher.is_finished()
    }

    /// Stops it in order; kills it if that takes too long.
    pub(super) async fn stop(mut self) {
        self.stdin = None;
        if timeout(STOP_WITHIN, &mut self.watcher).await.is_err() {
            eprintln!("node {} does not stop: killed", self.number);
            self.kill.cancel();
            let _ = self.watcher.await;
        }
    }
}
