//! Replicates [`muster_control`] over Raft: log, vote, snapshots, peers.
//!
//! The door is [`Replica`]: propose changes, read views, follow notices. What lies behind it (openraft,
//! RocksDB, gRPC) does not show through it.

mod bootstrap;
mod clock;
mod config;
mod convert;
mod counters;
mod disk;
mod envelope;
mod error;
mod fatal;
#[cfg(test)]
mod golden;
mod machine;
mod notices;
mod peer;
mod proposer;
mod proto;
mod reads;
mod replica;
mod settings;
mod standing;
mod start;
mod status;
mod store;
mod ticker;
mod types;
mod view;

pub use config::{ClusterId, MemberConfig, NotAClusterId, PeerTls, ReplicaConfig, Tuning};
pub use counters::{Counter, Counters};
pub use error::{Fatal, NotApplied, ProposeError, ReadError, StartError};
pub use notices::{Notice, Notices};
pub use replica::{Proposed, Replica};
pub use status::{Member, NotReady, Role, Status};
pub use view::View;
