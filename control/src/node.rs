//! A muster node as the state machine knows it: its incarnation and the lease of its sessions.

use minicbor::{Decode, Encode};

use crate::ids::{Generation, LogIndex, NodeId};
use crate::stamp::Stamp;
use crate::text::{Label, NodeName};

/// The record of one node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Node {
    /// Its id in the Raft group.
    #[n(0)]
    pub id: NodeId,
    /// Its name as operators and clients write it.
    #[n(1)]
    pub name: NodeName,
    /// Its newest incarnation.
    #[n(2)]
    pub generation: Generation,
    /// When that incarnation first spoke.
    #[n(3)]
    pub started_at: Stamp,
    /// Its sessions end when the clock passes this; `None` while it has no lease.
    #[n(4)]
    pub lease_until: Option<Stamp>,
    /// Address at which clients and agents reach it.
    #[n(5)]
    pub address: Label,
    /// Version of its software, `X.Y.Z`.
    #[n(6)]
    pub version: Label,
    /// Where this record last changed other than by a renewal.
    #[n(7)]
    pub revision: LogIndex,
}
