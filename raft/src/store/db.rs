//! The database, opened for a log.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use rocksdb::{ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Options, WriteBatch, WriteOptions};

use super::keys::{LOG, META};
use crate::error::StartError;

/// An open database; closed by [`Database::close`] or when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Database(Arc<ArcSwapOption<DB>>);

/// Wraps an error of the database with what was attempted.
pub(crate) fn failed(attempt: &'static str) -> impl Fn(rocksdb::Error) -> io::Error {
    move |error| io::Error::other(format!("{attempt}: {error}"))
}

impl Database {
    /// Opens the database in `directory`, or makes it.
    pub(crate) fn open(directory: &Path) -> Result<Self, StartError> {
        let families = [LOG, META].map(|name| {
            let mut options = Options::default();
            options.set_write_buffer_size(64 << 20);
            options.set_compression_type(if name == LOG { DBCompressionType::Lz4 } else { DBCompressionType::None });
            ColumnFamilyDescriptor::new(name, options)
        });
        let db = DB::open_cf_descriptors(&options(), directory, families).map_err(|error| {
            let text = error.to_string();
            if text.contains("LOCK") || text.contains("lock hold by current process") {
                return StartError::InUse(directory.to_owned());
            }
            StartError::Damaged(format!("the log does not open: {text}"))
        })?;
        Ok(Self(Arc::new(ArcSwapOption::from_pointee(db))))
    }

    /// The database, for the duration of one operation.
    pub(crate) fn get(&self) -> io::Result<Arc<DB>> {
        self.0.load_full().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the log is closed"))
    }

    /// Writes a batch and returns once it is on the disk.
    pub(crate) fn write_synced(&self, batch: WriteBatch) -> io::Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.get()?.write_opt(batch, &options).map_err(failed("write the log"))
    }

    /// The value under a key of [`META`].
    pub(crate) fn meta(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        let db = self.get()?;
        let family = db.cf_handle(META).expect("opened with it");
        Ok(db.get_cf(&family, key).map_err(failed("read metadata"))?.map(Bytes::from))
    }

    /// Writes one value of [`META`], synced. Only for before the IO thread runs.
    pub(crate) fn put_meta(&self, key: &[u8], value: &Bytes) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.get()?.cf_handle(META).expect("opened with it"), key, value);
        self.write_synced(batch)
    }

    /// Closes the database. Waits for reads that are under way; nobody starts a new one.
    pub(crate) fn close(&self) {
        let Some(mut db) = self.0.swap(None) else { return };
        loop {
            match Arc::try_unwrap(db) {
                Ok(last) => {
                    last.cancel_all_background_work(true);
                    return;
                }
                Err(shared) => db = shared,
            }
            std::thread::yield_now(); // a read takes microseconds
        }
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // Only a torn last record is tolerated. RocksDB's default would silently drop everything from the first bad
    // record on: acknowledged entries and votes.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    options.set_max_total_wal_size(256 << 20);
    // Each of these weakens the order or the meaning of a synced write.
    options.set_recycle_log_file_num(0);
    options.set_manual_wal_flush(false);
    options.set_unordered_write(false);
    options.set_enable_pipelined_write(false);
    options.set_keep_log_file_num(4);
    options.set_max_background_jobs(2);
    options
}
