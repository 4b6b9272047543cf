//! The latest changes of one agent's owner and status.

use std::ops::Deref;
use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::agent::Status;
use crate::ids::{Epoch, LogIndex, NodeId};
use crate::stamp::Stamp;

/// One change of an agent's owner or status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Transition {
    /// The log index that brought it.
    #[n(0)]
    pub index: LogIndex,
    /// When.
    #[n(1)]
    pub at: Stamp,
    /// The status from then on.
    #[n(2)]
    pub status: Status,
    /// The owner from then on.
    #[n(3)]
    pub owner: Option<NodeId>,
    /// The newest epoch from then on.
    #[n(4)]
    pub epoch: Epoch,
}

/// Transitions of one agent, oldest first, at most [`History::LIMIT`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(Arc<[Transition]>);

impl History {
    /// So many transitions are kept.
    pub const LIMIT: usize = 8;

    /// Adds a transition if it is one, and forgets the oldest beyond the limit.
    pub(crate) fn remember(&mut self, now: Transition) {
        let state = |transition: &Transition| (transition.status, transition.owner, transition.epoch);
        if self.0.last().map(state) != Some(state(&now)) {
            let kept = self.0.len().min(Self::LIMIT - 1);
            self.0 = self.0[self.0.len() - kept..].iter().copied().chain([now]).collect();
        }
    }
}

impl Deref for History {
    type Target = [Transition];

    fn deref(&self) -> &[Transition] {
        &self.0
    }
}

impl<C> Encode<C> for History {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.array(self.0.len() as u64)?;
        self.0.iter().try_for_each(|transition| transition.encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for History {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        Vec::decode(d, ctx).map(|transitions| Self(transitions.into()))
    }
}
