//! What whole-system tests are made of: real processes on loopback, the faults done to them, clients and agents.
//!
//! [`Cluster`] is where to start. The tests themselves are in `tests/system`; each takes its [`Turn`], has ports and a
//! directory of its own, and waits for conditions with [`until()`] and for nothing else.

mod agents;
mod answer;
mod api;
mod cluster;
mod ledger;
mod limits;
mod node;
mod place;
mod ports;
mod settings;
mod tmpfs;
mod turn;
mod until;

pub use agents::{QUICK, enroll, fleet_config};
pub use answer::{Answer, NoAnswer};
pub use api::{Api, Delivery};
pub use cluster::Cluster;
pub use ledger::{Ledger, Told};
pub use limits::{limit_file_size, raise_open_files};
pub use node::Node;
pub use place::{PASSWORD, Place};
pub use ports::Ports;
pub use settings::Settings;
pub use tmpfs::Tmpfs;
pub use turn::Turn;
pub use until::until;
