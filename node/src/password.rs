//! Passwords that are made up.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::config::Secret;

const LOWER: &[u8] = b"abcdefghijkmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
const DIGITS: &[u8] = b"23456789";
/// Those that need no quoting in a shell, in TOML, in a URL or in a header.
const SYMBOLS: &[u8] = b"-_.";

/// 32 characters, about 180 bits: lower case, upper case, digits and symbols, as the API's rules demand (REST contract,
/// codes 5007 and 5009), without those that look alike.
pub(crate) fn generate() -> Secret {
    let mut random = rand::rng();
    let mut password = Vec::with_capacity(32);
    for (alphabet, count) in [(LOWER, 14), (UPPER, 10), (DIGITS, 6), (SYMBOLS, 2)] {
        password.extend((0..count).map(|_| alphabet[random.random_range(0..alphabet.len())]));
    }
    password.shuffle(&mut random);
    // A leading symbol would look like an option in a command line.
    if let Some(letter) = password.iter().position(u8::is_ascii_alphanumeric) {
        password.swap(0, letter);
    }
    Secret::new(String::from_utf8(password).expect("the alphabets are ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_passwords_meet_the_rules_and_differ() {
        let (one, other) = (generate(), generate());
        assert_ne!(one.reveal(), other.reveal());
        for kind in [LOWER, UPPER, DIGITS, SYMBOLS] {
            assert!(one.reveal().bytes().any(|byte| kind.contains(&byte)), "{}", one.reveal());
        }
        assert_eq!(one.reveal().len(), 32);
        assert!(one.reveal().starts_with(|first: char| first.is_ascii_alphanumeric()));
    }
}
