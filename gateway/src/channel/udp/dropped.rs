//! Why a datagram is not taken. Nobody is told, as with connections; it is counted.

use crate::channel::ending::Ending;
use crate::codec::CodecError;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// It would have ended a connection.
    Ended(Ending),
    /// More came than could be handled.
    Busy,
    /// It came before, or its counters say so.
    Repeated,
    /// It came late and belongs to a connection that is over.
    Outdated,
    /// The agent has no session here and this is no startup.
    NoSession,
}

impl Dropped {
    /// A word for a metric label, stable.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ended(ending) => ending.label(),
            Self::Busy => "busy",
            Self::Repeated => "repeated",
            Self::Outdated => "outdated",
            Self::NoSession => "no_session",
        }
    }
}

impl From<Ending> for Dropped {
    fn from(ending: Ending) -> Self {
        Self::Ended(ending)
    }
}

impl From<CodecError> for Dropped {
    fn from(error: CodecError) -> Self {
        Self::Ended(error.into())
    }
}
