//! Bearer tokens: JWT under the cluster's key, so that every node takes the tokens of every other (REST contract,
//! section 1.2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use muster_control::{SigningKey, Stamp, User, UserName};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// Curve P-256: the reference uses P-521, which nobody verifies since its public keys stay on the server.
const ALGORITHM: Algorithm = Algorithm::ES256;

const ISSUER: &str = "wazuh";
const AUDIENCE: &str = "Wazuh API REST";
const MODE: &str = "white";

/// The role of every user so far: administrator.
pub(crate) const ADMINISTRATOR: u32 = 1;

/// So many tokens are remembered as verified at most.
const REMEMBERED: usize = 8192;

/// A fresh key to sign tokens with, for the founding of a cluster.
///
/// # Errors
/// When the system gives no randomness.
pub fn generate_signing_key() -> Result<SigningKey, SigningKeyError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(SigningKeyError)?;
    Ok(SigningKey { pkcs8: pair.serialize_der() })
}

/// No key could be made.
#[derive(Debug, thiserror::Error)]
#[error("no signing key could be made")]
pub struct SigningKeyError(#[source] rcgen::Error);

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub(crate) nbf: u64,
    /// When it ends.
    pub(crate) exp: u64,
    /// The user.
    pub(crate) sub: String,
    run_as: bool,
    /// Ids of the user's roles, in order.
    pub(crate) rbac_roles: Vec<u32>,
    rbac_mode: String,
}

impl Claims {
    /// The user.
    ///
    /// # Errors
    /// When no user can have this name.
    pub(crate) fn user(&self) -> Result<UserName, Problem> {
        self.sub.parse().map_err(|_| invalid())
    }

    /// When the token was issued.
    pub(crate) fn issued_at(&self) -> Stamp {
        Stamp::from_millis(self.nbf.saturating_mul(1000))
    }
}

/// Issues and verifies tokens.
pub(crate) struct Tokens {
    lifetime: Duration,
    keys: RwLock<Option<Arc<Keys>>>,
}

/// One signing key, ready for use, and the tokens it is known to have signed.
struct Keys {
    source: SigningKey,
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// Whether a token is *good* depends on the state and is decided each time; that it is *ours* never changes.
    verified: Mutex<HashMap<Box<str>, Arc<Claims>>>,
}

impl Tokens {
    /// Issues tokens for `lifetime`, and takes no others.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, keys: RwLock::new(None) }
    }

    /// A token for `user` from the second `now` on.
    ///
    /// # Errors
    /// When the key of the cluster cannot be used.
    pub(crate) fn issue(&self, key: &SigningKey, user: &User, now: u64) -> Result<String, Problem> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            nbf: now,
            exp: now.saturating_add(self.lifetime.as_secs()),
            sub: user.name.to_string(),
            run_as: false,
            rbac_roles: vec![ADMINISTRATOR],
            rbac_mode: MODE.to_owned(),
        };
        let keys = self.keys(key)?;
        jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &keys.encoding)
            .map_err(|error| Problem::internal(&error))
    }

    /// What a token says, if this cluster signed it and it has not ended at the second `now`.
    ///
    /// # Errors
    /// When it did not, or it has.
    pub(crate) fn verify(&self, key: &SigningKey, token: &str, now: u64) -> Result<Arc<Claims>, Problem> {
        let keys = self.keys(key)?;
        let known = keys.verified.lock().expect("nothing panics while it holds this lock").get(token).cloned();
        let claims = match known {
            Some(claims) => claims,
            None => keys.verify(token, now)?,
        };
        if now >= claims.exp { Err(invalid()) } else { Ok(claims) }
    }

    /// Whether a token of ours is good for the user it names: not revoked, and as long-lived as tokens are now.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn admit(&self, claims: &Claims, user: Option<&User>) -> Result<(), Problem> {
        let user = user.ok_or_else(invalid)?;
        if user.has_revoked(claims.issued_at()) { Err(invalid()) } else { self.check(claims) }
    }

    /// Whether a token of ours is such as this node would issue now, whoever it is for.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check(&self, claims: &Claims) -> Result<(), Problem> {
        let lifetime = claims.exp.saturating_sub(claims.nbf);
        if lifetime != self.lifetime.as_secs() || claims.rbac_mode != MODE || claims.rbac_roles != [ADMINISTRATOR] {
            return Err(Problem::unauthorized("Token expired"));
        }
        Ok(())
    }

    /// The first second whose tokens no revocation so far kills, given the clocks of this node and of the cluster.
    pub(crate) fn first_second(user: &User, node: Stamp, cluster: Stamp) -> u64 {
        let now = node.as_secs().max(cluster.as_secs());
        user.revoked_at.map_or(now, |revoked| now.max(revoked.as_secs() + 1))
    }

    fn keys(&self, key: &SigningKey) -> Result<Arc<Keys>, Problem> {
        let known = self.keys.read().expect("nothing panics while it holds this lock").clone();
        if let Some(keys) = known.filter(|keys| keys.source == *key) {
            return Ok(keys);
        }
        let keys = Arc::new(Keys::new(key)?);
        *self.keys.write().expect("nothing panics while it holds this lock") = Some(keys.clone());
        Ok(keys)
    }
}

