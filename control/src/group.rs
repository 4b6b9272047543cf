//! A group of agents.

use minicbor::{Decode, Encode};

use crate::ids::LogIndex;
use crate::stamp::Stamp;
use crate::text::GroupName;

/// The record of one group. Its members are found through the agents.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Group {
    /// Its name.
    #[n(0)]
    pub name: GroupName,
    /// When it was created.
    #[n(1)]
    pub created_at: Stamp,
    /// Where it last changed.
    #[n(2)]
    pub revision: LogIndex,
}
