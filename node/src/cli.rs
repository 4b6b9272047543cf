//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::import::{ExportArgs, ImportArgs};
use crate::simulate::SimulateArgs;

/// A Raft-replicated control plane for Wazuh 4.x agents.
///
/// Unmodified agents enroll with any node and connect to any node; clients of the Wazuh 4.x REST API ask any node.
/// What a node acknowledged is in the log of a majority.
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    arg_required_else_help = true,
    after_help = "\
Try it:
  muster dev                           three nodes on this machine, in .muster/
  muster simulate --help               agents over the real protocol, as many as you like

Run it:
  muster certs authority --help        certificates for the nodes of a cluster
  muster serve --config muster.toml    one node; deploy/muster.example.toml explains every key
  muster import --help                 agents of a Wazuh manager; deploy/migration.md tells the whole way

Exit codes of serve: 0 stopped in order, 64 usage or configuration, 65 data directory, 69 port, 70 consensus,
74 disk, 130 and 143 stopped at once by a second signal. Of import: 65 a file is broken or agents collide with those
of the cluster."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs one node until SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Runs a cluster of three nodes on loopback.
    Dev(DevArgs),
    /// Makes certificates for the connections between nodes.
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Runs simulated agents over the real protocol.
    Simulate(SimulateArgs),
    /// Takes over the agents of a Wazuh manager: they keep their ids and keys.
    Import(ImportArgs),
    /// Writes the agents as a Wazuh manager keeps them: the way back.
    Export(ExportArgs),
}

/// Arguments of `muster serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The configuration; deploy/muster.example.toml explains every key.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Only check the configuration and print it with every default filled in.
    #[arg(long)]
    pub(crate) check: bool,
    /// Stop in order when standard input ends too, so that no node outlives whoever started it.
    #[arg(long)]
    pub(crate) stop_with_stdin: bool,
}

/// Arguments of `muster dev`.
///
/// Three processes; node 1 serves the API on port 55000, agents on 1514, enrollment on 1515 and its peers on 1516,
/// nodes 2 and 3 the same 10 and 20 higher. Data, certificates, logs and the password of the user `wazuh` stay
/// in the directory: start again and the cluster goes on where it stopped. Ctrl-C stops it in order.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where everything is kept.
    #[arg(long, value_name = "DIRECTORY", default_value = ".muster")]
    pub(crate) dir: PathBuf,
    /// Other ports: API at PORT, agents at PORT+4, enrollment at PORT+5, peers at PORT+6; nodes 2 and 3 10 and 20 higher.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65509))]
    pub(crate) base_port: Option<u16>,
    /// Starts a node that died again, after saying so.
    #[arg(long)]
    pub(crate) restart: bool,
}

/// The ways to make certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Makes the authority of a cluster: ca.pem for every node, ca.key to be kept away from them.
    Authority(AuthorityArgs),
    /// Makes the certificate of one node: node-ID.pem and node-ID.key, signed by the authority in the directory.
    Node(NodeArgs),
}

/// Arguments of `muster certs authority`.
#[derive(Debug, Args)]
pub(crate) struct AuthorityArgs {
    /// The cluster, as in `cluster.id`.
    #[arg(long)]
    pub(crate) cluster: muster_raft::ClusterId,
    /// Where to put the files.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) dir: PathBuf,
}

/// Arguments of `muster certs node`.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The cluster, as in `cluster.id`.
    #[arg(long)]
    pub(crate) cluster: muster_raft::ClusterId,
    /// The node, as in `node.id`.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) node: u64,
    /// Host name or address at which peers reach it; may be given more than once.
    #[arg(long = "host", value_name = "HOST", required = true)]
    pub(crate) hosts: Vec<String>,
    /// Where the authority's files are, and where to put the node's.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) dir: PathBuf,
}
