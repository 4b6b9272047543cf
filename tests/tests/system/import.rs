//! A fleet moves from a manager to a cluster, and back.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_gateway::codec::ClientKeyLine;
use muster_node::simulate::{AgentConfig, Count, Fleet};
use muster_tests::{Cluster, PASSWORD, QUICK, Settings, Turn, until};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::PROGRAM;

const DEADLINE: Duration = Duration::from_secs(60);

/// So many agents of an import connect in the end: from all parts of the file.
const SAMPLE: usize = 60;

/// What a manager leaves behind.
struct Manager {
    directory: tempfile::TempDir,
    identities: Vec<ClientKeyLine>,
}

impl Manager {
    /// Agents with ids from 1, except that each hundredth one was removed. Each third one was connected before.
    fn with(agents: u32) -> Self {
        let manager = Self { directory: tempfile::tempdir().expect("a directory"), identities: Vec::new() };
        fs::create_dir_all(manager.groups().join("empty")).expect("a directory");
        fs::create_dir_all(manager.groups().join("default")).expect("a directory");
        let db = Connection::open(manager.global_db()).expect("a database");
        db.execute_batch(
            r#"CREATE TABLE agent (id INTEGER PRIMARY KEY, name TEXT, ip TEXT, os_platform TEXT, os_name TEXT, version TEXT,
                   date_add INTEGER, last_keepalive INTEGER, "group" TEXT DEFAULT 'default', connection_status TEXT,
                   disconnection_time INTEGER DEFAULT 0, status_code INTEGER DEFAULT 0);
               CREATE TABLE "group" (id INTEGER PRIMARY KEY, name TEXT);
               CREATE TABLE belongs (id_agent INTEGER, id_group INTEGER, priority INTEGER);
               INSERT INTO "group" VALUES (1, 'default'), (2, 'web'), (3, 'linux');
               INSERT INTO agent (id, name, last_keepalive) VALUES (0, 'manager', 253402300799);"#,
        )
        .expect("a schema");
        let (mut living, mut removed) = (String::new(), String::new());
        db.execute_batch("BEGIN").expect("a transaction");
        let mut insert = db.prepare(
            "INSERT INTO agent (id, name, ip, os_platform, os_name, version, date_add, last_keepalive, connection_status,
                 disconnection_time, status_code)
             VALUES (?1, 'moved-' || ?1, '10.0.0.9', 'debian', 'Debian GNU/Linux', 'Wazuh v4.14.7', 1700000000, 1700000100,
                 ?2, 1700000200, 4)",
        );
        let mut belong = db.prepare("INSERT INTO belongs VALUES (?1, 3, 0), (?1, 2, 1)");
        let (insert, belong) = (insert.as_mut().expect("a statement"), belong.as_mut().expect("a statement"));
        for id in 1..=agents {
            let key = format!("{id:064x}");
            if id % 100 == 0 {
                writeln!(removed, "{id:03} !old-{id} any {key}").expect("a String takes all");
                continue;
            }
            writeln!(living, "{id:03} moved-{id} any {key}").expect("a String takes all");
            let status = if id % 3 == 0 { "disconnected" } else { "never_connected" };
            insert.execute((id, status)).expect("a row");
            belong.execute([id]).expect("rows");
        }
        db.execute_batch("COMMIT").expect("rows");
        fs::write(manager.keys(), living.clone() + &removed).expect("a file");
        let identities = living.lines().map(|line| line.parse().expect("a line")).collect();
        Self { identities, ..manager }
    }

    fn keys(&self) -> PathBuf {
        self.directory.path().join("client.keys")
    }

    fn global_db(&self) -> PathBuf {
        self.directory.path().join("global.db")
    }

    fn groups(&self) -> PathBuf {
        self.directory.path().join("shared")
    }

    /// From all parts of the file.
    fn sample(&self) -> Vec<ClientKeyLine> {
        let step = (self.identities.len() / SAMPLE).max(1);
        self.identities.iter().step_by(step).cloned().collect()
    }

    async fn import(&self, cluster: &Cluster, node: usize, more: &[&str]) -> Output {
        let mut import = muster(cluster, node, "import", &self.keys());
        import.arg("--global-db").arg(self.global_db()).arg("--groups").arg(self.groups()).args(more);
        import.output().await.expect("the program runs")
    }
}

