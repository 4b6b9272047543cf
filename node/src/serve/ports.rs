//! Whether the ports are free, told before the disk is touched.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::config::Config;
use crate::failure::{Exit, Failure};

/// Binds every port once and lets go of it.
///
/// Somebody may take it before it is bound for good; that fails too, only later and with less said.
///
/// # Errors
/// For the first port that is in use, or whose address is not this machine's; the message names the key.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    let mut listens: Vec<(&str, SocketAddr)> =
        vec![("peers.listen", config.peers.listen), ("enrollment.listen", config.gateway.enrollment.listen)];
    let channel = &config.gateway.channel;
    listens.extend(channel.tcp.then_some(("channel.listen", channel.listen)));
    listens.extend(config.api.listen.iter().map(|address| ("api.listen", *address)));
    for (key, address) in listens {
        TcpListener::bind(address)
            .map_err(|error| Failure::message(Exit::Port, format!("{key} = {address}: cannot listen: {error}")))?;
    }
    if channel.udp {
        let address = channel.listen;
        UdpSocket::bind(address).map_err(|error| {
            Failure::message(Exit::Port, format!("channel.listen = {address}: cannot listen on UDP: {error}"))
        })?;
    }
    Ok(())
}
