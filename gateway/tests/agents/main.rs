//! The gateway over real sockets and a real replica: agents on one side, the log on the other.

#![expect(clippy::unwrap_used, reason = "a test whose helpers fail ends where it stands")]

mod abuse;
mod addresses;
mod clones;
mod connecting;
mod datagrams;
mod enrolling;
mod figures;
mod quorum;
mod releases;
mod restarting;
mod support;
