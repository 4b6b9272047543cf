//! Leases of nodes.

use minicbor::{Decode, Encode};

use crate::ids::{Generation, NodeId};
use crate::stamp::Millis;
use crate::text::{Label, NodeName};

/// See [`Change::RenewLease`](crate::Change::RenewLease).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RenewLease {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its name.
    #[n(1)]
    pub name: NodeName,
    /// Its incarnation; with a new one, the sessions of the one before end.
    #[n(2)]
    pub generation: Generation,
    /// How long the lease holds from now.
    #[n(3)]
    pub lease: Millis,
    /// Address at which clients and agents reach it.
    #[n(4)]
    pub address: Label,
    /// Version of its software, `X.Y.Z`.
    #[n(5)]
    pub version: Label,
}

/// See [`Change::ReleaseLease`](crate::Change::ReleaseLease).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReleaseLease {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its incarnation.
    #[n(1)]
    pub generation: Generation,
}
