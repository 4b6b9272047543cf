//! Where things lie in the database.

/// Column family of the entries: key is the index, big-endian u64; value see `convert::stored_entry`.
pub(crate) const LOG: &str = "log";
/// Column family of what there is one of: key is a word, value an envelope.
pub(crate) const META: &str = "meta";

/// Whose disk it is.
pub(crate) const IDENTITY: &[u8] = b"identity";
/// How often it was started.
pub(crate) const GENERATION: &[u8] = b"generation";
/// The last vote.
pub(crate) const VOTE: &[u8] = b"vote";
/// The last log id known to be committed; may be behind.
pub(crate) const COMMITTED: &[u8] = b"committed";
/// The last log id dropped from the log.
pub(crate) const PURGED: &[u8] = b"purged";

/// Key of an entry: byte order is index order.
pub(crate) fn entry_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index in a key of an entry; `None` if it is none.
pub(crate) fn index_in(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}
