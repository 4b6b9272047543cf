//! What a manager's `global.db` tells about agents (agent protocol, section 2.3).
//!
//! Columns are read by name, since versions of the schema differ in them; one that is not there tells nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use muster_http::{ImportPast, ImportReport};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

/// A writer is waited for so long.
const BUSY: Duration = Duration::from_secs(5);

/// Bytes of the header of a database.
const HEADER: usize = 100;

/// Longest value that is read, in bytes; agents tell some hundred.
const LONGEST: i32 = 1 << 20;

/// What the database tells.
#[derive(Debug, Default)]
pub(super) struct GlobalDb {
    /// Agents by id; the manager itself is not among them.
    pub(super) agents: BTreeMap<i64, Known>,
    /// Names of all groups.
    pub(super) groups: BTreeSet<String>,
}

/// What it tells about one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: Option<String>,
    pub(super) registered_at: Option<u64>,
    /// `None` if it never connected.
    pub(super) past: Option<ImportPast>,
    /// In order of priority.
    pub(super) groups: Vec<String>,
    pub(super) report: ImportReport,
}

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum GlobalDbError {
    /// The file cannot be opened.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// Somebody writes to it.
    #[error("another program is writing to it; stop the manager, or import a copy")]
    Busy,
    /// It is damaged or was cut off.
    #[error("it is damaged, or not a SQLite database: {0}")]
    Damaged(String),
    /// Tables or columns are missing that every version has.
    #[error("it is no global.db of a Wazuh 4.x manager: {0}")]
    Schema(String),
    /// Something else.
    #[error("it cannot be read as a database")]
    Other(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for GlobalDbError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            _ => match error {
                rusqlite::Error::SqlInputError { msg, .. } => Self::Schema(msg),
                other => Self::Other(other),
            },
        }
    }
}

impl GlobalDb {
    /// Reads the file, all of it at one moment, and writes nothing beside it either.
    ///
    /// # Errors
    /// When it is not there, in use, damaged, or something else.
    pub(super) fn read(path: &Path) -> Result<Self, GlobalDbError> {
        let connection = open(path)?;
        // One transaction, or a running manager could change groups between two reads.
        connection.execute_batch("BEGIN")?;
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(GlobalDbError::Damaged(verdict));
        }
        let tables = tables(&connection)?;
        if !tables.contains("agent") {
            return Err(GlobalDbError::Schema("it has no table agent".to_owned()));
        }
        let mut db = Self { agents: agents(&connection)?, groups: BTreeSet::new() };
        if ["group", "belongs"].iter().all(|table| tables.contains(*table)) {
            db.read_groups(&connection)?;
        }
        Ok(db)
    }

    /// Groups in normal form; they count more than the text in the agent's own row.
    fn read_groups(&mut self, connection: &Connection) -> Result<(), GlobalDbError> {
        let mut names = connection.prepare(r#"SELECT name FROM "group""#)?;
        let mut rows = names.query([])?;
        while let Some(row) = rows.next()? {
            self.groups.extend(text(row.get_ref(0)?));
        }
        self.agents.values_mut().for_each(|known| known.groups.clear());
        let mut belongs = connection.prepare(
            r#"SELECT belongs.id_agent, "group".name FROM belongs JOIN "group" ON "group".id = belongs.id_group
               ORDER BY belongs.id_agent, belongs.priority"#,
        )?;
        let mut rows = belongs.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(known) = row.get(0).ok().and_then(|id: i64| self.agents.get_mut(&id)) {
                known.groups.extend(text(row.get_ref(1)?));
            }
        }
        Ok(())
    }
}

