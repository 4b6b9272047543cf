//! Applies committed entries.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use muster_control::{Change, Control, LogIndex};
use openraft::OptionalSend;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};

use super::published::Published;
use super::snapshot_builder::SnapshotBuilder;
use super::snapshot_dir::SnapshotDir;
use super::snapshot_file::SnapshotFile;
use super::snapshot_read::Restored;
use crate::convert::{bytes_of, open_change};
use crate::fatal::FatalSignal;
use crate::notices::Notice;
use crate::types::{Answer, ChangeBody, Entry, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

/// After so many entries views, notices and answers go out, even if more entries wait.
const BATCH_ENTRIES: usize = 256;

/// The state in memory. openraft's worker is its only user.
pub(crate) struct Machine {
    control: Control,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: SnapshotDir,
    published: Arc<Published>,
    fatal: FatalSignal,
}

/// Entries applied, but not yet shown to anyone.
#[derive(Default)]
struct Batch {
    entries: usize,
    bytes: u64,
    notices: Vec<Notice>,
    answers: Vec<(ApplyResponder<TypeConfig>, Answer)>,
}

impl Machine {
    /// Starts with the newest valid snapshot, if there is one.
    pub(crate) fn open(
        snapshots: SnapshotDir,
        newest: Option<Restored>,
        published: Arc<Published>,
        fatal: FatalSignal,
    ) -> Self {
        let Restored { last, membership, control } = newest.unwrap_or_default();
        published.publish(last.as_ref(), &control, Vec::new());
        Self { control, applied: last, membership, snapshots, published, fatal }
    }

    /// Applies one entry; what it produced goes into the batch.
    fn apply_entry(&mut self, entry: Entry, batch: &mut Batch) -> io::Result<Answer> {
        batch.entries += 1;
        batch.bytes += bytes_of(&entry) as u64;
        let answer = match &entry.payload {
            Payload::Blank => Answer(None),
            Payload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                Answer(None)
            }
            Payload::Normal(body) => self.apply_change(entry.log_id.index, body, batch)?,
        };
        self.applied = Some(entry.log_id);
        Ok(answer)
    }

    /// # Errors
    /// When the change does not decode. The node stops then: skipping it would make the replicas differ.
    fn apply_change(&mut self, index: u64, body: &ChangeBody, batch: &mut Batch) -> io::Result<Answer> {
        let undecodable = |error: String| {
            let message = format!("entry {index} holds a change that this version does not understand: {error}");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let (stamp, change_id, bytes) = open_change(body).map_err(|error| undecodable(error.to_string()))?;
        let change = Change::from_bytes(&bytes).map_err(|error| undecodable(error.to_string()))?;
        let index = LogIndex::new(index);
        let plain = Change::bytes_without_author(&bytes).map_err(|error| undecodable(error.to_string()))?;
        let fingerprint = crc32c::crc32c(plain);
        let applied = self.control.apply(&muster_control::Entry { index, stamp, change_id, fingerprint, change });
        if !applied.events.is_empty() {
            batch.notices.push(Notice::Applied { index, events: applied.events.into() });
        }
        Ok(Answer(Some((applied.index, applied.outcome))))
    }

    /// Shows the batch: first the view, then the notices, then the answers, so that whoever has an answer finds
    /// it in the view.
    fn show(&self, batch: Batch) {
        if batch.entries == 0 {
            return;
        }
        self.published.counters().entries_applied.add(batch.entries as u64);
        self.published.publish(self.applied.as_ref(), &self.control, batch.notices);
        for (responder, answer) in batch.answers {
            responder.send(answer);
        }
        self.published.count_log(batch.bytes);
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut batch = Batch::default();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let answer = self.apply_entry(entry, &mut batch).inspect_err(|error| {
                self.fatal.raise(error);
            })?;
            if let Some(responder) = responder {
                batch.answers.push((responder, answer));
            }
            if batch.entries >= BATCH_ENTRIES {
                self.show(std::mem::take(&mut batch));
            }
        }
        self.show(batch);
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        // State, log id and membership are taken together here, between two entries: the file can never hold
        // anything newer than the log id it records.
        SnapshotBuilder::new(
            self.control.clone(),
            self.applied,
            self.membership.clone(),
            self.snapshots.clone(),
            Arc::clone(&self.published),
        )
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        let restored = snapshot.restored().await?;
        if restored.last != meta.last_log_id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot is of another log id than was said"));
        }
        self.snapshots.keep(snapshot, restored.last).await?;
        self.control = restored.control.clone();
        self.applied = restored.last;
        self.membership = restored.membership.clone();
        self.published.restart_log_count();
        self.published.publish(self.applied.as_ref(), &self.control, vec![Notice::Jumped]);
        self.published.counters().snapshots_installed.increment();
        tracing::info!(log_index = meta.last_log_id.map(|id| id.index), "snapshot installed");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        self.snapshots.newest().await
    }
}
