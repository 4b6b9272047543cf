//! The API of a real node, driven by a real client: each operation against the contract and the recorded samples.
#![expect(clippy::unwrap_used, reason = "what fails in a helper of the tests fails the test that called it")]

mod agents;
mod cluster;
mod commands;
mod conventions;
mod groups;
mod import;
mod limits;
mod native;
mod sample;
mod server;
mod session;
