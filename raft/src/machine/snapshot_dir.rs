//! The snapshots on the disk of a node.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::snapshot_file::SnapshotFile;
use super::snapshot_read::{Restored, read_snapshot, read_snapshot_header};
use crate::error::StartError;
use crate::store::sync_directory;
use crate::types::{LogId, Snapshot, SnapshotMeta, term_of};

/// The newest, and one more for the case that the newest turns out damaged.
const KEPT: usize = 2;
const EXTENSION: &str = "snapshot";
const UNFINISHED: &str = "unfinished";

/// A directory of snapshot files, named so that their order by name is their order in the log.
#[derive(Clone)]
pub(crate) struct SnapshotDir {
    directory: Arc<PathBuf>,
    /// Numbers unfinished files.
    next: Arc<AtomicU64>,
}

impl SnapshotDir {
    /// Opens a directory: drops what was never finished and reads the newest valid snapshot.
    ///
    /// An older one takes the place of a damaged newest; whether the log goes back far enough for it is for the
    /// log to check.
    pub(crate) fn open(directory: PathBuf) -> Result<(Self, Option<Restored>), StartError> {
        let this = Self { directory: Arc::new(directory), next: Arc::default() };
        let disk = |source| StartError::Disk { context: format!("read {}", this.directory.display()), source };
        for path in this.files(UNFINISHED).map_err(disk)? {
            fs::remove_file(path).map_err(disk)?;
        }
        let mut damaged: Vec<PathBuf> = Vec::new();
        for path in this.files(EXTENSION).map_err(disk)? {
            match SnapshotFile::open(path.clone()).and_then(|file| read_snapshot(&file)) {
                Ok(restored) => {
                    for path in damaged {
                        // Out of the way, so that it is never sent to a follower; kept, so that it can be looked at.
                        fs::rename(&path, path.with_extension("damaged")).map_err(disk)?;
                    }
                    return Ok((this, Some(restored)));
                }
                Err(error)
                    if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    tracing::error!(path = %path.display(), %error, "snapshot cannot be used");
                    damaged.push(path);
                }
                Err(error) => return Err(disk(error)),
            }
        }
        match damaged.first() {
            None => Ok((this, None)),
            Some(path) => Err(StartError::Damaged(format!("no snapshot is valid, the newest is {}", path.display()))),
        }
    }

    /// A name for a file that is yet to be written.
    pub(crate) fn unfinished(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{number}.{UNFINISHED}"))
    }

    /// Gives a complete, synced file its name, and drops those that are no longer needed.
    pub(crate) async fn keep(&self, file: SnapshotFile, last: Option<LogId>) -> io::Result<SnapshotFile> {
        let this = self.clone();
        let keeping = tokio::task::spawn_blocking(move || this.keep_blocking(file, last));
        keeping.await.map_err(io::Error::other)?
    }

    pub(super) fn keep_blocking(&self, file: SnapshotFile, last: Option<LogId>) -> io::Result<SnapshotFile> {
        let name = last.map_or_else(
            || format!("{:020}-{:020}.{EXTENSION}", 0, 0),
            |last| format!("{:020}-{:020}.{EXTENSION}", last.index, term_of(&last)),
        );
        let path = self.directory.join(name);
        let file = if file.path() == path { file } else { file.rename(path)? };
        sync_directory(&self.directory)?;
        for path in self.files(EXTENSION)?.into_iter().skip(KEPT) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "an old snapshot stays"); // or somebody else removed it
            }
        }
        Ok(file)
    }

    /// Size of the newest snapshot; zero if there is none.
    pub(crate) fn newest_bytes(&self) -> io::Result<u64> {
        let newest = self.files(EXTENSION)?.into_iter().next();
        newest.map_or(Ok(0), |path| fs::metadata(path).map(|found| found.len()))
    }

    /// The newest snapshot, to send or to install.
    pub(crate) async fn newest(&self) -> io::Result<Option<Snapshot>> {
        let this = self.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let Some(path) = this.files(EXTENSION)?.into_iter().next() else { return Ok(None) };
            let snapshot = SnapshotFile::open(path)?;
            let (last_log_id, last_membership) = read_snapshot_header(&snapshot)?;
            Ok(Some(Snapshot { meta: SnapshotMeta { last_log_id, last_membership }, snapshot }))
        });
        opening.await.map_err(io::Error::other)?
    }

    /// Files with an extension, the newest first.
    fn files(&self, extension: &str) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.directory.as_path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
        files.sort_unstable();
        files.reverse();
        Ok(files)
    }
}
