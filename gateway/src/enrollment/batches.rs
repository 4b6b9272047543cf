//! Enrollments that arrive together enter the log as one change.
//!
//! While a batch is on its way, and for a moment after it left, the next one collects: batches grow with the load, and
//! a request that comes alone does not wait.

use std::time::Duration;

use muster_control::{Change, ChangeId, EnrollAgent, EnrollAgents, EnrollmentAnswer, LogIndex, Outcome};
use muster_raft::{NotApplied, ProposeError, Proposed};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::log::Log;
use super::undo::Undo;

/// Most enrollments in one change.
const BATCH_LIMIT: usize = 256;

/// Most bytes of their requests, unless one alone has more. With what a change adds to each request, all of a full batch
/// stays below the least to which changes may be limited (`raft.change_size`, 64 KiB).
const BATCH_BYTES: usize = 16 << 10;

/// From the departure of one batch to that of the next one, at least. A commit can be so quick that hardly two requests
/// meet while it lasts, and each entry costs all nodes.
const SPACING: Duration = Duration::from_millis(20);

/// An enrollment on its way to the log.
pub(crate) struct Waiting {
    pub(crate) enroll: EnrollAgent,
    /// Bytes of the request.
    pub(crate) bytes: usize,
    /// When the agent is to be answered.
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Result<Answered, Unanswered>>,
}

/// What the log says, and where.
pub(crate) type Answered = (LogIndex, EnrollmentAnswer);

/// Why the log says nothing. The agent is told "no" and is not registered: what may be on its way is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// No quorum in time, or this node stops.
    NoLeader,
    /// The cluster takes no more, or does not understand.
    Internal,
}

/// Takes enrollments to the log, one batch at a time. Ends when nobody is left to bring one.
///
/// All of a batch is told the same if the log does not answer, and is undone as one, under one change id. Nobody of it
/// is told "no" before the batch is given up, so none is registered after that but by a proposal that is late; that
/// case is [`Undo::unknown`]'s.
pub(crate) async fn run<L: Log>(log: L, undo: Undo<L>, within: Duration, mut waiting: mpsc::Receiver<Waiting>) {
    let (mut left_over, mut leaves_at) = (None, Instant::now());
    loop {
        let first = match left_over.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        sleep_until(leaves_at).await;
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while batch.len() < BATCH_LIMIT
            && let Ok(next) = waiting.try_recv()
        {
            if bytes + next.bytes > BATCH_BYTES {
                left_over = Some(next);
                break;
            }
            bytes += next.bytes;
            batch.push(next);
        }
        // Whoever waited behind a batch that was given up would leave the next one no time.
        let in_time = Instant::now() + within / 4;
        let (batch, late): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| waiting.deadline >= in_time);
        late.into_iter().for_each(|waiting| tell(waiting.answer, Err(Unanswered::NoLeader)));
        if let Some(deadline) = batch.iter().map(|waiting| waiting.deadline).min() {
            leaves_at = Instant::now() + SPACING;
            settle(&log, &undo, batch, deadline).await;
        }
    }
}

async fn settle<L: Log>(log: &L, undo: &Undo<L>, batch: Vec<Waiting>, deadline: Instant) {
    let id = ChangeId::new(rand::random());
    let (enrollments, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|waiting| (waiting.enroll, waiting.answer)).unzip();
    let told_no = || enrollments.iter().map(|enroll| (enroll.name.clone(), enroll.key.clone())).collect::<Vec<_>>();
    let change = Change::EnrollAgents(EnrollAgents { enrollments: enrollments.clone() });
    let unanswered = match log.propose_as(id, change, deadline).await {
        Ok(Proposed { index, outcome: Outcome::Enrollments(outcomes) }) if outcomes.len() == answers.len() => {
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                tell(answer, Ok((index, outcome)));
            }
            return;
        }
        Ok(Proposed { outcome, .. }) => {
            tracing::error!(?outcome, "enrollments have an outcome of another kind");
            Unanswered::Internal
        }
        Err(ProposeError::OutcomeUnknown) => {
            undo.unknown(id, told_no());
            Unanswered::NoLeader
        }
        // Stopped: what may be on its way can not be undone here, and replaces nothing that is younger than itself.
        Err(ProposeError::NotApplied(NotApplied::NoLeader | NotApplied::Stopping) | ProposeError::Stopped) => {
            Unanswered::NoLeader
        }
        Err(ProposeError::NotApplied(_)) => Unanswered::Internal,
    };
    answers.into_iter().for_each(|answer| tell(answer, Err(unanswered)));
}

fn tell(answer: oneshot::Sender<Result<Answered, Unanswered>>, what: Result<Answered, Unanswered>) {
    _ = answer.send(what); // whoever waits for it is only gone when the process ends
}
