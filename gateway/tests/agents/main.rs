//! The gateway over real sockets and a real replica: agents on one side, the log on the other.

mod abuse;
mod connecting;
mod enrolling;
mod quorum;
mod restarting;
mod support;
