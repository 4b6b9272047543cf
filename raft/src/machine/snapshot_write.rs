//! Writes a snapshot.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use muster_control::Control;
use sha2::{Digest, Sha256};

use crate::envelope::{self, Kind};
use crate::proto;
use crate::types::{LogId, StoredMembership};

/// A section is closed when it has grown to this size.
const SECTION_BYTES: usize = 256 << 10;

/// SHA-256 over the records of a state: equal states have equal hashes.
pub(crate) fn state_hash(control: &Control) -> [u8; 32] {
    let mut hash = Sha256::new();
    for record in control.records() {
        hash_record(&mut hash, &record.to_bytes());
    }
    hash.finalize().into()
}

pub(super) fn hash_record(hash: &mut Sha256, record: &[u8]) {
    hash.update((record.len() as u64).to_le_bytes());
    hash.update(record);
}

/// Writes a snapshot to a new file and syncs it. The name is yet to be made durable.
pub(crate) fn write_snapshot(
    path: &Path,
    control: &Control,
    last: Option<&LogId>,
    membership: &StoredMembership,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let header = proto::SnapshotHeader {
        last: last.map(Into::into),
        membership: Some(membership.membership().into()),
        membership_at: membership.log_id().as_ref().map(Into::into),
    };
    file.write_all(&envelope::seal_message(Kind::SnapshotHeader, &header))?;

    let mut hash = Sha256::new();
    let (mut sections, mut records) = (0, 0);
    let mut section = Vec::with_capacity(SECTION_BYTES * 2);
    for record in control.records() {
        let record = record.to_bytes();
        hash_record(&mut hash, &record);
        records += 1;
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        section.extend_from_slice(&length.to_le_bytes());
        section.extend_from_slice(&record);
        if section.len() >= SECTION_BYTES {
            file.write_all(&envelope::seal(Kind::SnapshotSection, &section))?;
            section.clear();
            sections += 1;
        }
    }
    if !section.is_empty() {
        file.write_all(&envelope::seal(Kind::SnapshotSection, &section))?;
        sections += 1;
    }
    let state_hash = Bytes::copy_from_slice(&hash.finalize());
    let trailer = proto::SnapshotTrailer { sections, records, state_hash };
    file.write_all(&envelope::seal_message(Kind::SnapshotTrailer, &trailer))?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
