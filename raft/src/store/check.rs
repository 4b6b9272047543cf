//! What must hold of a log before a node may take part with it.

use std::io;

use super::db::Database;
use super::keys;
use super::read::for_each_entry;
use crate::envelope::{self, Kind};
use crate::proto;
use crate::types::{LogId, Vote};

/// What lies on the disk, checked: every entry whole, none missing, none that was committed lost.
pub(crate) struct Found {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// The last entry, or the last purged one if there is none.
    pub(crate) last: Option<LogId>,
}

/// Reads the log from end to end. `snapshot` is the last entry in the newest valid snapshot.
pub(crate) fn check(database: &Database, snapshot: Option<LogId>) -> io::Result<Found> {
    let stored = |key| -> io::Result<Option<LogId>> {
        let Some(bytes) = database.meta(key)? else { return Ok(None) };
        Ok(Some(envelope::open_message::<proto::LogId>(Kind::LogId, &bytes)?.into()))
    };
    let vote = match database.meta(keys::VOTE)? {
        Some(bytes) => Some(envelope::open_message::<proto::Vote>(Kind::Vote, &bytes)?.into()),
        None => None,
    };
    let committed = stored(keys::COMMITTED)?;
    let purged = stored(keys::PURGED)?;

    let first = purged.map_or(0, |purged| purged.index + 1);
    let mut last = purged;
    let mut disorder = None;
    for_each_entry(database, first..u64::MAX, |entry| {
        let follows = entry.log_id.index == last.map_or(first, |last| last.index + 1);
        let grows = last.is_none_or(|last| last.leader_id <= entry.log_id.leader_id);
        if !follows || !grows {
            disorder = Some(entry.log_id);
            return false;
        }
        last = Some(entry.log_id);
        true
    })?;
    if let Some(at) = disorder {
        return Err(damaged(format!("entry {at} does not follow what is before it")));
    }
    let end = last.max(snapshot);
    if committed > end {
        let [committed, end] = [committed, end].map(|id| id.map_or_else(|| "nothing".to_owned(), |id| id.to_string()));
        return Err(damaged(format!("{committed} was committed, but the log ends at {end}")));
    }
    if purged.map(|purged| purged.index) > snapshot.map(|snapshot| snapshot.index) {
        return Err(damaged("entries were purged that no valid snapshot holds".to_owned()));
    }
    Ok(Found { vote, committed, purged, last })
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
