//! Whole-system tests: real processes on loopback, and the faults done to them.
//!
//! A test's name is the claim. Each shows that its fault happened: a run without it proves nothing.

mod bad_input;
mod durability;
mod enrollment;
mod full_disk;
mod identity;
mod import;
mod load;
mod minority;
mod replicas;
mod restarts;
mod revocation;
mod seed_case;

/// What is tested.
const PROGRAM: &str = env!("CARGO_BIN_EXE_muster-under-test");
