use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// The columns of schema version 7 (agent protocol, section 2.3), as far as they are listed there.
const SCHEMA: &str = r#"
    CREATE TABLE agent (id INTEGER PRIMARY KEY, name TEXT, register_ip TEXT, ip TEXT, internal_key TEXT, os_name TEXT,
        os_version TEXT, os_major TEXT, os_minor TEXT, os_codename TEXT, os_build TEXT, os_platform TEXT, os_uname TEXT,
        os_arch TEXT, version TEXT, config_sum TEXT, merged_sum TEXT, manager_host TEXT, node_name TEXT DEFAULT 'unknown',
        date_add INTEGER, last_keepalive INTEGER, "group" TEXT DEFAULT 'default', group_hash TEXT,
        group_sync_status TEXT, sync_status TEXT, connection_status TEXT, disconnection_time INTEGER DEFAULT 0,
        group_config_status TEXT, status_code INTEGER DEFAULT 0);
    CREATE TABLE "group" (id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE belongs (id_agent INTEGER, id_group INTEGER, priority INTEGER);
    INSERT INTO agent (id, name, last_keepalive) VALUES (0, 'manager', 253402300799);
"#;

struct Database {
    directory: TempDir,
}

impl Database {
    fn new(sql: &str) -> Self {
        let database = Self { directory: tempfile::tempdir().unwrap() };
        database.connection().execute_batch(sql).unwrap();
        database
    }

    /// Of a name that means something in a URI.
    fn path(&self) -> PathBuf {
        self.directory.path().join("global?mode=rw#%41.db")
    }

    fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn read(&self) -> Result<GlobalDb, GlobalDbError> {
        GlobalDb::read(&self.path())
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.directory.path()).unwrap().count()
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn everything_an_agent_told_is_read() {
    let database = Database::new(SCHEMA);
    let rows = r#"
        INSERT INTO "group" VALUES (1, 'default'), (2, 'web'), (3, 'db'), (4, 'spare');
        INSERT INTO agent (id, name, ip, os_name, os_platform, version, config_sum, date_add, last_keepalive, "group",
            connection_status, disconnection_time, status_code)
            VALUES (7, 'web-07', '10.0.0.7', 'Debian', 'debian', 'Wazuh v4.14.7', 'ab', 1700000000, 1700000100, 'stale',
            'disconnected', 1700000200, 4);
        INSERT INTO belongs VALUES (7, 2, 1), (7, 3, 0), (99, 2, 0);
        INSERT INTO agent (id, name, date_add, connection_status) VALUES (8, 'new', 1700000000, 'never_connected');
        INSERT INTO agent (id, name, last_keepalive, connection_status, status_code)
            VALUES (9, 'here', 1700000100, 'active', 0), (10, 'refused', 1700000100, 'disconnected', 1);
    "#;
    database.connection().execute_batch(rows).unwrap();
    let db = database.read().unwrap();
    assert_eq!(db.groups, ["default", "web", "db", "spare"].map(str::to_owned).into());
    assert_eq!(db.agents.keys().copied().collect::<Vec<_>>(), [7, 8, 9, 10]);
    let past = |disconnected_at, status_code| {
        Some(ImportPast { last_keepalive: Some(1_700_000_100), disconnected_at, status_code })
    };
    let report = ImportReport {
        version: text("Wazuh v4.14.7"),
        config_sum: text("ab"),
        ip: text("10.0.0.7"),
        os_name: text("Debian"),
        os_platform: text("debian"),
        ..ImportReport::default()
    };
    let expected = Known {
        name: text("web-07"),
        registered_at: Some(1_700_000_000),
        past: past(Some(1_700_000_200), 4),
        groups: vec!["db".to_owned(), "web".to_owned()],
        report,
    };
    assert_eq!(db.agents[&7], expected);
    assert_eq!((&db.agents[&8].past, &db.agents[&8].groups), (&None, &vec![]));
    assert_eq!((&db.agents[&9].past, &db.agents[&10].past), (&past(None, 5), &past(None, 0)));
    assert_eq!(database.files(), 1, "nothing was made beside it");
}

#[test]
fn columns_and_tables_that_older_versions_lack_tell_nothing() {
    let database = Database::new(
        r#"CREATE TABLE agent (last_keepalive INTEGER, "group" TEXT, name TEXT, more BLOB, id INTEGER);
           INSERT INTO agent VALUES (5, 'web,db', 'web-01', x'00', 1), (NULL, NULL, 'new', NULL, 2);"#,
    );
    let db = database.read().unwrap();
    assert_eq!(db.agents[&1].groups, ["web", "db"]);
    assert_eq!(db.agents[&1].past, Some(ImportPast { last_keepalive: Some(5), disconnected_at: None, status_code: 0 }));
    assert_eq!(db.agents[&2], Known { name: text("new"), ..Known::default() });
    assert!(db.groups.is_empty());
}

#[test]
fn another_schema_is_refused_with_what_it_lacks() {
    let broken_belongs = format!("{SCHEMA} ALTER TABLE belongs RENAME COLUMN priority TO rank;");
    for (sql, words) in [
        ("CREATE TABLE agents (id INTEGER)", "no table agent"),
        ("CREATE TABLE agent (number INTEGER)", "no column id"),
        ("CREATE TABLE agent (id TEXT); INSERT INTO agent VALUES ('x')", "no number"),
        (&*broken_belongs, "priority"),
    ] {
        let error = Database::new(sql).read().expect_err(sql);
        assert!(matches!(error, GlobalDbError::Schema(_)) && error.to_string().contains(words), "{sql}: {error}");
    }
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    let database = Database::new(SCHEMA);
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO agent (id, name, internal_key) SELECT i, 'web-' || i, hex(zeroblob(32)) FROM n";
    database.connection().execute_batch(rows).unwrap();
    assert_eq!(database.read().unwrap().agents.len(), 500);
    let whole = std::fs::read(database.path()).unwrap();
    for cut in [0, 1, 15, 19, 99, 100, 4095, 4096, 5000, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(database.path(), &whole[..cut]).unwrap();
        let Err(error) = database.read() else { panic!("cut at {cut}: it was read") };
        assert!(matches!(error, GlobalDbError::Damaged(_)), "cut at {cut}: {error:?}");
    }
    std::fs::write(database.path(), "001 web-01 any k1\n".repeat(50)).unwrap();
    assert!(matches!(database.read(), Err(GlobalDbError::Damaged(_))));
    std::fs::remove_file(database.path()).unwrap();
    assert!(matches!(database.read(), Err(GlobalDbError::Read(_))));
}

#[test]
fn a_database_that_is_written_to_is_refused_in_time() {
    let database = Database::new(SCHEMA);
    let writer = database.connection();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(database.read(), Err(GlobalDbError::Busy)));
    writer.execute_batch("ROLLBACK").unwrap();
    assert!(database.read().is_ok());
}

#[test]
fn a_database_with_a_write_ahead_log_is_read_with_it_and_left_as_it_is_without() {
    let database = Database::new(&format!("PRAGMA journal_mode = WAL; {SCHEMA}"));
    assert_eq!(database.files(), 1, "the log is gone when the last connection is");
    assert_eq!(database.read().unwrap().agents.len(), 0);
    assert_eq!(database.files(), 1, "nothing was made beside it");
    let writer = database.connection();
    writer.execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO agent (id, name) VALUES (1, 'web-01')").unwrap();
    assert_eq!(database.read().unwrap().agents.len(), 1, "what is only in the log counts");
}

#[test]
fn text_that_is_not_utf_8_is_replaced() {
    let database = Database::new("CREATE TABLE agent (id INTEGER, name TEXT)");
    let row = "INSERT INTO agent VALUES (1, CAST(x'41ff42' AS TEXT))";
    database.connection().execute_batch(row).unwrap();
    assert_eq!(database.read().unwrap().agents[&1].name, text("A\u{fffd}B"));
}
