//! The wrapping of everything that is stored: what it is, in which format, and whether it is whole.
//!
//! ```text
//! magic u8 = 0x6d | format u8 = 1 | kind u8 | flags u8 = 0 | schema u16 | length u32 | payload | crc32c u32
//! ```
//!
//! Numbers are little-endian; the checksum covers everything before it. `schema` is the version of the payload.
//! 14 bytes more than the payload.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

const MAGIC: u8 = 0x6d;
const FORMAT: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 10;
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// What an envelope holds. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Blank = 1,
    Membership = 2,
    Change = 3,
    Vote = 4,
    LogId = 5,
    Identity = 6,
    Generation = 7,
    SnapshotHeader = 16,
    SnapshotSection = 17,
    SnapshotTrailer = 18,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Blank,
            2 => Self::Membership,
            3 => Self::Change,
            4 => Self::Vote,
            5 => Self::LogId,
            6 => Self::Identity,
            7 => Self::Generation,
            16 => Self::SnapshotHeader,
            17 => Self::SnapshotSection,
            18 => Self::SnapshotTrailer,
            _ => return None,
        })
    }
}

/// Why bytes are not a sound envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("cut short: {0} bytes")]
    Short(usize),
    #[error("not an envelope")]
    Magic,
    #[error("format {0} is unknown to this version")]
    Format(u8),
    #[error("kind {0} is unknown to this version")]
    Kind(u8),
    #[error("flags {0:#04x} are unknown to this version")]
    Flags(u8),
    #[error("schema {schema} of {kind:?} is unknown to this version")]
    Schema { kind: Kind, schema: u16 },
    #[error("length field says {said}, there are {found}")]
    Length { said: usize, found: usize },
    #[error("checksum mismatch")]
    Checksum,
    #[error("expected {expected:?}, found {found:?}")]
    Unexpected { expected: Kind, found: Kind },
    #[error("payload of {kind:?} does not decode: {reason}")]
    Payload { kind: Kind, reason: String },
}

impl From<EnvelopeError> for std::io::Error {
    fn from(error: EnvelopeError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// The version of payloads that this program writes; the only one so far.
const SCHEMA: u16 = 1;

fn begin(kind: Kind, payload_bytes: usize) -> BytesMut {
    let length = u32::try_from(payload_bytes).expect("payloads are bounded far below 4 GiB");
    let mut buffer = BytesMut::with_capacity(HEADER_BYTES + payload_bytes + CHECKSUM_BYTES);
    buffer.put_slice(&[MAGIC, FORMAT, kind as u8, 0]);
    buffer.put_u16_le(SCHEMA);
    buffer.put_u32_le(length);
    buffer
}

fn finish(mut buffer: BytesMut) -> Bytes {
    let checksum = crc32c::crc32c(&buffer);
    buffer.put_u32_le(checksum);
    buffer.freeze()
}

/// Wraps bytes.
pub(crate) fn seal(kind: Kind, payload: &[u8]) -> Bytes {
    let mut buffer = begin(kind, payload.len());
    buffer.put_slice(payload);
    finish(buffer)
}

/// Wraps a message.
pub(crate) fn seal_message(kind: Kind, message: &impl Message) -> Bytes {
    let mut buffer = begin(kind, message.encoded_len());
    message.encode(&mut buffer).expect("the buffer grows");
    finish(buffer)
}

/// What the header of an envelope says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) payload_bytes: usize,
}

/// Reads the first [`HEADER_BYTES`]; the checksum is yet to be looked at.
pub(crate) fn open_header(bytes: &[u8]) -> Result<Header, EnvelopeError> {
    let Some(&[magic, format, kind, flags, s0, s1, l0, l1, l2, l3]) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(EnvelopeError::Short(bytes.len()));
    };
    if magic != MAGIC {
        return Err(EnvelopeError::Magic);
    }
    if format != FORMAT {
        return Err(EnvelopeError::Format(format));
    }
    let kind = Kind::from_number(kind).ok_or(EnvelopeError::Kind(kind))?;
    if flags != 0 {
        return Err(EnvelopeError::Flags(flags));
    }
    let schema = u16::from_le_bytes([s0, s1]);
    if schema != SCHEMA {
        return Err(EnvelopeError::Schema { kind, schema });
    }
    Ok(Header { kind, payload_bytes: u32::from_le_bytes([l0, l1, l2, l3]) as usize })
}

/// Unwraps one envelope, which must fill `bytes`. The payload shares their memory.
pub(crate) fn open(bytes: &Bytes) -> Result<(Kind, Bytes), EnvelopeError> {
    let found = bytes.len().checked_sub(HEADER_BYTES + CHECKSUM_BYTES).ok_or(EnvelopeError::Short(bytes.len()))?;
    // The checksum first: a flipped bit in the header is damage, not an unknown version.
    let (covered, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if crc32c::crc32c(covered).to_le_bytes() != checksum {
        return Err(EnvelopeError::Checksum);
    }
    let Header { kind, payload_bytes } = open_header(bytes)?;
    if payload_bytes != found {
        return Err(EnvelopeError::Length { said: payload_bytes, found });
    }
    Ok((kind, bytes.slice(HEADER_BYTES..HEADER_BYTES + payload_bytes)))
}

/// Unwraps one message of a known kind.
pub(crate) fn open_message<M: Message + Default>(expected: Kind, bytes: &Bytes) -> Result<M, EnvelopeError> {
    let (found, payload) = open(bytes)?;
    if found != expected {
        return Err(EnvelopeError::Unexpected { expected, found });
    }
    decode(expected, payload)
}

/// Decodes the payload of an envelope.
pub(crate) fn decode<M: Message + Default>(kind: Kind, payload: Bytes) -> Result<M, EnvelopeError> {
    M::decode(payload).map_err(|error| EnvelopeError::Payload { kind, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_again() {
        let bytes = seal(Kind::SnapshotSection, b"some records");
        assert_eq!(bytes.len(), b"some records".len() + HEADER_BYTES + CHECKSUM_BYTES);
        assert_eq!(open(&bytes), Ok((Kind::SnapshotSection, Bytes::from_static(b"some records"))));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let sound = seal(Kind::Change, b"payload");
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&Bytes::from(damaged)), Err(EnvelopeError::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn any_cut_is_noticed() {
        let sound = seal(Kind::Change, b"payload");
        for length in 0..sound.len() {
            assert!(open(&sound.slice(..length)).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_refused() {
        let mut bytes = seal(Kind::Change, b"").to_vec();
        bytes[2] = 200;
        let covered = bytes.len() - CHECKSUM_BYTES;
        let checksum = crc32c::crc32c(&bytes[..covered]).to_le_bytes();
        bytes[covered..].copy_from_slice(&checksum);
        assert_eq!(open(&Bytes::from(bytes)), Err(EnvelopeError::Kind(200)));
    }
}
