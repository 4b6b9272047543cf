//! What can be wrong with a configuration, in words that name the key.

use std::io;
use std::path::PathBuf;

/// Why a configuration was not taken. The message is one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is not TOML, or has a key or a type that no configuration has.
    #[error("{path}: line {line}: {message}", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A value is out of its range.
    #[error("{key} = {value}: {rule}")]
    Value {
        /// The key with its table.
        key: &'static str,
        /// What was found.
        value: String,
        /// What it has to be.
        rule: String,
    },
    /// Two values contradict each other.
    #[error("{left} = {left_value} must be {relation} {right} = {right_value}: {why}")]
    Relation {
        /// The key with its table.
        left: &'static str,
        /// Its value.
        left_value: String,
        /// What has to hold between them.
        relation: &'static str,
        /// The other key.
        right: &'static str,
        /// Its value.
        right_value: String,
        /// What goes wrong otherwise.
        why: &'static str,
    },
}