/// Opens for reading only. A database in WAL mode that was closed in order has no log beside it; SQLite would make one
/// to read it, so it is told that nobody writes.
fn open(path: &Path) -> Result<Connection, GlobalDbError> {
    let is_wal = is_wal(path)?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let immutable = if is_wal && !Path::new(&log).exists() { "&immutable=1" } else { "" };
    let uri = format!("file:{}?mode=ro{immutable}", escaped(path)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF")?;
    Ok(connection)
}

/// Looks into the header of a database for its mode, and for what SQLite takes without a word: less than a header is an
/// empty database to it, and what is missing of the last page is zeros.
fn is_wal(path: &Path) -> Result<bool, GlobalDbError> {
    let mut header = [0; HEADER];
    let mut file = File::open(path).map_err(GlobalDbError::Read)?;
    let length = file.metadata().map_err(GlobalDbError::Read)?.len();
    let page = match file.read_exact(&mut header).map(|()| u16::from_be_bytes([header[16], header[17]])) {
        Ok(1) => 65_536,
        Ok(size) => u64::from(size),
        Err(_) => return Err(GlobalDbError::Damaged("it ends within its header".to_owned())),
    };
    if page != 0 && !length.is_multiple_of(page) {
        return Err(GlobalDbError::Damaged("it ends within a page".to_owned()));
    }
    Ok(header[18..20] == [2, 2])
}

/// The path as part of a URI.
fn escaped(path: &Path) -> Result<String, GlobalDbError> {
    let absolute = std::path::absolute(path).map_err(GlobalDbError::Read)?;
    let mut uri = String::new();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(uri)
}

fn tables(connection: &Connection) -> Result<BTreeSet<String>, GlobalDbError> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

fn agents(connection: &Connection) -> Result<BTreeMap<i64, Known>, GlobalDbError> {
    let mut statement = connection.prepare("SELECT * FROM agent")?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    if !columns.iter().any(|column| column == "id") {
        return Err(GlobalDbError::Schema("its table agent has no column id".to_owned()));
    }
    let mut rows = statement.query([])?;
    let mut agents = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let fields = Fields { columns: &columns, row };
        match fields.get("id") {
            ValueRef::Integer(0) => {} // the manager itself
            ValueRef::Integer(id) => _ = agents.insert(id, fields.known()),
            _ => return Err(GlobalDbError::Schema("an id in its table agent is no number".to_owned())),
        }
    }
    Ok(agents)
}

/// The fields of one row of the table `agent`.
struct Fields<'a> {
    columns: &'a [String],
    row: &'a Row<'a>,
}

impl Fields<'_> {
    fn known(&self) -> Known {
        let text = |column| self.text(column);
        Known {
            name: text("name"),
            registered_at: self.number("date_add"),
            past: self.past(),
            groups: text("group").map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            report: ImportReport {
                version: text("version"),
                config_sum: text("config_sum"),
                merged_sum: text("merged_sum"),
                ip: text("ip"),
                os_uname: text("os_uname"),
                os_name: text("os_name"),
                os_version: text("os_version"),
                os_major: text("os_major"),
                os_minor: text("os_minor"),
                os_codename: text("os_codename"),
                os_build: text("os_build"),
                os_platform: text("os_platform"),
                os_arch: text("os_arch"),
            },
        }
    }

    /// One that is connected now loses its manager by the import, which is code 5.
    fn past(&self) -> Option<ImportPast> {
        let last_keepalive = self.number("last_keepalive");
        let status = self.text("connection_status");
        let (disconnected_at, status_code) = match status.as_deref() {
            Some("never_connected") => return None,
            None if last_keepalive.is_none() => return None,
            Some("active" | "pending") => (None, 5),
            _ => (self.number("disconnection_time"), self.number("status_code").unwrap_or(0)),
        };
        // Codes 1 and 2 are of an agent that was refused for its version; it tells that again.
        let status_code = if (3..=5).contains(&status_code) { status_code as u8 } else { 0 };
        Some(ImportPast { last_keepalive, disconnected_at, status_code })
    }

    fn get(&self, column: &str) -> ValueRef<'_> {
        let place = self.columns.iter().position(|name| name == column);
        place.and_then(|place| self.row.get_ref(place).ok()).unwrap_or(ValueRef::Null)
    }

    fn text(&self, column: &str) -> Option<String> {
        text(self.get(column))
    }

    /// A number that tells something: zero and less do not.
    fn number(&self, column: &str) -> Option<u64> {
        match self.get(column) {
            ValueRef::Integer(number) => u64::try_from(number).ok().filter(|number| *number > 0),
            _ => None,
        }
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) if !bytes.is_empty() => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
