//! The command `muster simulate`, from its arguments to its summary.

use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use muster_gateway::codec::ClientKeyLine;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, sleep};

use super::args::SimulateArgs;
use super::enroll::Enroller;
use super::fleet::Fleet;
use super::mover::Mover;
use super::progress::{EVERY, Report};

/// How long agents have to say their shutdown at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Descriptors the process needs besides one for each agent.
const OTHER_FILES: usize = 64;

/// Ends the run: Ctrl-C, or a polite kill.
type Interrupt = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs simulated agents as told, shows progress on standard error and the totals on standard output.
///
/// # Errors
/// If the arguments contradict each other, the identities can not be read or written, or agents could not be
/// enrolled; the totals are shown in the last case too.
pub async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    ensure!(args.agents > 0, "--agents must be at least 1");
    ensure!(args.move_rate >= 0.0 && args.move_rate.is_finite(), "--move-rate must be a number from 0 up");
    ensure_descriptors(args.agents)?;
    let mut interrupt = interrupt()?;
    let mut report = Report {
        seed: args.seed.unwrap_or_else(rand::random),
        enrolled: 0,
        enroll_failures: 0,
        enroll_time: Duration::ZERO,
        launched: Instant::now(),
        all_online_after: None,
    };
    let Some(identities) = identities(&args, &mut report, &mut interrupt).await? else {
        println!("{}", report.summary(None));
        return Ok(());
    };
    report.launched = Instant::now();
    let fleet = Fleet::launch(Arc::new(args.agent_config()), identities);
    watch(&fleet, &args, &mut report, &mut interrupt).await;
    let summary = report.summary(Some(&fleet));
    fleet.stop(GRACE).await;
    println!("{summary}");
    ensure!(report.enroll_failures == 0, "{} agents could not be enrolled", report.enroll_failures);
    Ok(())
}

fn interrupt() -> anyhow::Result<Interrupt> {
    let [mut ctrl_c, mut kill] = [
        signal(SignalKind::interrupt()).context("can not listen for Ctrl-C")?,
        signal(SignalKind::terminate()).context("can not listen for the signal to end")?,
    ];
    Ok(Box::pin(async move {
        tokio::select! {
            _ = ctrl_c.recv() => {}
            _ = kill.recv() => {}
        }
    }))
}

/// Lets the fleet run, moves its agents, and shows progress until time is up or the user interrupts.
async fn watch(fleet: &Fleet, args: &SimulateArgs, report: &mut Report, interrupt: &mut Interrupt) {
    let mover = Mover::new(args.move_rate, report.seed).run(fleet);
    let end = async {
        match args.duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(mover, end);
    let mut lines = interval(EVERY);
    lines.tick().await;
    loop {
        tokio::select! {
            () = fleet.all_online(), if report.all_online_after.is_none() => {
                report.all_online_after = Some(report.launched.elapsed());
                eprintln!("{}", report.line(fleet));
            }
            _ = lines.tick() => eprintln!("{}", report.line(fleet)),
            never = &mut mover => match never {},
            () = &mut end => return,
            () = &mut *interrupt => return,
        }
    }
}

/// The agents' identities, from the file or newly enrolled. `None` if the user interrupted the enrollment.
async fn identities(
    args: &SimulateArgs,
    report: &mut Report,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Option<Vec<ClientKeyLine>>> {
    if let Some(file) = args.keys.as_deref().filter(|file| file.exists()) {
        return read_keys(file, args.agents).map(Some);
    }
    let servers = args.enrollment_servers();
    ensure!(!servers.is_empty(), "--enroll is needed with --nodes: there are no identities yet");
    let enroller = Enroller::new(servers).with_password(args.password.clone());
    let prefix = args.name.clone().unwrap_or_else(|| format!("sim-{:06x}", rand::random::<u32>() >> 8));
    let names = (1..=args.agents).map(|number| format!("{prefix}-{number:05}"));
    let began = Instant::now();
    let mut identities = Vec::with_capacity(args.agents);
    let mut results = std::pin::pin!(enroller.enroll_all(names, args.parallel));
    let mut lines = interval(EVERY);
    lines.tick().await;
    loop {
        tokio::select! {
            result = results.next() => match result {
                Some(Ok(identity)) => identities.push(identity),
                Some(Err(error)) => {
                    report.enroll_failures += 1;
                    if report.enroll_failures == 1 {
                        eprintln!("first agent that could not be enrolled: {:#}", anyhow::Error::new(error));
                    }
                }
                None => break,
            },
            _ = lines.tick() => eprintln!("enrolled {} of {}", identities.len(), args.agents),
            () = &mut *interrupt => return Ok(None),
        }
        report.enrolled = identities.len();
        report.enroll_time = began.elapsed();
    }
    ensure!(!identities.is_empty(), "no agent could be enrolled");
    eprintln!("enrolled {} agents in {:.1} s", identities.len(), report.enroll_time.as_secs_f64());
    // Ids in the file's order, whatever order the answers came in.
    identities.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
    if let Some(file) = &args.keys {
        write_keys(file, &identities)?;
    }
    Ok(Some(identities))
}

fn read_keys(file: &Path, agents: usize) -> anyhow::Result<Vec<ClientKeyLine>> {
    let text = fs::read_to_string(file).with_context(|| format!("can not read {}", file.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', ' ']));
    let identities: Vec<ClientKeyLine> = lines
        .take(agents)
        .map(|line| line.parse().with_context(|| format!("in {}: {line:?}", file.display())))
        .collect::<anyhow::Result<_>>()?;
    ensure!(
        identities.len() == agents,
        "{} holds {} identities, --agents asks for {agents}",
        file.display(),
        identities.len()
    );
    Ok(identities)
}

fn write_keys(file: &Path, identities: &[ClientKeyLine]) -> anyhow::Result<()> {
    let text: String = identities.iter().map(|identity| format!("{identity}\n")).collect();
    // For the owner alone: the keys open the agents' channels.
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("can not write {}", file.display()))
}

/// Refuses a fleet that would run out of file descriptors halfway, where the limit can be read.
fn ensure_descriptors(agents: usize) -> anyhow::Result<()> {
    let needed = agents + OTHER_FILES;
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    match soft_file_limit(&limits) {
        Some(limit) if limit < needed => {
            bail!(
                "{agents} agents need {needed} file descriptors, the limit is {limit}; run `ulimit -n {needed}` first"
            )
        }
        _ => Ok(()),
    }
}

/// Reads the line `Max open files  SOFT  HARD  files`; `None` if there is none or it is unlimited.
fn soft_file_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let limits = "Max processes  1  1  processes\nMax open files            1024                 524288               files\n";
        assert_eq!(soft_file_limit(limits), Some(1_024));
        assert_eq!(soft_file_limit("Max open files  unlimited  unlimited  files"), None);
        assert_eq!(soft_file_limit(""), None);
    }

    #[test]
    fn identities_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sim.keys");
        let identities: Vec<ClientKeyLine> = vec!["001 a1 any k1".parse().unwrap(), "002 a2 any k2".parse().unwrap()];
        write_keys(&file, &identities).unwrap();
        assert_eq!(read_keys(&file, 2).unwrap(), identities);
        assert_eq!(read_keys(&file, 1).unwrap(), identities[..1]);
        assert!(read_keys(&file, 3).unwrap_err().to_string().contains("holds 2 identities"));
    }
}
