//! `muster export`: writes the agents of a cluster as a Wazuh manager keeps them.

use std::io;

use anyhow::{Context, anyhow, bail};
use muster_gateway::codec::KeyFile;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::import::ExportArgs;
use crate::private::write_private;

/// Runs `muster export`.
///
/// # Errors
/// When the file is there already or cannot be written, or the cluster cannot be reached.
pub(crate) async fn run(args: &ExportArgs) -> Result<(), Failure> {
    let file = export(args).await.map_err(|error| Failure::new(Exit::Other, error))?;
    println!("{}: {} agents", args.client_keys.display(), file.agents.len());
    Ok(())
}

async fn export(args: &ExportArgs) -> anyhow::Result<KeyFile> {
    let path = &args.client_keys;
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot look for {}", path.display())),
        Ok(_) => bail!("{} is there already, and keys are not overwritten; move it away first", path.display()),
    }
    let mut client = Client::log_in(&args.cluster).await?;
    let text = client.get("/v1/export/client-keys").await?;
    // What a manager could not read is not handed to it.
    let wrong = |errors: Vec<_>| anyhow!("the cluster's keys are no client.keys: {}", errors[0]);
    let file = KeyFile::parse(text.as_bytes()).map_err(wrong)?;
    write_private(path, file.to_string().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}
