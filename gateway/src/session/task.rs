//! Drives the desk: connections and committed events in, batches out, one of each kind at a time.
//!
//! While a batch is on its way the next one collects, so batches grow with the load; the first of a burst never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_control::ChangeId;
use muster_raft::{Notice, ProposeError, Proposed, Replica};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::desk::{Batch, Desk, DeskConfig, Next};
use super::input::Input;
use super::pulse::Pulses;
use super::sink::LineId;
use super::statement::Kind;
use crate::config::SessionConfig;
use crate::metrics::Metrics;

/// Inputs that may wait for the desk; beyond, connections wait to hand over theirs.
const INPUT_BACKLOG: usize = 16_384;

/// Inputs taken before the next look at what can be proposed.
const INPUTS_AT_ONCE: usize = 1_024;

/// From the departure of one batch to that of the next one of its kind, at least. The first statement of a quiet moment
/// does not wait at all; when thousands come at once, each entry of the log is worth its price.
const SPACING: Duration = Duration::from_millis(20);

/// Pauses after failed attempts, doubling from the one to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For so long the cluster surely remembers a change id, so that asking again is safe; it keeps them for two minutes.
const REMEMBERED_FOR: Duration = Duration::from_secs(40);

/// The way to the desk, for connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DeskHandle {
    inputs: mpsc::Sender<Input>,
    pulses: Pulses,
    lines: Arc<AtomicU64>,
}

/// The running desk.
pub(crate) struct DeskTask {
    finish: CancellationToken,
    task: JoinHandle<()>,
}

/// A batch that came back.
struct Attempt {
    batch: Batch,
    id: ChangeId,
    first_tried: Instant,
    result: Result<Proposed, ProposeError>,
}

struct Driver {
    desk: Desk,
    replica: Replica,
    config: SessionConfig,
    metrics: Metrics,
    on_their_way: JoinSet<Attempt>,
    gates: [Gate; Kind::ALL.len()],
}

/// Whether a batch of one kind may leave.
#[derive(Clone, Copy, Default)]
struct Gate {
    is_out: bool,
    opens_at: Option<Instant>,
    failures: u32,
}

