//! `/v1`: what the reference never had.

mod cluster;
mod commands;
mod import;
mod state;

pub(super) use cluster::cluster;
pub(super) use commands::{command, commands};
pub(super) use import::{client_keys, import};
pub(super) use state::state;
