//! Reads a snapshot, and believes nothing that is not whole.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use bytes::{Buf, Bytes};
use muster_control::{Control, Record, Restore};
use sha2::{Digest, Sha256};

use super::snapshot_file::SnapshotFile;
use super::snapshot_write::hash_record;
use crate::convert::stored_membership;
use crate::envelope::{self, CHECKSUM_BYTES, HEADER_BYTES, Kind};
use crate::proto;
use crate::types::{LogId, StoredMembership};

/// No envelope of a snapshot is larger; a larger length field is damage.
const ENVELOPE_BYTES_MAX: usize = 256 << 20;

/// What a snapshot holds.
#[derive(Default)]
pub(crate) struct Restored {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) control: Control,
}

/// Reads a snapshot from end to end.
///
/// # Errors
/// `InvalidData` when it is not whole, or of a format that this version does not know.
pub(crate) fn read_snapshot(snapshot: &SnapshotFile) -> io::Result<Restored> {
    let mut file = BufReader::with_capacity(256 << 10, AtOffset { file: snapshot.file(), offset: 0 });
    let (last, membership) = read_header(&mut file)?;

    let mut restore = Restore::new();
    let mut hash = Sha256::new();
    let mut found = proto::SnapshotTrailer::default();
    let trailer: proto::SnapshotTrailer = loop {
        let (kind, payload) = read_envelope(&mut file)?;
        match kind {
            Kind::SnapshotSection => {
                found.sections += 1;
                found.records += read_section(payload, &mut restore, &mut hash)?;
            }
            Kind::SnapshotTrailer => break envelope::decode(kind, payload)?,
            other => return Err(damaged(format!("{other:?} in the middle"))),
        }
    };
    found.state_hash = Bytes::copy_from_slice(&hash.finalize());
    if trailer != found {
        return Err(damaged("the trailer does not fit what is before it"));
    }
    if file.read(&mut [0])? != 0 {
        return Err(damaged("something follows the trailer"));
    }
    let control = restore.finish().map_err(damaged)?;
    Ok(Restored { last, membership, control })
}

/// Reads only what a snapshot says of itself at its beginning.
pub(crate) fn read_snapshot_header(snapshot: &SnapshotFile) -> io::Result<(Option<LogId>, StoredMembership)> {
    read_header(&mut AtOffset { file: snapshot.file(), offset: 0 })
}

fn read_header(file: &mut impl Read) -> io::Result<(Option<LogId>, StoredMembership)> {
    let (kind, payload) = read_envelope(file)?;
    if kind != Kind::SnapshotHeader {
        return Err(damaged(format!("{kind:?} at the beginning")));
    }
    let header: proto::SnapshotHeader = envelope::decode(kind, payload)?;
    Ok((header.last.map(Into::into), stored_membership(header.membership_at, header.membership)?))
}

fn read_envelope(file: &mut impl Read) -> io::Result<(Kind, Bytes)> {
    let mut bytes = vec![0; HEADER_BYTES];
    file.read_exact(&mut bytes)?;
    let header = envelope::open_header(&bytes)?;
    if header.payload_bytes > ENVELOPE_BYTES_MAX {
        return Err(damaged("a length that cannot be"));
    }
    bytes.resize(HEADER_BYTES + header.payload_bytes + CHECKSUM_BYTES, 0);
    file.read_exact(&mut bytes[HEADER_BYTES..])?;
    Ok(envelope::open(&Bytes::from(bytes))?)
}

/// Restores the records of a section and returns their number.
fn read_section(mut section: Bytes, restore: &mut Restore, hash: &mut Sha256) -> io::Result<u64> {
    let mut records = 0;
    while !section.is_empty() {
        let length = section.try_get_u32_le().map_err(damaged)? as usize;
        if length > section.len() {
            return Err(damaged("a record reaches beyond its section"));
        }
        let record = section.split_to(length);
        hash_record(hash, &record);
        restore.push(Record::from_bytes(&record).map_err(damaged)?).map_err(damaged)?;
        records += 1;
    }
    Ok(records)
}

fn damaged(reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot is damaged: {reason}"))
}

/// Reads a shared file without touching its position.
struct AtOffset<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for AtOffset<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
