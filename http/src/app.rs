//! What all requests of one node share, and their two ways to the cluster: read, propose.

use std::sync::Arc;

use muster_control::{Change, ChangeId, LogIndex, Outcome, PerAgent, PerGroup};
use muster_raft::{Proposed, ReadError, Replica, View};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::ApiConfig;
use crate::metrics::Metrics;
use crate::password::{HashError, Passwords};
use crate::problem::Problem;
use crate::rate::RateLimit;
use crate::throttle::LoginThrottle;
use crate::token::Tokens;
use crate::writer::Writer;

/// So many agents are looked through on the thread that serves the connection; more, away from it.
const SCAN_IN_PLACE: usize = 2_000;

/// So many longer looks at a time at least; see [`scans_at_once`].
const SCANS_AT_ONCE: usize = 2;

/// What the requests of one node share.
pub(crate) struct App {
    config: ApiConfig,
    replica: Replica,
    pub(crate) tokens: Tokens,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: LoginThrottle,
    pub(crate) rate: RateLimit,
    pub(crate) metrics: Metrics,
    pub(crate) registry: Registry,
    scans: Arc<Semaphore>,
}

/// How fresh the state has to be that an answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// It contains whatever was acknowledged to anybody before the request.
    Linearizable,
    /// It is what this node has.
    Stale,
}

impl App {
    pub(crate) fn new(config: ApiConfig, replica: Replica, mut registry: Registry) -> Result<Self, HashError> {
        let metrics = Metrics::register(&mut registry, replica.clone());
        Ok(Self {
            tokens: Tokens::new(config.token_lifetime),
            passwords: Passwords::new(config.logins_at_once)?,
            throttle: LoginThrottle::new(config.failed_logins, config.login_block),
            rate: RateLimit::new(config.requests_per_minute),
            config,
            replica,
            metrics,
            registry,
            scans: Arc::new(Semaphore::new(scans_at_once())),
        })
    }

    pub(crate) fn config(&self) -> &ApiConfig {
        &self.config
    }

    pub(crate) fn replica(&self) -> &Replica {
        &self.replica
    }

    /// A version of the state as fresh as asked for.
    ///
    /// # Errors
    /// When no quorum confirms within the request time-out that there is nothing newer.
    pub(crate) async fn read(&self, consistency: Consistency) -> Result<View, Problem> {
        match consistency {
            Consistency::Stale => Ok(self.replica.view()),
            Consistency::Linearizable => {
                Ok(self.within(self.replica.read()).await.unwrap_or(Err(ReadError::NoQuorum))?)
            }
        }
    }

    /// Puts what a caller asks for into the log and waits for its outcome.
    ///
    /// # Errors
    /// When it was certainly not applied, or when that is unknown: two different problems.
    pub(crate) async fn propose(&self, writer: &Writer, change: Change) -> Result<Proposed, Problem> {
        let id = ChangeId::new(rand::random());
        let deadline = Instant::now() + self.config.request_timeout;
        Ok(self.replica.propose_as(id, change.by(writer.author()), deadline).await?)
    }

    /// Proposes a change that is answered agent by agent.
    ///
    /// # Errors
    /// Those of [`App::propose`], and a refusal of the whole change.
    pub(crate) async fn propose_for_agents(
        &self,
        writer: &Writer,
        change: Change,
    ) -> Result<(LogIndex, PerAgent), Problem> {
        let Proposed { index, outcome } = self.propose(writer, change).await?;
        match outcome {
            Outcome::Agents(per_agent) => Ok((index, per_agent)),
            other => Err(unexpected(other, index)),
        }
    }

    /// Proposes a change that is answered group by group.
    ///
    /// # Errors
    /// Those of [`App::propose`], and a refusal of the whole change.
    pub(crate) async fn propose_for_groups(
        &self,
        writer: &Writer,
        change: Change,
    ) -> Result<(LogIndex, PerGroup), Problem> {
        let Proposed { index, outcome } = self.propose(writer, change).await?;
        match outcome {
            Outcome::Groups(per_group) => Ok((index, per_group)),
            other => Err(unexpected(other, index)),
        }
    }

    /// Proposes a change that is done or refused as a whole.
    ///
    /// # Errors
    /// Those of [`App::propose`], and the refusal.
    pub(crate) async fn propose_whole(&self, writer: &Writer, change: Change) -> Result<LogIndex, Problem> {
        let Proposed { index, outcome } = self.propose(writer, change).await?;
        match outcome {
            Outcome::Done => Ok(index),
            other => Err(unexpected(other, index)),
        }
    }

    /// Looks through a version of the state, at so many agents; a long look does not hold up the connections of
    /// this thread.
    ///
    /// # Errors
    /// Those of `look`, and that its turn did not come within the request time-out.
    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        view: View,
        agents: usize,
        look: impl FnOnce(&View) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if agents <= SCAN_IN_PLACE {
            return look(&view);
        }
        let Some(turn) = self.within(self.scans.clone().acquire_owned()).await else {
            return Err(Problem::unavailable("too many long reads are under way"));
        };
        let found = tokio::task::spawn_blocking(move || {
            let _turn = turn; // held to the end, also when the client is gone
            look(&view)
        });
        found.await.unwrap_or_else(|error| Err(Problem::internal(&error)))
    }

    async fn within<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.config.request_timeout, wait).await.ok()
    }
}

/// As many as there are cores, so that long looks do not wait for each other while a core is free.
fn scans_at_once() -> usize {
    std::thread::available_parallelism().map_or(SCANS_AT_ONCE, |cores| cores.get().max(SCANS_AT_ONCE))
}

/// The problem for an outcome that a change did not ask for: its refusal, or a fault.
pub(crate) fn unexpected(outcome: Outcome, index: LogIndex) -> Problem {
    match outcome {
        Outcome::Refused(refusal) => Problem::from_refusal(refusal, index),
        other => Problem::internal(&format_args!("outcome of another change: {other:?}")),
    }
}
