//! The command line of `muster simulate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::config::{AgentConfig, Pace};
use super::duration;

/// Run simulated agents against a cluster, over the real protocol.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = BEHAVIOUR_AND_EXAMPLES)]
pub struct SimulateArgs {
    /// Secure channel of each node, host:port, comma separated; agents spread evenly over them. Without it, the three
    /// nodes of `muster dev`.
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT")]
    pub nodes: Vec<String>,

    /// Enrollment port of each node, host:port, comma separated. Without --nodes, those of `muster dev`; not needed if
    /// --keys has all identities already.
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT")]
    pub enroll: Vec<String>,

    /// How many agents to run.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub agents: usize,

    /// How many agents per second leave their node for another one, at random; 0 lets them stay.
    #[arg(long, default_value_t = 0.0, value_name = "PER SECOND")]
    pub move_rate: f64,

    /// How long to run once all agents are enrolled: 90s, 10m, 2h. Without it, until Ctrl-C.
    #[arg(long, value_parser = duration::parse, value_name = "TIME")]
    pub duration: Option<Duration>,

    /// Enrollment password, if the cluster asks for one.
    #[arg(long, env = "MUSTER_ENROLLMENT_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,

    /// How long an agent is away when it restarts, and how long after it the next restart has to wait.
    #[arg(long, value_parser = duration::parse, default_value = "5s", value_name = "TIME")]
    pub restart_gap: Duration,

    /// Time between two keepalives of an agent.
    #[arg(long, value_parser = duration::parse, default_value = "20s", value_name = "TIME")]
    pub notify: Duration,

    /// Time between two attempts to reach a node that refuses.
    #[arg(long, value_parser = duration::parse, default_value = "10s", value_name = "TIME")]
    pub retry: Duration,

    /// Seed of the random moves, to repeat a run. Chosen and reported if left out.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// What the names of the agents begin with. Chosen at random if left out, so that runs do not meet.
    #[arg(long, value_name = "PREFIX")]
    pub name: Option<String>,

    /// File of identities, in the format of client.keys: read if it is there, written after enrolling if not.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// How many agents enroll at the same time.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub parallel: usize,
}

const BEHAVIOUR_AND_EXAMPLES: &str = "\
What an agent does:
  It enrolls (TLS, port 1515), connects to one of the nodes (port 1514), keeps alive, answers requests and obeys
  restarts as a real 4.14 agent does: it answers, says its shutdown, is away for a while, comes back and reports
  \"Agent started\". Restarts queue up: five at once are five, one after the other. An agent that loses its node tries
  it again and then goes on to the next one.

What you see:
  A line of progress on standard error every five seconds. At the end, after --duration or Ctrl-C, all totals as one
  line of JSON on standard output.

Examples:
  Ten agents on the cluster of `muster dev`, until Ctrl-C:
    muster simulate

  300 of them, 50 moves a second for two minutes, restarts done in half a second:
    muster simulate --agents 300 --move-rate 50 --duration 2m --restart-gap 500ms

  The same 10,000 agents again and again on another cluster, enrolled only once:
    ulimit -n 20000
    muster simulate --nodes n1:1514,n2:1514,n3:1514 --enroll n1:1515,n2:1515,n3:1515 --agents 10000 --keys sim.keys";

/// What `muster dev` listens on.
const DEV_NODES: [&str; 3] = ["127.0.0.1:1514", "127.0.0.1:1524", "127.0.0.1:1534"];
const DEV_ENROLLMENT: [&str; 3] = ["127.0.0.1:1515", "127.0.0.1:1525", "127.0.0.1:1535"];

impl SimulateArgs {
    /// The configuration that all agents share.
    pub(super) fn agent_config(&self) -> AgentConfig {
        let pace = Pace {
            notify: self.notify,
            gap: self.restart_gap,
            settle: self.restart_gap,
            retry: self.retry,
            ..Pace::real()
        };
        let nodes = if self.nodes.is_empty() { DEV_NODES.map(str::to_owned).to_vec() } else { self.nodes.clone() };
        AgentConfig { pace, ..AgentConfig::new(nodes) }
    }

    /// Where agents enroll; empty if nodes were named and their enrollment ports were not.
    pub(super) fn enrollment_servers(&self) -> Vec<String> {
        if self.enroll.is_empty() && self.nodes.is_empty() {
            return DEV_ENROLLMENT.map(str::to_owned).to_vec();
        }
        self.enroll.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};

    fn command() -> Command {
        SimulateArgs::augment_args(Command::new("simulate"))
    }

    #[test]
    fn the_help_explains_and_shows_examples() {
        let help = command().render_long_help().to_string();
        for piece in ["as a real 4.14 agent does", "Examples:", "--move-rate 50", "until Ctrl-C"] {
            assert!(help.contains(piece), "{piece} in {help}");
        }
    }

    #[test]
    fn without_nodes_the_cluster_of_muster_dev_is_meant() {
        let parse = |line: &str| {
            let matches = command().try_get_matches_from(line.split(' ')).unwrap();
            SimulateArgs::from_arg_matches(&matches).unwrap()
        };
        let args = parse("simulate");
        assert_eq!(args.agent_config().servers, DEV_NODES);
        assert_eq!(args.enrollment_servers(), DEV_ENROLLMENT);
        assert!(parse("simulate --nodes a:1").enrollment_servers().is_empty());
    }

    #[test]
    fn the_command_line_becomes_a_pace() {
        let line = "simulate --nodes a:1,b:2 --enroll a:3 --agents 7 --restart-gap 250ms --notify 1s";
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let args = SimulateArgs::from_arg_matches(&matches).unwrap();
        let config = args.agent_config();
        assert_eq!((args.agents, config.servers), (7, vec!["a:1".to_owned(), "b:2".to_owned()]));
        assert_eq!((config.pace.gap, config.pace.notify), (Duration::from_millis(250), Duration::from_secs(1)));
        assert_eq!(args.enrollment_servers(), ["a:3"]);
        assert!(command().try_get_matches_from(["simulate", "--nodes", "a:1", "--notify", "1y"]).is_err());
    }
}