impl DeskHandle {
    /// A number for a new connection.
    pub(crate) fn new_line(&self) -> LineId {
        LineId(self.lines.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes pulses for connections.
    pub(crate) fn pulses(&self) -> Pulses {
        self.pulses
    }

    /// Tells the desk, waiting while it is busy; lost if the desk has ended, as is everything then.
    pub(crate) async fn tell(&self, input: Input) {
        _ = self.inputs.send(input).await;
    }
}

impl DeskTask {
    /// Starts a desk for the agents of this node.
    pub(crate) fn spawn(config: SessionConfig, replica: Replica, metrics: Metrics) -> (DeskHandle, Self) {
        let (inputs, receiver) = mpsc::channel(INPUT_BACKLOG);
        let finish = CancellationToken::new();
        let desk = DeskConfig {
            node: replica.node_id(),
            generation: replica.generation(),
            disconnection_time: config.disconnection_time,
            batch_limit: config.batch_limit,
        };
        let driver = Driver {
            desk: Desk::new(desk, metrics.clone()),
            replica,
            config,
            metrics,
            on_their_way: JoinSet::new(),
            gates: Default::default(),
        };
        let task = tokio::spawn(driver.run(receiver, finish.clone()));
        let handle = DeskHandle { inputs, pulses: Pulses::new(), lines: Arc::default() };
        (handle, Self { finish, task })
    }

    /// Ends the desk when all that was heard is in the log, or at `deadline`. Connections have ended before.
    pub(crate) async fn finish(self, deadline: Instant) {
        self.finish.cancel();
        let abort = self.task.abort_handle();
        if timeout_at(deadline, self.task).await.is_err() {
            tracing::warn!("statements about agents were left behind when the grace period ended");
            abort.abort();
        }
    }
}

impl Driver {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, finish: CancellationToken) {
        // Subscribed before the first session is opened, so no event about one is missed.
        let mut notices = self.replica.notices();
        let mut seen = interval(self.config.seen_interval.max(Duration::from_millis(1)));
        let mut sweep =
            interval((self.config.disconnection_time / 16).clamp(Duration::from_millis(50), Duration::from_secs(5)));
        seen.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut received = Vec::with_capacity(INPUTS_AT_ONCE);
        let mut finishing = false;
        loop {
            self.propose();
            if finishing && inputs.is_empty() && self.desk.is_settled() {
                return;
            }
            let reopens = self.gates.iter().filter_map(|gate| gate.opens_at).min();
            tokio::select! {
                count = inputs.recv_many(&mut received, INPUTS_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    received.drain(..).for_each(|input| self.desk.input(input));
                }
                notice = notices.next() => match notice {
                    Some(notice) => self.notice(notice),
                    None => return,
                },
                Some(attempt) = self.on_their_way.join_next() => {
                    self.came_back(attempt.expect("proposing neither panics nor is aborted"));
                }
                _ = seen.tick() => self.desk.end_interval(),
                _ = sweep.tick() => self.desk.sweep(Instant::now()),
                () = sleep_until(reopens.unwrap_or_else(Instant::now)), if reopens.is_some() => self.reopen(),
                () = finish.cancelled(), if !finishing => {
                    finishing = true;
                    self.desk.end_interval();
                }
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        let view = self.replica.view();
        match notice {
            Notice::Applied { events, .. } => self.desk.applied(&events, &view.control),
            Notice::Jumped => self.desk.jumped(&view.control),
        }
    }

    /// Sends off what waits and may leave.
    fn propose(&mut self) {
        while let Some(kind) = Kind::ALL.into_iter().find(|kind| self.may_leave(*kind) && self.desk.has_waiting(*kind))
        {
            if let Some(batch) = self.desk.take(kind, &self.replica.view().control, Instant::now()) {
                self.gates[kind.index()].is_out = true;
                self.send_off(batch, ChangeId::new(rand::random()), Instant::now(), Duration::ZERO);
            }
        }
    }

    fn may_leave(&self, kind: Kind) -> bool {
        let gate = self.gates[kind.index()];
        !gate.is_out && gate.opens_at.is_none()
    }

    fn send_off(&mut self, batch: Batch, id: ChangeId, first_tried: Instant, pause: Duration) {
        let (replica, within) = (self.replica.clone(), self.config.commit_within);
        self.on_their_way.spawn(async move {
            sleep(pause).await;
            let result = replica.propose_as(id, batch.change.clone(), Instant::now() + within).await;
            Attempt { batch, id, first_tried, result }
        });
    }

    fn came_back(&mut self, attempt: Attempt) {
        let Attempt { batch, id, first_tried, result } = attempt;
        let kind = batch.kind;
        match result {
            Ok(Proposed { index, outcome }) => {
                self.gates[kind.index()].is_out = false;
                self.metrics.batch(batch.change.name(), batch.statements);
                match self.desk.settled(batch, index, outcome, &self.replica.view().control) {
                    Next::GoOn => {
                        let gate = &mut self.gates[kind.index()];
                        gate.failures = 0;
                        gate.opens_at = Some(first_tried + SPACING).filter(|opens_at| *opens_at > Instant::now());
                    }
                    Next::Wait => self.pause(kind),
                }
            }
            // Asking again under the same id is answered with the first outcome, so nothing happens twice.
            Err(ProposeError::OutcomeUnknown) if first_tried.elapsed() < REMEMBERED_FOR => {
                let pause = self.next_pause(kind);
                self.send_off(batch, id, first_tried, pause);
            }
            Err(error) => {
                tracing::debug!(%error, change = batch.change.name(), "statements wait for the cluster");
                self.gates[kind.index()].is_out = false;
                self.desk.failed(batch);
                self.pause(kind);
            }
        }
    }

    fn pause(&mut self, kind: Kind) {
        let pause = self.next_pause(kind);
        self.gates[kind.index()].opens_at = Some(Instant::now() + pause);
    }

    fn next_pause(&mut self, kind: Kind) -> Duration {
        let gate = &mut self.gates[kind.index()];
        let pause = FIRST_PAUSE.saturating_mul(1 << gate.failures.min(8)).min(LONGEST_PAUSE);
        gate.failures = gate.failures.saturating_add(1);
        pause
    }

    fn reopen(&mut self) {
        let now = Instant::now();
        for gate in &mut self.gates {
            gate.opens_at = gate.opens_at.filter(|opens_at| *opens_at > now);
        }
    }
}