impl Keys {
    fn new(key: &SigningKey) -> Result<Self, Problem> {
        let unusable = |error: rcgen::Error| Problem::internal(&format_args!("signing key of the cluster: {error}"));
        let pair = KeyPair::try_from(key.pkcs8.as_slice()).map_err(unusable)?;
        Ok(Self {
            source: key.clone(),
            encoding: EncodingKey::from_ec_der(&key.pkcs8),
            decoding: DecodingKey::from_ec_der(pair.public_key_raw()),
            verified: Mutex::default(),
        })
    }

    fn verify(&self, token: &str, now: u64) -> Result<Arc<Claims>, Problem> {
        let mut rules = Validation::new(ALGORITHM);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.validate_exp = false; // by our clock, below
        rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &rules).map_err(|_| invalid())?;
        let claims = Arc::new(decoded.claims);
        let mut verified = self.verified.lock().expect("nothing panics while it holds this lock");
        if verified.len() >= REMEMBERED {
            verified.retain(|_, claims| claims.exp > now);
        }
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(token.into(), claims.clone());
        Ok(claims)
    }
}

fn invalid() -> Problem {
    Problem::invalid_token()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use muster_control::{Label, LogIndex, UserId};

    use super::*;

    fn user(revoked_at: Option<u64>) -> User {
        User {
            id: UserId::new(1),
            name: "wazuh".parse().unwrap(),
            password_hash: Label::truncated(""),
            revoked_at: revoked_at.map(|secs| Stamp::from_millis(secs * 1000 + 500)),
            revision: LogIndex::new(1),
        }
    }

    fn tokens() -> (Tokens, SigningKey) {
        (Tokens::new(Duration::from_secs(900)), generate_signing_key().unwrap())
    }

    #[test]
    fn a_token_has_exactly_the_claims_of_the_contract() {
        let (tokens, key) = tokens();
        let token = tokens.issue(&key, &user(None), 1000).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let expected = serde_json::json!({
            "iss": "wazuh", "aud": "Wazuh API REST", "nbf": 1000, "exp": 1900, "sub": "wazuh", "run_as": false,
            "rbac_roles": [1], "rbac_mode": "white",
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&payload).unwrap(), expected);
    }

    #[test]
    fn a_token_ends_with_its_last_second_even_when_it_is_remembered() {
        let (tokens, key) = tokens();
        let token = tokens.issue(&key, &user(None), 1000).unwrap();
        assert!(tokens.verify(&key, &token, 1899).is_ok());
        assert!(tokens.verify(&key, &token, 1900).is_err());
    }

    #[test]
    fn tokens_of_another_key_or_without_signature_are_refused() {
        let (tokens, key) = tokens();
        let other = generate_signing_key().unwrap();
        let token = tokens.issue(&other, &user(None), 1000).unwrap();
        assert!(tokens.verify(&key, &token, 1000).is_err());
        let payload = token.split('.').nth(1).unwrap();
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let hmac = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        for forged in [format!("{header}.{payload}."), format!("{hmac}.{payload}.AAAA"), "x".into(), String::new()] {
            assert!(tokens.verify(&key, &forged, 1000).is_err(), "{forged}");
        }
    }

    #[test]
    fn a_token_of_the_second_of_a_revocation_is_dead_and_one_of_the_next_is_not() {
        let (tokens, key) = tokens();
        for (nbf, good) in [(999, false), (1000, false), (1001, true)] {
            let token = tokens.issue(&key, &user(None), nbf).unwrap();
            let claims = tokens.verify(&key, &token, 1001).unwrap();
            assert_eq!(tokens.admit(&claims, Some(&user(Some(1000)))).is_ok(), good, "{nbf}");
        }
        assert_eq!(Tokens::first_second(&user(Some(1000)), Stamp::from_millis(1_000_900), Stamp::default()), 1001);
    }

    #[test]
    fn a_token_without_its_user_or_of_another_lifetime_is_refused() {
        let (tokens, key) = tokens();
        let token = tokens.issue(&key, &user(None), 1000).unwrap();
        let claims = tokens.verify(&key, &token, 1000).unwrap();
        assert!(tokens.admit(&claims, None).is_err());
        assert!(Tokens::new(Duration::from_secs(60)).admit(&claims, Some(&user(None))).is_err());
    }

    #[test]
    fn remembered_tokens_are_bounded() {
        let (tokens, key) = tokens();
        let keys = tokens.keys(&key).unwrap();
        let claims = tokens.verify(&key, &tokens.issue(&key, &user(None), 1000).unwrap(), 1000).unwrap();
        for number in 0..REMEMBERED {
            keys.verified.lock().unwrap().insert(number.to_string().into(), claims.clone());
        }
        tokens.verify(&key, &tokens.issue(&key, &user(None), 1001).unwrap(), 1001).unwrap();
        assert!(keys.verified.lock().unwrap().len() <= REMEMBERED);
    }
}
