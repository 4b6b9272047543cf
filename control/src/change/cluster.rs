//! What founds a cluster.

use minicbor::{Decode, Encode};

use crate::text::{Label, UserName};
use crate::user::SigningKey;

/// See [`Change::FoundCluster`](crate::Change::FoundCluster).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FoundCluster {
    /// The first users, in the order of their ids.
    #[n(0)]
    pub users: Vec<NewUser>,
    /// What tokens are signed with.
    #[n(1)]
    pub signing_key: SigningKey,
}

/// A user to create.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewUser {
    /// What it logs in with.
    #[n(0)]
    pub name: UserName,
    /// Hash of its password in PHC string form.
    #[n(1)]
    pub password_hash: Label,
}
