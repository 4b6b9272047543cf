//! How much of everything there is.

use std::env;
use std::time::Duration;

use anyhow::{Context, bail};

/// Sizes of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Agents in the state.
    pub(crate) agents: usize,
    /// Agents that connect at once.
    pub(crate) crowd: usize,
    /// Sessions of a bulk restart.
    pub(crate) sessions: usize,
    /// Bulk restarts.
    pub(crate) restarts: usize,
    /// Requests of one kind on one connection, one after the other.
    pub(crate) requests: usize,
    /// How long 64 connections ask at once.
    pub(crate) load: Duration,
    /// Leaders killed.
    pub(crate) kills: usize,
}

impl Sizes {
    /// What the aims are about.
    const FULL: Self = Self {
        agents: 100_000,
        crowd: 10_000,
        sessions: 50_000,
        restarts: 5,
        requests: 500,
        load: Duration::from_secs(10),
        kills: 30,
    };

    /// Enough to see that the bench itself works.
    const QUICK: Self = Self {
        agents: 1_000,
        crowd: 200,
        sessions: 600,
        restarts: 2,
        requests: 50,
        load: Duration::from_secs(1),
        kills: 2,
    };

    /// As `BENCH` says, `full` or `quick`; single ones by `BENCH_AGENTS`, `BENCH_CROWD`, `BENCH_SESSIONS`,
    /// `BENCH_RESTARTS`, `BENCH_REQUESTS`, `BENCH_LOAD` (seconds) and `BENCH_KILLS`.
    ///
    /// # Errors
    /// When a variable is none of what it may be, or there are more sessions than agents.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let base = match env::var("BENCH").as_deref() {
            Err(_) | Ok("" | "full") => Self::FULL,
            Ok("quick") => Self::QUICK,
            Ok(other) => bail!("BENCH={other}: full or quick"),
        };
        let sizes = Self {
            agents: number("BENCH_AGENTS", base.agents)?,
            crowd: number("BENCH_CROWD", base.crowd)?,
            sessions: number("BENCH_SESSIONS", base.sessions)?,
            restarts: number("BENCH_RESTARTS", base.restarts)?,
            requests: number("BENCH_REQUESTS", base.requests)?,
            load: Duration::from_secs(number("BENCH_LOAD", base.load.as_secs() as usize)? as u64),
            kills: number("BENCH_KILLS", base.kills)?,
        };
        if sizes.crowd > sizes.sessions || sizes.sessions > sizes.agents {
            bail!("a crowd of {} in {} sessions of {} agents", sizes.crowd, sizes.sessions, sizes.agents);
        }
        Ok(sizes)
    }
}

/// What of it is measured: all, or the parts that `BENCH_ONLY` names, separated by commas.
pub(crate) fn is_wanted(part: &str) -> bool {
    env::var("BENCH_ONLY").map_or(true, |only| only.is_empty() || only.split(',').any(|wanted| wanted == part))
}

fn number(name: &str, default: usize) -> anyhow::Result<usize> {
    match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}: not a number")),
        Err(_) => Ok(default),
    }
}
