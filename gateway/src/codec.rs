//! The agents' protocol as pure functions: bytes in, messages out. No socket, no clock, no runtime.
//!
//! Server, agent simulator and fuzzers share it, so both directions exist for everything. Section numbers in
//! comments are those of the agent protocol contract. From the outside in:
//!
//! | layer | module |
//! | --- | --- |
//! | length in front of what TCP carries | [`frame`] |
//! | agent id and cipher in front of the ciphertext | [`envelope`] |
//! | cipher, padding, compression, checksum, counters | [`SecureChannel`] |
//! | what is said | [`FromAgent`], [`ToAgent`], [`Keepalive`], [`AgentState`] |
//! | enrollment, one line each way inside TLS | [`enrollment`] |

mod address;
mod agent_state;
mod cipher;
mod compression;
mod counter;
mod digest;
pub mod enrollment;
pub mod envelope;
mod error;
mod event;
pub mod frame;
mod from_agent;
mod inner;
mod keepalive;
mod key_file;
mod keys;
mod number;
mod operating_system;
mod secure_channel;
mod to_agent;
#[cfg(test)]
mod vectors;
mod version;

pub use address::{AddressPattern, InvalidAddress, wire_address};
pub use agent_state::AgentState;
pub use cipher::Method;
pub use counter::{Numbering, Place, SenderCounter};
pub use error::CodecError;
pub use event::{Event, EventSource};
pub use from_agent::{FromAgent, Startup};
pub use inner::MAX_PAYLOAD;
pub use keepalive::{Keepalive, KeepaliveText, NoLineEnd};
pub use key_file::{KeyFile, KeyFileError, KeyFileFault};
pub use keys::{ClientKeyLine, InvalidKeyLine, key_hash};
pub use number::{InvalidRequestNumber, RequestNumber};
pub use operating_system::OperatingSystem;
pub use secure_channel::{Opened, SecureChannel};
pub use to_agent::{Component, ToAgent};
pub use version::{AgentVersion, NotAVersion};
