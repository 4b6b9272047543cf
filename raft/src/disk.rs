//! Whether there is room on the disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Free space of the file system that holds a directory, as of the last look. Cheap to clone.
///
/// Writes are refused while it is below the reserve: running out of space in the middle of an append would stop
/// the node for good.
#[derive(Clone)]
pub(crate) struct DiskSpace {
    directory: Arc<PathBuf>,
    reserve_bytes: u64,
    is_full: Arc<AtomicBool>,
}

impl DiskSpace {
    /// Looks for the first time.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub(crate) fn new(directory: PathBuf, reserve_bytes: u64) -> io::Result<Self> {
        let this = Self { directory: Arc::new(directory), reserve_bytes, is_full: Arc::default() };
        this.look()?;
        Ok(this)
    }

    /// Looks again.
    ///
    /// # Errors
    /// When the file system does not tell; what was known stays.
    pub(crate) fn look(&self) -> io::Result<()> {
        let found = rustix::fs::statvfs(self.directory.as_path())?;
        let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
        let is_full = free_bytes < self.reserve_bytes;
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            tracing::warn!(is_full, free_bytes, reserve_bytes = self.reserve_bytes, "room on the disk");
        }
        Ok(())
    }

    /// Whether so many bytes may be written without reaching into the reserve, as of now.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        let found = rustix::fs::statvfs(self.directory.as_path());
        found.is_ok_and(|found| {
            found.f_bavail.saturating_mul(found.f_frsize) >= self.reserve_bytes.saturating_add(bytes)
        })
    }

    /// Whether there is less than the reserve.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_when_less_than_the_reserve_is_free() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = |reserve| DiskSpace::new(directory.path().to_owned(), reserve).expect("a file system");
        assert!(!disk(0).is_full());
        assert!(disk(u64::MAX).is_full());
        assert!(disk(0).has_room_for(1) && !disk(1).has_room_for(u64::MAX));
    }
}
