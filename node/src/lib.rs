//! The `muster` process: command line, configuration, certificates, start and stop.
//!
//! [`serve`] runs one node, [`dev`] a cluster of three on loopback, [`simulate`] agents against either.

mod certs;
mod cli;
mod client;
mod config;
mod dev;
mod export;
mod failure;
mod import;
mod password;
mod private;
mod run;
mod serve;
pub mod simulate;

pub use certs::{Authority, CertError, Pair};
pub use config::{Config, ConfigError};
pub use failure::{Exit, Failure};
pub use run::main;
