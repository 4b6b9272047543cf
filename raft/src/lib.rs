//! Replicates [`muster_control`] over Raft: log, vote, snapshots, peers.
//!
//! The door is [`Replica`]: propose changes, read views, follow notices. What lies behind it (openraft,
//! RocksDB, gRPC) does not show through it.

mod config;
mod counters;
mod error;
mod notices;
mod replica;
mod status;
mod view;

pub use config::{ClusterId, MemberConfig, NotAClusterId, PeerTls, ReplicaConfig, Tuning};
pub use counters::{Counter, Counters};
pub use error::{Fatal, NotApplied, ProposeError, ReadError, StartError};
pub use notices::{Notice, Notices};
pub use replica::{Proposed, Replica};
pub use status::{Member, NotReady, Role, Status};
pub use view::View;
