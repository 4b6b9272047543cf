//! What holds over whole logs of changes.

mod golden;
mod histories;
mod orders;
mod proofs;
mod support;
