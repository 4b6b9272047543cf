//! Peers: who they are, how they are reached, what they may ask.

mod access;
mod address;
mod certificate;
mod client;
mod incoming;
mod install;
mod network;
mod service;
mod stream;
mod tls;

pub(crate) use access::Access;
pub(crate) use client::Peers;
pub(crate) use incoming::{PeerStream, incoming};
pub(crate) use network::Network;
pub(crate) use service::PeerService;
pub(crate) use tls::{ClientTls, ServerTls};

/// Largest message between peers: the largest change that can be allowed, twice, so that no entry is ever stuck.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;
