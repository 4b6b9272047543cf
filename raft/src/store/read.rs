//! Reads entries from the database.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use rocksdb::{Direction, IteratorMode, ReadOptions};

use super::db::{Database, failed};
use super::keys::{LOG, entry_key, index_in};
use crate::convert::{bytes_of, open_stored_entry};
use crate::types::Entry;

/// Calls `visit` with each entry of a range in order, until it says `false`. Each is checked to be whole and to
/// follow the one before.
pub(crate) fn for_each_entry(
    database: &Database,
    range: Range<u64>,
    mut visit: impl FnMut(Entry) -> bool,
) -> io::Result<()> {
    let db = database.get()?;
    let log = db.cf_handle(LOG).expect("opened with it");
    let mut options = ReadOptions::default();
    // Bounds, so that no tombstone of purged entries is ever walked over.
    options.set_iterate_lower_bound(entry_key(range.start));
    options.set_iterate_upper_bound(entry_key(range.end));
    let start = entry_key(range.start);
    let mut expected = None;
    for item in db.iterator_cf_opt(&log, options, IteratorMode::From(&start, Direction::Forward)) {
        let (key, value) = item.map_err(failed("read the log"))?;
        let index = index_in(&key).ok_or_else(|| damaged(format!("a key of {} bytes", key.len())))?;
        if expected.is_some_and(|expected| expected != index) {
            return Err(damaged(format!("entry {} is missing", expected.unwrap_or_default())));
        }
        let entry = open_stored_entry(index, &Bytes::from(value))
            .map_err(|error| damaged(format!("entry {index}: {error}")))?;
        if !visit(entry) {
            return Ok(());
        }
        expected = Some(index + 1);
    }
    Ok(())
}

/// The first entries of a range, up to about `limit_bytes` but at least one if there is one.
pub(crate) fn read_entries(database: &Database, range: Range<u64>, limit_bytes: usize) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    for_each_entry(database, range, |entry| {
        bytes += bytes_of(&entry);
        let fits = bytes <= limit_bytes || entries.is_empty();
        if fits {
            entries.push(entry);
        }
        fits
    })?;
    Ok(entries)
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the log is damaged: {what}"))
}
