//! Passwords: hashed with argon2id, compared away from the threads that serve connections.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use muster_control::Label;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Hash of a password under a fresh salt, in PHC string form (argon2id, 19 MiB, 2 passes).
///
/// # Errors
/// When the system gives no randomness, or the password has more than 2^32 bytes.
pub fn hash_password(password: &str) -> Result<Label, HashError> {
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(HashError)?;
    Ok(Label::truncated(&hash.to_string()))
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed")]
pub struct HashError(#[source] argon2::password_hash::Error);

/// Compares passwords with hashes, a few at a time: each comparison takes tens of milliseconds and 19 MiB.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// Compared with when there is no such user, so that this takes as long as a wrong password.
    nobody: Label,
}

impl Passwords {
    /// Compares at most `at_once` passwords at a time.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn new(at_once: usize) -> Result<Self, HashError> {
        let random: [u8; 32] = rand::random();
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { turns: Arc::new(Semaphore::new(at_once)), nobody: hash_password(&password)? })
    }

    /// Whether `password` is the one of `hash`; without a hash it is not, and that takes as long.
    ///
    /// Waits for its turn: the caller bounds how long.
    ///
    /// # Errors
    /// When the hash is not one that this version can compare with.
    pub(crate) async fn verify(&self, password: String, hash: Option<&Label>) -> Result<bool, Problem> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|error| Problem::internal(&error))?;
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).clone();
        let verdict = tokio::task::spawn_blocking(move || {
            let _turn = turn; // held to the end, also when the client is gone
            let hash = PasswordHash::new(hash.as_str()).map_err(|error| error.to_string())?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        match verdict.await {
            Ok(Ok(right)) => Ok(right && known),
            Ok(Err::<_, String>(cause)) => Err(Problem::internal(&format_args!("stored password hash: {cause}"))),
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_taken() {
        let passwords = Passwords::new(2).unwrap();
        let hash = hash_password("Secret.1").unwrap();
        assert!(hash.as_str().starts_with("$argon2id$"), "{hash}");
        assert!(passwords.verify("Secret.1".into(), Some(&hash)).await.unwrap());
        assert!(!passwords.verify("secret.1".into(), Some(&hash)).await.unwrap());
        assert!(!passwords.verify("Secret.1".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_and_no_refusal() {
        let passwords = Passwords::new(1).unwrap();
        assert!(passwords.verify("x".into(), Some(&Label::truncated("plain"))).await.is_err());
    }
}
