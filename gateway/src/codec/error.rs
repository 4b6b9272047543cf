//! Why an envelope could not be opened or sealed.

/// What is wrong with bytes of the secure channel. Whatever it is: drop them, and on TCP close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The prefix `!ID!` has no end, no digit, other characters or more than eight digits.
    #[error("malformed agent id in front of the message")]
    MalformedId,
    /// Neither `#AES:` nor `:` where the method belongs.
    #[error("no known encryption method")]
    UnknownMethod,
    /// Not a whole number of blocks, bad padding, or no `!` in front: most likely another key.
    #[error("does not decrypt under this key")]
    Undecryptable,
    /// The plaintext is not a zlib stream.
    #[error("is not a zlib stream")]
    NotZlib,
    /// More than 65536 bytes after decompression.
    #[error("decompresses to more than 65536 bytes")]
    TooLarge,
    /// Shorter than its fixed part, colons or digits missing.
    #[error("malformed inner message")]
    MalformedInner,
    /// The MD5 inside is not that of the rest.
    #[error("checksum does not match")]
    ChecksumMismatch,
    /// Asked to seal more than [`MAX_PAYLOAD`](super::MAX_PAYLOAD) bytes.
    #[error("payload longer than 65408 bytes")]
    PayloadTooLong,
}

impl CodecError {
    /// A word for a metric label, stable.
    pub fn label(self) -> &'static str {
        match self {
            Self::MalformedId => "malformed_id",
            Self::UnknownMethod => "unknown_method",
            Self::Undecryptable => "undecryptable",
            Self::NotZlib => "not_zlib",
            Self::TooLarge => "too_large",
            Self::MalformedInner => "malformed_inner",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::PayloadTooLong => "payload_too_long",
        }
    }
}
