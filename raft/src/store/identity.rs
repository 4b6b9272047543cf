//! Whose disk it is, and how often it was started.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use muster_control::{Generation, NodeId};

use super::db::Database;
use super::keys;
use crate::config::ReplicaConfig;
use crate::envelope::{self, Kind};
use crate::error::StartError;
use crate::proto;
use crate::types::StoreId;

/// Format of the data directory as a whole.
const DISK_FORMAT: u32 = 1;

/// The data directory of one node, checked to be its own.
pub(crate) struct Disk {
    pub(crate) database: Database,
    pub(crate) snapshots: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) generation: Generation,
}

fn failed(context: &str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let context = format!("{context} {}", path.display());
    move |source| StartError::Disk { context, source }
}

fn damaged(error: impl std::fmt::Display) -> StartError {
    StartError::Damaged(error.to_string())
}

impl Disk {
    /// Opens the data directory of a configuration, or makes it; counts this start, synced.
    pub(crate) fn open(config: &ReplicaConfig) -> Result<Self, StartError> {
        let snapshots = config.data_dir.join("snapshots");
        fs::create_dir_all(&snapshots).map_err(failed("create", &snapshots))?;
        let database = Database::open(&config.data_dir.join("log"))?;
        sync_directory(&config.data_dir).map_err(failed("sync", &config.data_dir))?;

        let store = match database.meta(keys::IDENTITY).map_err(damaged)? {
            Some(bytes) => recognise(config, &bytes)?,
            None => identify(config, &database, &snapshots)?,
        };
        let generation = count_start(&database)?;
        Ok(Self { database, snapshots, store, generation })
    }
}

/// Checks that the disk belongs to this node of this cluster.
fn recognise(config: &ReplicaConfig, bytes: &Bytes) -> Result<StoreId, StartError> {
    let identity: proto::Identity = envelope::open_message(Kind::Identity, bytes).map_err(damaged)?;
    if identity.format > DISK_FORMAT {
        return Err(StartError::UnknownFormat { found: identity.format, known: DISK_FORMAT });
    }
    if identity.cluster != config.cluster_id.as_str() {
        return Err(StartError::OtherCluster { expected: config.cluster_id.clone(), found: identity.cluster });
    }
    if identity.node != config.node_id.get() {
        return Err(StartError::OtherNode { expected: config.node_id, found: NodeId::new(identity.node) });
    }
    StoreId::from_slice(&identity.store).ok_or_else(|| damaged("the disk is not named by 16 bytes"))
}

/// Makes an empty disk this node's.
fn identify(config: &ReplicaConfig, database: &Database, snapshots: &Path) -> Result<StoreId, StartError> {
    let has_vote = database.meta(keys::VOTE).map_err(damaged)?.is_some();
    let mut files = fs::read_dir(snapshots).map_err(failed("list", snapshots))?;
    if has_vote || files.next().is_some() {
        return Err(damaged("there are votes or snapshots, but nothing says whose they are"));
    }
    let store = StoreId::random();
    let identity = proto::Identity {
        cluster: config.cluster_id.to_string(),
        node: config.node_id.get(),
        store: Bytes::copy_from_slice(store.as_bytes()),
        format: DISK_FORMAT,
    };
    let sealed = envelope::seal_message(Kind::Identity, &identity);
    database.put_meta(keys::IDENTITY, &sealed).map_err(failed("write the identity to", snapshots))?;
    Ok(store)
}

/// The next generation, on the disk before it is used.
fn count_start(database: &Database) -> Result<Generation, StartError> {
    let last = match database.meta(keys::GENERATION).map_err(damaged)? {
        Some(bytes) => {
            let stored: proto::Generation = envelope::open_message(Kind::Generation, &bytes).map_err(damaged)?;
            Generation::new(stored.generation)
        }
        None => Generation::default(),
    };
    let next = last.next();
    let sealed = envelope::seal_message(Kind::Generation, &proto::Generation { generation: next.get() });
    database
        .put_meta(keys::GENERATION, &sealed)
        .map_err(|source| StartError::Disk { context: "count this start".to_owned(), source })?;
    Ok(next)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
