//! A version of the state.

use std::sync::Arc;

use muster_control::{Control, LogIndex};

/// The state as of one log index. Cheap to clone; never changes.
#[derive(Clone, Debug)]
pub struct View {
    /// The last entry that is in it; zero before the first.
    pub index: LogIndex,
    /// The state.
    pub control: Arc<Control>,
}
