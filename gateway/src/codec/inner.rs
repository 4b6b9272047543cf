//! The compressed text (3.5): `MD5HEX(32) NOISE(5) GLOBAL(10) ":" LOCAL(4) ":" PAYLOAD`.

use std::io::Write;
use std::ops::Range;

use super::counter::Numbering;
use super::digest::md5_hex;
use super::error::CodecError;

/// Longest payload that one message carries, in bytes.
pub const MAX_PAYLOAD: usize = 65_408;

/// Bytes in front of the payload.
pub(super) const OVERHEAD: usize = 53;

const CHECKSUM_BYTES: usize = 32;
const NOISE: Range<usize> = 32..37;
const GLOBAL: Range<usize> = 37..47;
const LOCAL: Range<usize> = 48..52;

/// Replaces the content of `out` by the inner text of one message.
pub(super) fn compose(numbering: Numbering, payload: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.resize(CHECKSUM_BYTES, 0);
    let Numbering { global, local, noise } = numbering;
    write!(out, "{noise:05}{global:010}:{local:04}:").expect("writing to memory cannot fail");
    debug_assert_eq!(out.len(), OVERHEAD, "{numbering:?} does not fit its digits");
    out.extend_from_slice(payload);
    let checksum = md5_hex(&[&out[CHECKSUM_BYTES..]]);
    out[..CHECKSUM_BYTES].copy_from_slice(&checksum);
}

/// Checks an inner text and splits it into its numbers and the payload.
pub(super) fn split(inner: &[u8]) -> Result<(Numbering, &[u8]), CodecError> {
    if inner.len() < OVERHEAD || inner[47] != b':' || inner[52] != b':' {
        return Err(CodecError::MalformedInner);
    }
    if inner[..CHECKSUM_BYTES] != md5_hex(&[&inner[CHECKSUM_BYTES..]]) {
        return Err(CodecError::ChecksumMismatch);
    }
    let number = |range: Range<usize>| decimal(&inner[range]).ok_or(CodecError::MalformedInner);
    let numbering = Numbering {
        global: number(GLOBAL)?,
        local: number(LOCAL)? as u16,
        // Noise has no meaning, so whatever an odd sender puts there is no reason to drop its message.
        noise: decimal(&inner[NOISE]).unwrap_or_default() as u16,
    };
    Ok((numbering, &inner[OVERHEAD..]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_inner_text_is_as_in_the_walk_through() {
        let mut inner = Vec::new();
        compose(Numbering { global: 0, local: 1, noise: 27001 }, b"#!-agent ack ", &mut inner);
        assert_eq!(inner, b"3149e93dd292560f60dff48168267b3d270010000000000:0001:#!-agent ack ");
    }

    proptest! {
        #[test]
        fn what_was_composed_splits(
            global in 0u64..=9_999_999_999, local in 0u16..=9_999, noise in any::<u16>(),
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let numbering = Numbering { global, local, noise };
            let mut inner = Vec::new();
            compose(numbering, &payload, &mut inner);
            prop_assert_eq!(split(&inner), Ok((numbering, &payload[..])));
        }

        #[test]
        fn one_changed_byte_is_noticed(position in 0usize..70, change in 1u8..) {
            let mut inner = Vec::new();
            compose(Numbering { global: 5, local: 6, noise: 7 }, b"payload of 17 byt", &mut inner);
            inner[position] ^= change;
            prop_assert!(split(&inner).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = split(&bytes);
        }
    }
}
