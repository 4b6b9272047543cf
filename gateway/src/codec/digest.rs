//! Digests as the protocol uses them: lower-case hexadecimal text, never the raw bytes.

use md5::{Digest, Md5};
use sha1::Sha1;

/// MD5 of all `parts` in a row, as 32 hex digits.
pub(super) fn md5_hex(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    let mut text = [0; 32];
    write_hex(&hasher.finalize(), &mut text);
    text
}

/// SHA-1 of all `parts` in a row, as 40 hex digits.
pub(super) fn sha1_hex(parts: &[&[u8]]) -> String {
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part);
    }
    let mut text = [0; 40];
    write_hex(&hasher.finalize(), &mut text);
    text.into_iter().map(char::from).collect()
}

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hashed_as_one_text() {
        assert_eq!(&md5_hex(&[b"a", b"bc"]), b"900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(sha1_hex(&[b"ab", b"c"]), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
