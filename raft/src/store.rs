//! The log, the vote and the identity of a node on its disk.
//!
//! One RocksDB, written by one thread in the order of the calls, one synced write per batch. What is
//! acknowledged is synced; what failed to sync stops the node.

mod check;
mod db;
mod identity;
mod io;
mod keys;
mod log;
mod read;
mod tail;

pub(crate) use identity::{Disk, sync_directory};
pub(crate) use log::LogStore;

#[cfg(test)]
mod tests;
