//! Builds a snapshot in the background.

use std::io;
use std::sync::Arc;

use muster_control::Control;
use openraft::RaftSnapshotBuilder;

use super::published::Published;
use super::snapshot_dir::SnapshotDir;
use super::snapshot_file::SnapshotFile;
use super::snapshot_write::write_snapshot;
use crate::types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

/// A state with the log id it was taken at, to be written while the machine goes on.
pub(crate) struct SnapshotBuilder {
    control: Control,
    last: Option<LogId>,
    membership: StoredMembership,
    snapshots: SnapshotDir,
    published: Arc<Published>,
    log_bytes: u64,
}

impl SnapshotBuilder {
    pub(super) fn new(
        control: Control,
        last: Option<LogId>,
        membership: StoredMembership,
        snapshots: SnapshotDir,
        published: Arc<Published>,
    ) -> Self {
        let log_bytes = published.begin_snapshot();
        Self { control, last, membership, snapshots, published, log_bytes }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (control, membership) = (self.control.clone(), self.membership.clone());
        let (last, snapshots) = (self.last, self.snapshots.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let path = snapshots.unfinished();
            write_snapshot(&path, &control, last.as_ref(), &membership)?;
            fail::fail_point!("snapshot::rename", |_| Err(io::Error::other("injected")));
            snapshots.keep_blocking(SnapshotFile::open(path)?, last)
        });
        let written = writing.await.map_err(io::Error::other).flatten();
        self.published.end_snapshot(if written.is_ok() { self.log_bytes } else { 0 });
        let snapshot = written?;
        self.published.counters().snapshots_built.increment();
        tracing::info!(log_index = last.map(|id| id.index), bytes = snapshot.bytes().ok(), "snapshot built");
        let meta = SnapshotMeta { last_log_id: last, last_membership: self.membership.clone() };
        Ok(Snapshot { meta, snapshot })
    }
}
