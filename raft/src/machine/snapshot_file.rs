//! A snapshot as a file.
//!
//! ```text
//! header envelope | section envelope ... | trailer envelope
//! ```
//!
//! Header and trailer are `SnapshotHeader` and `SnapshotTrailer` of `stored.proto`. A section holds whole records,
//! each as `length u32 | bytes`, little-endian. Only a file with a trailer that fits is a snapshot.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::snapshot_read::{Restored, read_snapshot};

/// One snapshot, whole or yet to be checked. The file stays readable while there is a handle, even if it was
/// replaced by a newer one.
#[derive(Clone)]
pub(crate) struct SnapshotFile {
    path: Arc<PathBuf>,
    file: Arc<File>,
    /// What it holds, once it was read.
    restored: Option<Arc<Restored>>,
}

impl SnapshotFile {
    /// Opens a file for reading.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = Arc::new(File::open(&path)?);
        Ok(Self { path: Arc::new(path), file, restored: None })
    }

    /// Where it was when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, for reads at given offsets: handles share it, so none may rely on its position.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Its length.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// What it holds; read and checked the first time.
    ///
    /// # Errors
    /// `InvalidData` when it is not whole, or of a format that this version does not know.
    pub(crate) async fn restored(&self) -> io::Result<Arc<Restored>> {
        if let Some(restored) = &self.restored {
            return Ok(Arc::clone(restored));
        }
        let this = self.clone();
        let reading = tokio::task::spawn_blocking(move || read_snapshot(&this));
        Ok(Arc::new(reading.await.map_err(io::Error::other)??))
    }

    /// The same file, read and checked now, so that whoever gets it need not.
    ///
    /// # Errors
    /// As [`SnapshotFile::restored`].
    pub(crate) async fn checked(mut self) -> io::Result<(Self, Arc<Restored>)> {
        let restored = self.restored().await?;
        self.restored = Some(Arc::clone(&restored));
        Ok((self, restored))
    }

    /// The same file under another name.
    pub(super) fn rename(self, to: PathBuf) -> io::Result<Self> {
        fs::rename(self.path.as_path(), &to)?;
        Ok(Self { path: Arc::new(to), ..self })
    }
}
