//! The codec held against the contract's vectors, byte for byte (`tests/vectors/agent-protocol.json`).

mod channel;
mod enrolling;
mod texts;

use serde_json::Value;

fn vectors() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/agent-protocol.json");
    serde_json::from_slice(&std::fs::read(file).expect("the vectors are part of the crate")).unwrap()
}

/// All vectors of one section.
fn section(name: &str) -> Vec<Value> {
    let all = vectors()[name].as_array().unwrap().clone();
    assert!(!all.is_empty());
    all
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} of {vector}"))
}

fn optional<'a>(vector: &'a Value, key: &str) -> Option<&'a str> {
    vector[key].as_str()
}

fn hex(vector: &Value, key: &str) -> Vec<u8> {
    unhex(text(vector, key))
}

fn unhex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2));
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
