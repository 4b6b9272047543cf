//! The state machine on a node: applies entries, publishes views, keeps snapshots.

mod apply;
mod published;
mod snapshot_builder;
mod snapshot_dir;
mod snapshot_file;
mod snapshot_read;
mod snapshot_write;

pub(crate) use apply::Machine;
pub(crate) use published::Published;
pub(crate) use snapshot_dir::SnapshotDir;
pub(crate) use snapshot_file::SnapshotFile;
pub(crate) use snapshot_read::Restored;
pub(crate) use snapshot_write::state_hash;

#[cfg(test)]
pub(crate) use snapshot_read::read_snapshot;
#[cfg(test)]
pub(crate) use snapshot_write::write_snapshot;

#[cfg(test)]
mod tests;
