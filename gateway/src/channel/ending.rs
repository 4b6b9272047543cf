//! Why a connection ends. Agents are told nothing: the protocol knows no error on this channel.

use std::io;

use crate::codec::CodecError;
use crate::codec::frame::FrameError;

/// Why a connection of the secure channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The agent closed it.
    ByPeer,
    /// It broke.
    Broken,
    /// Too many connections.
    TooMany,
    /// No valid startup came in time.
    NoStartup,
    /// A frame of length zero, by which a peer says that it closes.
    CloseFrame,
    /// A length that nobody sends.
    FrameTooLong,
    /// A message that is malformed, or of another key.
    Invalid(CodecError),
    /// No agent has the id, or the address.
    UnknownAgent,
    /// The agent may not come from this address.
    ForeignAddress,
    /// No quorum to ask whether an id is known.
    CannotTell,
    /// Messages of two agents on one connection.
    OtherAgent,
    /// Another machine uses the agent's key.
    InUse,
    /// The agent's version is too new or cannot be read.
    VersionRefused,
    /// The agent does not read.
    Stalled,
    /// The session is over: taken over, shut down, silent or removed.
    SessionOver,
    /// This node stops.
    Stopping,
}

impl Ending {
    /// A word for a metric label, stable.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::ByPeer => "by_peer",
            Self::Broken => "broken",
            Self::TooMany => "too_many",
            Self::NoStartup => "no_startup",
            Self::CloseFrame => "close_frame",
            Self::FrameTooLong => "frame_too_long",
            Self::Invalid(error) => error.label(),
            Self::UnknownAgent => "unknown_agent",
            Self::ForeignAddress => "foreign_address",
            Self::CannotTell => "cannot_tell",
            Self::OtherAgent => "other_agent",
            Self::InUse => "in_use",
            Self::VersionRefused => "version_refused",
            Self::Stalled => "stalled",
            Self::SessionOver => "session_over",
            Self::Stopping => "stopping",
        }
    }
}

impl From<CodecError> for Ending {
    fn from(error: CodecError) -> Self {
        Self::Invalid(error)
    }
}

impl From<FrameError> for Ending {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Close => Self::CloseFrame,
            FrameError::TooLong { .. } => Self::FrameTooLong,
        }
    }
}

impl From<io::Error> for Ending {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}
