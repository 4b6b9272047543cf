//! The command line of `muster import` and `muster export`.

use std::path::PathBuf;

use clap::Args;

use crate::client::ClusterArgs;

/// Arguments of `muster import`.
///
/// Agents keep their ids, names, addresses and keys, so they connect without noticing. The cluster has to run; the
/// manager should be stopped, or agents change on it meanwhile. Nothing on the manager's side is written to.
///
/// First everything is read and compared with the cluster. A broken file, or an agent that collides with what the
/// cluster has, stops the import before anything is written. What is there already as it is in the files stays as it
/// is: a second run changes nothing, and completes a run that was cut off. Give all files in one run: agents that are
/// there already learn nothing from further ones.
///
/// The report on standard output tells what was taken, what was left out, and why. Progress goes to standard error.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The manager's etc/client.keys: who may connect, and which ids are used up.
    #[arg(long, value_name = "FILE")]
    pub(super) client_keys: PathBuf,
    /// The manager's queue/db/global.db: when agents were registered and seen, what they told of themselves, and their
    /// groups in order. Without it, agents count as registered now and never connected.
    #[arg(long, value_name = "FILE")]
    pub(super) global_db: Option<PathBuf>,
    /// The manager's etc/shared: each directory in it is a group. Files of groups are not taken.
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) groups: Option<PathBuf>,
    /// Only tells what would be done.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Imports the other agents although some collide with what the cluster has (an id, a name or an address that is in
    /// use, or the id of an agent that was removed here). What the cluster has stays as it is; the agents that collide
    /// are left out and listed, and cannot connect.
    #[arg(long)]
    pub(super) skip_conflicts: bool,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// Arguments of `muster export`.
///
/// Writes the agents of a cluster as a Wazuh manager keeps them: copy the file to etc/client.keys of a stopped manager
/// and start it. The way back takes ids, names, addresses and keys; what agents tell of themselves they tell again.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to write, for its owner only. If there is one already, nothing is done.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_keys: PathBuf,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}
