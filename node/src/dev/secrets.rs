//! Fills the directory of a development cluster: certificates, password, configurations. What is there stays.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use muster_control::NodeId;

use super::layout::{CLUSTER_ID, Layout, Place};
use crate::certs::{Authority, Pair, keep_self_signed};
use crate::config::{Config, Secret};
use crate::password;
use crate::private::{create_dir, write_private};

/// Makes what is missing. Configurations are written anew each time, since they follow the ports.
pub(super) fn prepare(layout: &Layout) -> anyhow::Result<()> {
    create_dir(layout.dir()).with_context(|| format!("cannot create {}", layout.dir().display()))?;
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let authority = Authority::keep(layout.dir(), CLUSTER_ID.parse()?)?;
    keep_self_signed(layout.dir(), "server", &hosts)?;
    let password = keep_password(&layout.password())?;
    for node in layout.nodes() {
        let dir = node.config.parent().expect("a file in a directory");
        create_dir(dir)?;
        if Pair::load(dir, "peer")?.is_none() {
            authority.issue(NodeId::new(node.number as u64), &hosts)?.save(dir, "peer")?;
        }
        let text = configuration(layout, &node, &password);
        Config::parse(&text, &node.config)?;
        write_private(&node.config, text.as_bytes())
            .with_context(|| format!("cannot write {}", node.config.display()))?;
    }
    Ok(())
}

fn keep_password(path: &Path) -> anyhow::Result<Secret> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made_up = password::generate();
            write_private(path, format!("{}\n", made_up.reveal()).as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(made_up)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The configuration of one node. Paths are relative to it, so that the directory can be moved as a whole.
fn configuration(layout: &Layout, node: &Place, password: &Secret) -> String {
    let mut members = String::new();
    for member in layout.nodes() {
        let _ = writeln!(members, "    {{ id = {}, address = \"{}\" }},", member.number, member.peers);
    }
    let password = toml::Value::String(password.reveal().to_owned());
    format!(
        r#"# Written by `muster dev` at each start.

[node]
id = {number}
name = "node-{number}"
address = "127.0.0.1"
data_dir = "data"

[cluster]
id = "{CLUSTER_ID}"
members = [
{members}]

[peers]
listen = "{peers}"
ca = "../ca.pem"
certificate = "peer.pem"
key = "peer.key"

[raft]
disk_reserve = "64MiB"

[api]
listen = ["{api}"]
certificate = "../server.pem"
key = "../server.key"
requests_per_minute = 0

[enrollment]
listen = "{enrollment}"
certificate = "../server.pem"
key = "../server.key"

[channel]
listen = "{channel}"

[users]
wazuh_password = {password}
wazuh_wui_password = {password}
"#,
        number = node.number,
        peers = node.peers,
        api = node.api,
        enrollment = node.enrollment,
        channel = node.channel,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_keeps_certificates_and_password() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().join("dev"), None);
        let kept = |layout: &Layout| {
            ["password", "ca.pem", "server.pem", "node-2/peer.pem", "node-3/muster.toml"]
                .map(|file| std::fs::read_to_string(layout.dir().join(file)).unwrap())
        };
        prepare(&layout).unwrap();
        let first = kept(&layout);
        prepare(&layout).unwrap();
        assert_eq!(kept(&layout), first);
    }
}
