//! Agents in processes of their own: tens of thousands of sockets are more than one process may open.
//!
//! The bench starts its own program again, once for each part of the fleet. Orders go in, one on a line of standard
//! input; each is answered, in order, by one line with the moment at which it was fulfilled. A part ends with its
//! input.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use muster_gateway::codec::ClientKeyLine;
use muster_node::simulate::{AgentConfig, AgentStats, Count, Fleet, Pace};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// The first argument that makes this program a part of a fleet.
pub(crate) const PART: &str = "agents";

/// Parts of a fleet.
const PARTS: usize = 3;

/// From a restart order to the shutdown of a simulated agent. Longer than it takes to order all of them, so that the
/// simulation of their restarts does not take the CPU from the node that still orders.
const REACTION: Duration = Duration::from_secs(15);

/// Between keepalives: each agent says one, between the figures, so that the state has its report.
const NOTIFY: Duration = Duration::from_secs(60);

/// What a part is told to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Start agents, all at once, until so many run; fulfilled when all have their ack.
    Launch,
    /// Fulfilled when so many restarts were received since the beginning.
    Restarts,
    /// Fulfilled when so many restarts were carried out since the beginning.
    Restarted,
    /// Fulfilled when so many keepalives were sent since the beginning.
    Keepalives,
}

impl Order {
    const ALL: [Self; 4] = [Self::Launch, Self::Restarts, Self::Restarted, Self::Keepalives];

    const fn word(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Restarts => "restarts",
            Self::Restarted => "restarted",
            Self::Keepalives => "keepalives",
        }
    }
}

/// Running parts. Dropping them kills them.
pub(crate) struct Parts {
    parts: Vec<Part>,
    directory: PathBuf,
}

struct Part {
    /// Killed when dropped.
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Parts {
    /// Starts the processes; the identities go into files in `directory`.
    ///
    /// # Errors
    /// When a process can not be started.
    pub(crate) fn start(directory: &Path, channels: &[String], identities: &[ClientKeyLine]) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut parts = Vec::new();
        for (number, identities) in split(identities).into_iter().enumerate() {
            let keys = directory.join(format!("part-{number}.keys"));
            let mut file = std::io::BufWriter::new(std::fs::File::create(&keys)?);
            identities.iter().try_for_each(|identity| writeln!(file, "{identity}"))?;
            file.flush()?;
            let mut child = Command::new(&program)
                .arg(PART)
                .arg(&keys)
                .args(channels)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .context("a part of the fleet does not start")?;
            let orders = child.stdin.take().context("no standard input")?;
            let answers = BufReader::new(child.stdout.take().context("no standard output")?).lines();
            parts.push(Part { _child: child, orders, answers });
        }
        Ok(Self { parts, directory: directory.to_owned() })
    }

    /// Gives an order about the first `agents` of the whole fleet and something that each of them does so many `times`;
    /// returns the moment at which the last part fulfilled it.
    ///
    /// # Errors
    /// When a part died.
    pub(crate) async fn order(&mut self, order: Order, agents: usize, times: usize) -> anyhow::Result<SystemTime> {
        let shares = shares(agents);
        let answers = self.parts.iter_mut().zip(shares).map(|(part, share)| part.order(order, share * times));
        let moments = try_join_all(answers).await?;
        moments.into_iter().max().context("a fleet without parts")
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for number in 0..self.parts.len() {
            // Left behind at worst in a directory that goes away as a whole.
            let _ = std::fs::remove_file(self.directory.join(format!("part-{number}.keys")));
        }
    }
}

impl Part {
    async fn order(&mut self, order: Order, count: usize) -> anyhow::Result<SystemTime> {
        self.orders.write_all(format!("{} {count}\n", order.word()).as_bytes()).await?;
        let answer = self.answers.next_line().await?.context("a part of the fleet ended")?;
        let since: u64 = answer.parse().with_context(|| format!("a part of the fleet says {answer:?}"))?;
        Ok(UNIX_EPOCH + Duration::from_nanos(since))
    }
}

/// How many of the first `agents` belong to each part: they are dealt out like cards.
fn shares(agents: usize) -> [usize; PARTS] {
    std::array::from_fn(|part| (agents + PARTS - 1 - part) / PARTS)
}

fn split(identities: &[ClientKeyLine]) -> Vec<Vec<&ClientKeyLine>> {
    (0..PARTS).map(|part| identities.iter().skip(part).step_by(PARTS).collect()).collect()
}

/// The other side: one part, until its standard input ends.
///
/// # Errors
/// When the arguments or an order make no sense.
pub(crate) async fn run_part(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let keys = arguments.next().context("no file of identities")?;
    let pace = Pace {
        notify: NOTIFY,
        silence: NOTIFY * 3,
        reaction: REACTION,
        gap: Duration::ZERO,
        settle: Duration::ZERO,
        retry: Duration::from_secs(1),
        ..Pace::real()
    };
    let config = Arc::new(AgentConfig { pace, ..AgentConfig::new(arguments.collect()) });
    let text = std::fs::read_to_string(&keys).context(keys)?;
    let identities: Vec<ClientKeyLine> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
    let mut identities = identities.into_iter();
    let mut fleets: Vec<Fleet> = Vec::new();
    let mut orders = standard_input();
    while let Some(line) = orders.recv().await {
        let (word, count) = line.split_once(' ').context("an order without a number")?;
        let count: u64 = count.parse()?;
        let Some(order) = Order::ALL.into_iter().find(|order| order.word() == word) else {
            bail!("no order {word:?}");
        };
        match order {
            Order::Launch => {
                let running: usize = fleets.iter().map(|fleet| fleet.agents().len()).sum();
                let more = (count as usize).saturating_sub(running);
                let some: Vec<_> = identities.by_ref().take(more).collect();
                ensure!(some.len() == more, "only {} identities are left of {more}", some.len());
                let fleet = Fleet::launch(config.clone(), some);
                fleet.all_online().await;
                fleets.push(fleet);
            }
            Order::Restarts => reach(&fleets, Count::RestartsReceived, count).await,
            Order::Restarted => reach(&fleets, Count::RestartsDone, count).await,
            Order::Keepalives => reach(&fleets, Count::Keepalives, count).await,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        println!("{}", now.as_nanos());
    }
    Ok(())
}

/// The lines of standard input. Read in a thread of its own: the runtime here has no such thing.
fn standard_input() -> UnboundedReceiver<String> {
    let (lines, received) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        // An error means that the runtime has ended, and the process with it.
        _ = std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| lines.send(line));
        // Whoever gave the orders is gone, perhaps in the middle of one that can not be fulfilled any more.
        std::process::exit(0);
    });
    received
}

/// Waits until the fleets together have counted so many.
async fn reach(fleets: &[Fleet], what: Count, count: u64) {
    let sum = || fleets.iter().map(|fleet| fleet.stats().get(what)).sum::<u64>();
    while sum() < count {
        let steps = fleets.iter().map(|fleet| {
            let before = fleet.stats().get(what);
            Box::pin(fleet.stats().until(move |stats: &AgentStats| stats.get(what) > before))
        });
        if sum() >= count {
            return;
        }
        futures_util::future::select_all(steps).await;
    }
}
