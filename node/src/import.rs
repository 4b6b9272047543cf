//! `muster import`: takes over the agents of a Wazuh manager, through the API of a running cluster.
//!
//! From the manager's files a plan is made ([`plan`]), and cut into batches. All of them are compared with the cluster
//! before the first is written; each is one entry of the log then. A run that was cut off in between is completed by
//! another one.

mod args;
mod global_db;
mod plan;
mod report;
mod sources;

use std::time::{Duration, Instant};

use muster_http::ImportAnswer;

pub(crate) use args::{ExportArgs, ImportArgs};

use crate::client::Client;
use crate::failure::{Exit, Failure};
use plan::Plan;
use report::Report;

/// What takes batches.
const PATH: &str = "/v1/import/agents";

/// How often a line of progress is shown.
const EVERY: Duration = Duration::from_secs(2);

/// Runs `muster import`.
///
/// # Errors
/// When a file cannot be imported, the cluster cannot be reached, or agents collide with what it has.
pub(crate) async fn run(args: &ImportArgs) -> Result<(), Failure> {
    let plan = sources::read(args).map_err(|error| Failure::new(Exit::Data, error))?;
    let failed = |error| Failure::new(Exit::Other, error);
    let mut client = Client::log_in(&args.cluster).await.map_err(failed)?;
    let mut report = Report::new(&plan);
    send(&mut client, &plan, args, Step::Compare, |answer| report.compared(answer)).await.map_err(failed)?;
    if report.conflicts() > 0 && !args.skip_conflicts {
        print!("{report}");
        return Err(Failure::message(Exit::Data, stopped(report.conflicts(), "nothing was written")));
    }
    if args.dry_run {
        print!("{report}");
        return Ok(());
    }
    let all = send(&mut client, &plan, args, Step::Write, |answer| report.wrote(answer)).await.map_err(|error| {
        failed(error.context("the import is not complete; run it again, what is there already stays as it is"))
    })?;
    if !all {
        print!("{report}");
        let why = "the cluster changed meanwhile, and the import is not complete";
        return Err(Failure::message(Exit::Data, stopped(report.conflicts(), why)));
    }
    report.complete();
    print!("{report}");
    Ok(())
}

fn stopped(conflicts: usize, state: &str) -> String {
    format!(
        "{conflicts} agents collide with what the cluster has: {state}; see --skip-conflicts in muster import --help"
    )
}

/// What is done with all batches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Compare,
    Write,
}

/// Sends all batches, one after the other. `false` if one was refused for its conflicts, which ends it.
async fn send(
    client: &mut Client,
    plan: &Plan,
    args: &ImportArgs,
    step: Step,
    mut hear: impl FnMut(&ImportAnswer),
) -> anyhow::Result<bool> {
    let word = if step == Step::Compare { "compared" } else { "written" };
    let (mut agents, mut shown) = (0, Instant::now());
    for batch in plan.batches(args.skip_conflicts, step == Step::Compare) {
        let answer: ImportAnswer = client.post(PATH, &batch).await?;
        hear(&answer);
        if step == Step::Write && !answer.written {
            return Ok(false);
        }
        agents += batch.agents.len();
        if shown.elapsed() >= EVERY {
            eprintln!("{word} {agents} of {} agents", plan.agents.len());
            shown = Instant::now();
        }
    }
    eprintln!("{word} {agents} of {} agents", plan.agents.len());
    Ok(true)
}
