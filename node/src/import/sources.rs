//! The manager's files, read and checked before anything is asked of the cluster.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use muster_gateway::codec::{KeyFile, KeyFileError};

use super::args::ImportArgs;
use super::global_db::{GlobalDb, GlobalDbError};
use super::plan::Plan;

/// Largest key file that is read: some million agents.
const LARGEST: u64 = 256 << 20;

/// So many wrong lines are shown; whoever has more has another problem.
const SHOWN: usize = 20;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than any that is taken.
    #[error("{path} is larger than {} MiB: not a client.keys", LARGEST >> 20)]
    TooLarge {
        /// The file.
        path: String,
    },
    /// Lines of the key file are wrong.
    #[error("{path}: {errors}; nothing was imported")]
    Lines {
        /// The file.
        path: String,
        /// The first of them.
        errors: String,
    },
    /// The database cannot be read.
    #[error("{path}")]
    Database {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: GlobalDbError,
    },
}

/// Reads all files that the arguments name.
///
/// # Errors
/// When one cannot be read, or something in it is wrong.
pub(super) fn read(args: &ImportArgs) -> Result<Plan, SourceError> {
    let keys = key_file(&args.client_keys)?;
    let database = |path: &std::path::PathBuf| {
        GlobalDb::read(path).map_err(|source| SourceError::Database { path: path.display().to_string(), source })
    };
    let db = args.global_db.as_ref().map(database).transpose()?;
    let groups = args.groups.as_deref().map(directories).transpose()?.unwrap_or_default();
    Ok(Plan::new(&keys, db, groups))
}

fn key_file(path: &Path) -> Result<KeyFile, SourceError> {
    let name = || path.display().to_string();
    let unreadable = |source| SourceError::Read { path: name(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(SourceError::TooLarge { path: name() });
    }
    KeyFile::parse(&bytes).map_err(|errors| SourceError::Lines { path: name(), errors: listed(&errors) })
}

fn listed(errors: &[KeyFileError]) -> String {
    let mut lines: Vec<String> = errors.iter().take(SHOWN).map(ToString::to_string).collect();
    if errors.len() > SHOWN {
        lines.push(format!("and {} more", errors.len() - SHOWN));
    }
    lines.join("; ")
}

/// Names of the directories in a directory.
fn directories(path: &Path) -> Result<BTreeSet<String>, SourceError> {
    let unreadable = |source| SourceError::Read { path: path.display().to_string(), source };
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()) {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.keys");
        fs::write(&path, bytes).unwrap();
        key_file(&path).expect_err("it is broken").to_string()
    }

    #[test]
    fn the_first_wrong_lines_are_told_and_the_others_counted() {
        assert!(told(b"001 web-01 any k1\n002 web\n").contains("client.keys: line 2: not id, name"));
        let many = told(&b"broken\n".repeat(SHOWN + 2));
        assert!(many.contains("line 20: ") && !many.contains("line 21: ") && many.contains("and 2 more"), "{many}");
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.keys");
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap(); // sparse
        let error = key_file(&path).expect_err("it is too large");
        assert!(error.to_string().contains("larger than 256 MiB"), "{error}");
    }

    #[test]
    fn directories_are_groups_and_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("web")).unwrap();
        fs::write(directory.path().join("ar.conf"), "").unwrap();
        assert_eq!(directories(directory.path()).unwrap(), BTreeSet::from(["web".to_owned()]));
        assert!(directories(&directory.path().join("nowhere")).is_err());
    }
}