/// The program with a node to talk to.
fn muster(cluster: &Cluster, node: usize, command: &str, keys: &Path) -> Command {
    let place = cluster.node(node).place();
    let mut program = Command::new(PROGRAM);
    program.arg(command).arg("--client-keys").arg(keys).arg("--api").arg(format!("https://{}", place.api));
    program.arg("--ca").arg(cluster.server_certificate()).env("MUSTER_PASSWORD", PASSWORD).stdin(Stdio::null());
    program
}

#[track_caller]
fn told(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Every sampled agent connects with the key it has, at each node, without waiting for anything.
async fn all_connect(cluster: &Cluster, identities: &[ClientKeyLine]) {
    for place in cluster.places() {
        let config = AgentConfig { pace: QUICK, ..AgentConfig::new(vec![place.channel.to_string()]) };
        let fleet = Fleet::launch(Arc::new(config), identities.to_vec());
        let all = timeout(DEADLINE, fleet.all_online()).await;
        let failures = [Count::HandshakeFailures, Count::ConnectFailures, Count::Undecryptable]
            .map(|count| (count.name(), fleet.stats().get(count)));
        assert!(all.is_ok(), "{}: not all agents are accepted: {failures:?}", place.name());
        assert!(failures.iter().all(|(_, count)| *count == 0), "{}: {failures:?}", place.name());
        fleet.stop(Duration::from_secs(5)).await;
    }
}

async fn agent(cluster: &Cluster, id: &str) -> Value {
    let answer = cluster.api(2).get(&format!("/agents?agents_list={id}")).await.expect("the node answers");
    answer.items().pop().expect("the agent is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_moves_from_a_manager_to_a_cluster_and_back_without_one_agent_noticing() {
    let _turn = Turn::alone().await;
    let manager = Manager::with(3_000);
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;

    let compared = told(&manager.import(&cluster, 0, &["--dry-run"]).await, 0);
    assert!(
        compared.contains("agents: 2970 in client.keys, 2970 to register, 0 there already, 0 in conflict"),
        "{compared}"
    );
    assert_eq!(cluster.api(1).texts("/agents?select=id", "id").await.len(), 1, "only the manager itself");

    let report = told(&manager.import(&cluster, 0, &[]).await, 0);
    assert!(report.contains("2970 registered, 0 there already, 0 in conflict"), "{report}");
    all_connect(&cluster, &manager.sample()).await;

    let connected = agent(&cluster, "2997").await;
    assert_eq!(
        (&connected["group"], &connected["status"]),
        (&json!(["linux", "web"]), &json!("disconnected")),
        "{connected}"
    );
    assert_eq!(
        (&connected["dateAdd"], &connected["version"]),
        (&json!("2023-11-14T22:13:20+00:00"), &json!("Wazuh v4.14.7"))
    );
    let groups = cluster.api(0).texts("/groups?select=name", "name").await;
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["default", "empty", "linux", "web"]);
    let key = cluster.api(1).get("/agents/2997/key").await.expect("the node answers").items().remove(0);
    assert_eq!(key["id"], "2997");

    let again = told(&manager.import(&cluster, 1, &[]).await, 0);
    assert!(again.contains("0 registered, 2970 there already, 0 in conflict"), "{again}");
    let enrolled = muster_tests::enroll(&cluster, "new", 1).await;
    assert_eq!(enrolled[0].id, "3001", "the id of the last removed agent is not given again");
    cluster.agree().await;

    let exported = manager.directory.path().join("exported");
    told(&muster(&cluster, 2, "export", &exported).output().await.expect("the program runs"), 0);
    let mut lines: Vec<String> = fs::read_to_string(&exported).expect("a file").lines().map(str::to_owned).collect();
    assert_eq!(lines.pop(), Some(enrolled[0].to_string()));
    assert_eq!(lines, manager.identities.iter().map(ToString::to_string).collect::<Vec<_>>());
    let refused = muster(&cluster, 2, "export", &exported).output().await.expect("the program runs");
    told(&refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_collides_or_is_broken_changes_nothing_and_one_that_was_cut_off_is_completed_by_another() {
    let _turn = Turn::shared().await;
    let manager = Manager::with(8_000);
    let mut cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let hash = async |cluster: &Cluster| {
        cluster.agree().await;
        cluster.api(0).get("/agents?select=id").await.expect("the node answers").success()["data"]["total_affected_items"].clone()
    };
    let taken = muster_tests::enroll(&cluster, "moved", 1).await;
    assert_eq!(taken[0].id, "001");
    let before = hash(&cluster).await;

    let stopped = manager.import(&cluster, 0, &[]).await;
    let report = told(&stopped, 65);
    assert!(report.contains("conflict: agent 001 (moved-1): an agent with this id"), "{report}");
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("--skip-conflicts"));
    let keys = fs::read(manager.keys()).expect("a file");
    fs::write(manager.keys(), [&keys[..], b"\xff any k\n"].concat()).expect("a file");
    let broken = manager.import(&cluster, 0, &["--skip-conflicts"]).await;
    told(&broken, 65);
    assert!(String::from_utf8_lossy(&broken.stderr).contains("line 8001: not UTF-8"), "{broken:?}");
    fs::write(manager.keys(), keys).expect("a file");
    assert_eq!(hash(&cluster).await, before);

    // Cut off while it writes: killed as soon as some of its agents are there.
    let mut import = muster(&cluster, 0, "import", &manager.keys());
    let mut running =
        import.arg("--skip-conflicts").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until("the first agents are there", DEADLINE, async || {
        let total = cluster.api(0).get("/agents?select=id&limit=1").await.map_err(|error| format!("{error:?}"))?;
        let total = total.success()["data"]["total_affected_items"].as_u64();
        if total > Some(2) { Ok(()) } else { Err(format!("{total:?}")) }
    })
    .await;
    running.start_kill().expect("it runs");
    let status = running.wait().await.expect("it ends");
    assert_eq!(status.signal(), Some(9), "it was cut off: {status}");
    cluster.kill_leader().await;
    let node = (0..cluster.size()).find(|number| cluster.node(*number).runs()).expect("two run");
    let report = told(&manager.import(&cluster, node, &["--skip-conflicts"]).await, 0);
    assert!(report.contains("agents: 7920 in client.keys") && report.contains(", 1 in conflict"), "{report}");
    let listed = cluster.api(node).texts("/agents?select=id", "id").await;
    assert_eq!(
        listed.len(),
        7_920 + 1,
        "those of the manager, of which one is of this cluster, and the manager itself"
    );
}

/// `cargo nextest run --release -p muster-tests --test system --run-ignored only fifty_thousand`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, run by make bench"]
async fn fifty_thousand_agents_are_imported_within_thirty_seconds() {
    let _turn = Turn::alone().await;
    let manager = Manager::with(50_505);
    assert_eq!(manager.identities.len(), 50_000);
    let cluster = Cluster::start(PROGRAM, Settings::new()).await;
    let begun = Instant::now();
    let output = manager.import(&cluster, 0, &[]).await;
    let elapsed = begun.elapsed();
    let report = told(&output, 0);
    print!("{}", String::from_utf8_lossy(&output.stderr));
    println!("50,000 agents imported in {:.1} s", elapsed.as_secs_f64());
    assert!(report.contains("50000 registered"), "{report}");
    all_connect(&cluster, &manager.sample()).await;
    for node in 0..cluster.size() {
        let exported = manager.directory.path().join(format!("exported-{node}"));
        told(&muster(&cluster, node, "export", &exported).output().await.expect("the program runs"), 0);
        let text = fs::read_to_string(&exported).expect("a file");
        assert_eq!(text.lines().count(), manager.identities.len(), "the last id is that of an agent");
        assert!(manager.identities.iter().zip(text.lines()).all(|(one, other)| one.to_string() == other));
    }
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
}
