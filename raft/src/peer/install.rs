//! Sends and receives snapshots as streams, with bounded memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openraft::RPCTypes;
use openraft::errors::{NetworkError, StreamingError};
use openraft::raft::SnapshotResponse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::client::Client;
use super::stream::{Way, rpc_error};
use crate::machine::{SnapshotDir, SnapshotFile};
use crate::proto;
use crate::types::{Snapshot, SnapshotMeta, TypeConfig, Vote};

const PART_BYTES: usize = 512 << 10;
/// Parts read ahead of the connection.
const PARTS_AHEAD: usize = 4;
/// How long nothing may move while parts are sent.
const SILENCE: Duration = Duration::from_secs(15);
/// How long the other end may take to check and install what it got.
const INSTALLATION: Duration = Duration::from_secs(300);

/// Sends a snapshot and waits until it is installed.
pub(super) async fn send_snapshot(
    mut client: Client,
    way: Way,
    vote: Vote,
    snapshot: SnapshotFile,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let (parts, stream) = mpsc::channel(PARTS_AHEAD);
    let moved = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&moved);
    // Fed from elsewhere: the call returns only after the last part.
    let feeding = tokio::task::spawn_blocking(move || feed(&snapshot, vote, &parts, &counter));
    let call = client.install_snapshot(ReceiverStream::new(stream));
    tokio::pin!(call);
    let mut before = 0;
    let response = loop {
        let limit = if feeding.is_finished() { INSTALLATION } else { SILENCE };
        match tokio::time::timeout(limit, &mut call).await {
            Ok(Ok(response)) => break response.into_inner(),
            Ok(Err(status)) => return Err(rpc_error(&status).into()),
            Err(_) => {
                let now = moved.load(Ordering::Relaxed);
                if now == before {
                    return Err(way.timeout(RPCTypes::InstallSnapshot, limit).into());
                }
                before = now;
            }
        }
    };
    match feeding.await {
        Ok(Ok(())) => Ok(SnapshotResponse::new(response.vote.unwrap_or_default().into())),
        Ok(Err(error)) => Err(NetworkError::new(&error).into()),
        Err(error) => Err(NetworkError::new(&error).into()),
    }
}

/// Reads the file part by part, as fast as they are taken.
fn feed(
    snapshot: &SnapshotFile,
    vote: Vote,
    parts: &mpsc::Sender<proto::SnapshotPart>,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut vote = Some((&vote).into());
    let mut offset = 0;
    loop {
        let mut buffer = BytesMut::zeroed(PART_BYTES);
        let read = snapshot.file().read_at(&mut buffer, offset)?;
        if read == 0 {
            return Ok(());
        }
        buffer.truncate(read);
        offset += read as u64;
        let part = proto::SnapshotPart { vote: vote.take(), data: buffer.freeze() };
        if parts.blocking_send(part).is_err() {
            return Ok(()); // the call ended, and knows why
        }
        moved.fetch_add(1, Ordering::Relaxed);
    }
}

/// A file that goes away unless it is kept.
struct Unfinished {
    path: PathBuf,
    is_kept: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept {
            fs::remove_file(&self.path).ok(); // if it cannot be removed now, the next start does it
        }
    }
}

/// Receives a snapshot into a file of its own, synced and checked from end to end.
pub(super) async fn receive_snapshot(
    snapshots: &SnapshotDir,
    mut parts: Streaming<proto::SnapshotPart>,
) -> Result<(Vote, Snapshot), Status> {
    let internal = |error: io::Error| Status::internal(error.to_string());
    let mut unfinished = Unfinished { path: snapshots.unfinished(), is_kept: false };
    let (data, mut written) = mpsc::channel::<Bytes>(PARTS_AHEAD);
    let path = unfinished.path.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let mut file = File::create(path)?;
        while let Some(data) = written.blocking_recv() {
            file.write_all(&data)?;
        }
        file.sync_all()
    });
    let mut vote: Option<Vote> = None;
    loop {
        let part = tokio::time::timeout(SILENCE, parts.message()).await;
        let part = part.map_err(|_| Status::deadline_exceeded("no part for too long"))??;
        let Some(part) = part else { break };
        if let Some(said) = part.vote {
            vote = Some(said.into());
        }
        if data.send(part.data).await.is_err() {
            break; // writing failed, and tells why below
        }
    }
    drop(data);
    writing.await.map_err(|error| Status::internal(error.to_string()))?.map_err(internal)?;
    let vote = vote.ok_or_else(|| Status::invalid_argument("no vote in the first part"))?;
    let file = SnapshotFile::open(unfinished.path.clone()).map_err(internal)?;
    let (snapshot, restored) = file.checked().await.map_err(|error| Status::failed_precondition(error.to_string()))?;
    unfinished.is_kept = true;
    let meta = SnapshotMeta { last_log_id: restored.last, last_membership: restored.membership.clone() };
    Ok((vote, Snapshot { meta, snapshot }))
}
