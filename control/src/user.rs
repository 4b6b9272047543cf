//! Users of the API and what their tokens are signed with.

use minicbor::{Decode, Encode};

use crate::ids::{LogIndex, UserId};
use crate::stamp::Stamp;
use crate::text::{Label, UserName};

/// The record of one user of the API.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct User {
    /// Its number.
    #[n(0)]
    pub id: UserId,
    /// What it logs in with.
    #[n(1)]
    pub name: UserName,
    /// Hash of its password in PHC string form.
    #[n(2)]
    pub password_hash: Label,
    /// Tokens issued up to this moment are dead.
    #[n(3)]
    pub revoked_at: Option<Stamp>,
    /// Where it last changed.
    #[n(4)]
    pub revision: LogIndex,
}

impl User {
    /// Whether a token that was issued at this moment is dead. Tokens tell whole seconds: one of the second of a
    /// revocation is dead too.
    pub fn has_revoked(&self, issued_at: Stamp) -> bool {
        self.revoked_at.is_some_and(|revoked| issued_at.as_secs() <= revoked.as_secs())
    }
}

/// What tokens are signed with: a private key that every node holds, so that any node takes any token.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SigningKey {
    /// PKCS #8 in DER.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub pkcs8: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}
