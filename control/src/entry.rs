//! What goes into [`Control::apply`](crate::Control::apply) and what comes out.

use crate::change::Change;
use crate::event::Event;
use crate::ids::{ChangeId, LogIndex};
use crate::outcome::Outcome;
use crate::stamp::Stamp;

/// One committed entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its position.
    pub index: LogIndex,
    /// The clock of the leader that proposed it.
    pub stamp: Stamp,
    /// Names the proposal.
    pub change_id: ChangeId,
    /// Checksum of the change's bytes without its author: tells a retry, perhaps with a younger token, from another
    /// change under the same id.
    pub fingerprint: u32,
    /// What was proposed.
    pub change: Change,
}

/// What applying an entry produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where the outcome came about: an earlier index if the change is a retry.
    pub index: LogIndex,
    /// The answer to the proposer.
    pub outcome: Outcome,
    /// What happened; for a retry, nothing that the first time did.
    pub events: Vec<Event>,
}
