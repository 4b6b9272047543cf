//! Events on their way from an agent to the analysis side (agent protocol, section 4.9).

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use super::support::{Dialect, Site};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

async fn site(socket: &Path) -> Site {
    Site::start_with(1, 1, |config| config.events.socket = Some(socket.to_owned())).await
}

async fn read(analysis: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let length = timeout(PATIENCE, analysis.recv(&mut bytes)).await.expect("an event in time").unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_analysis_side_in_order_over_tcp_and_udp() {
    let directory = tempfile::tempdir().unwrap();
    let analysis = UnixDatagram::bind(directory.path().join("queue")).unwrap();
    let site = site(&directory.path().join("queue")).await;
    for (name, id, dialect) in [("web-01", "001", Dialect::default()), ("web-02", "002", Dialect::udp())] {
        let mut agent = site.active_as(name, dialect).await;
        agent.event(b"/var/log/a:first").await;
        agent.event(b"/var/log/a:second").await;
        for text in ["first", "second"] {
            assert_eq!(read(&analysis).await, format!("1:[{id}] ({name}) any->/var/log/a:{text}"));
        }
        agent.started().await;
        assert!(read(&analysis).await.contains("->wazuh-agent:ossec: Agent started: "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analysis_side_that_reads_nothing_delays_no_control_message() {
    let directory = tempfile::tempdir().unwrap();
    let _analysis = UnixDatagram::bind(directory.path().join("queue")).unwrap();
    let adapt = |config: &mut muster_gateway::GatewayConfig| {
        config.events.socket = Some(directory.path().join("queue"));
        config.events.backlog = 64 << 10;
    };
    let site = Site::start_with(1, 1, adapt).await;
    let mut agent = site.active("web-01").await;
    for _ in 0..5_000 {
        agent.event(b"/var/log/a:a line that nobody reads").await;
    }
    agent.keepalive().await;
    assert!(site.count(1, "muster_agent_events_dropped_total{cause=\"busy\"}") > 0);
}
