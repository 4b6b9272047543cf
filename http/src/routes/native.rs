//! `/v1`: what the reference never had.

mod cluster;
mod commands;

pub(super) use cluster::cluster;
pub(super) use commands::{command, commands};
