//! The agents' side: enrollment over TLS and the secure channel, Wazuh 4.x protocol.
//!
//! An agent's way through it: `channel` reads frames, finds the key in the local view and acks; `session` turns
//! what was heard into statements, batches them into the log, and hands committed deliveries back to the connection.
//! `enrollment` is beside that: one request, one change, one answer. `events` takes what agents report to the analysis
//! side. [`codec`] is the protocol without a socket.

pub mod codec;

mod channel;
mod config;
mod enrollment;
mod events;
mod gateway;
mod listener;
mod metrics;
mod session;

pub use config::{ChannelConfig, EnrollmentConfig, EventsConfig, GatewayConfig, SessionConfig};
pub use gateway::{Gateway, StartError};
pub use session::{Attached, Heard, NotTaken, Outgoing, Sink, Ticket};
