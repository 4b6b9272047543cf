//! What `muster dev` tells its user.

use std::path::Path;

use super::child::{Ended, Node};
use super::layout::Layout;

/// The processes run; they are not ready yet.
pub(super) fn started(nodes: &[Node]) {
    let pids: Vec<String> = nodes.iter().map(|node| format!("node {} pid {}", node.number(), node.pid())).collect();
    eprintln!("starting: {}", pids.join(", "));
}

/// The cluster can be used.
pub(super) fn ready(layout: &Layout) {
    println!("{}", greeting(layout));
}

/// A node ended without being asked to.
pub(super) fn died(end: &Ended, program: &Path, layout: &Layout) {
    let place = layout.node(end.number);
    eprintln!("node {} ended: {}; what it said is in {}", end.number, end.status, place.log.display());
    if let Some(line) = last_line(&place.log) {
        eprintln!("  its last line: {line}");
    }
    eprintln!("  start it again: {} serve --config {}", program.display(), place.config.display());
}

fn last_line(log: &Path) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    tail.lines().rfind(|line| !line.is_empty()).map(str::to_owned)
}

fn greeting(layout: &Layout) -> String {
    let nodes: Vec<_> = layout.nodes().collect();
    let mut text =
        String::from("\nThe cluster is ready.\n\n  node  API                      agents           enrollment\n");
    for node in &nodes {
        text += &format!("  {:<5} https://{:<16} {:<16} {}\n", node.number, node.api, node.channel, node.enrollment);
    }
    let join = |address: fn(&super::layout::Place) -> std::net::SocketAddr| {
        nodes.iter().map(|node| address(node).to_string()).collect::<Vec<_>>().join(",")
    };
    // The simulator knows the default ports.
    let servers = if layout.has_default_ports() {
        String::new()
    } else {
        format!(" --nodes {} --enroll {}", join(|node| node.channel), join(|node| node.enrollment))
    };
    let password = layout.password();
    let certificate = layout.server_certificate();
    let logs = layout.dir().join("node-*/muster.log");
    text += &format!(
        "\n  user wazuh, password in {password}, certificate {certificate}, logs {logs}\n\
         \nTry, in another terminal:\n\
         \n  TOKEN=$(curl -s --cacert {certificate} -u \"wazuh:$(cat {password})\" -X POST \
         \"https://{first}/security/user/authenticate?raw=true\")\n  \
         curl -s --cacert {certificate} -H \"Authorization: Bearer $TOKEN\" \"https://{second}/agents?pretty=true\"\n\
         \n  {program} simulate --agents 100{servers}\n\
         \n  curl -s --cacert {certificate} -H \"Authorization: Bearer $TOKEN\" -X PUT \
         \"https://{last}/agents/restart?pretty=true\"\n\
         \nKill a node (kill -9 PID) and ask the others. Ctrl-C stops all in order and keeps the data.\n",
        password = password.display(),
        certificate = certificate.display(),
        logs = logs.display(),
        first = nodes[0].api,
        second = nodes[1].api,
        last = nodes[2].api,
        program = program(),
    );
    text
}

/// How the user can call this program.
fn program() -> String {
    let Ok(program) = std::env::current_exe() else { return "muster".to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(here).unwrap_or(&program).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_tells_addresses_password_and_three_things_to_try() {
        let text = greeting(&Layout::new(".muster".into(), None));
        for piece in [
            "https://127.0.0.1:55020",
            "127.0.0.1:1534",
            ".muster/password",
            "security/user/authenticate?raw=true",
            "simulate --agents 100\n",
            "-X PUT \"https://127.0.0.1:55020/agents/restart",
        ] {
            assert!(text.contains(piece), "{piece} in {text}");
        }
    }

    #[test]
    fn on_other_ports_the_simulator_is_told_where_the_nodes_are() {
        let text = greeting(&Layout::new(".muster".into(), Some(20000)));
        let servers = "--nodes 127.0.0.1:20004,127.0.0.1:20014,127.0.0.1:20024 --enroll 127.0.0.1:20005,";
        assert!(text.contains(servers), "{text}");
    }
}
