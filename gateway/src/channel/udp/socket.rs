//! The socket that all datagrams share.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;

/// Opens the port. The kernel cuts the buffer to its own limit (`net.core.rmem_max` on Linux).
///
/// # Errors
/// The address is not to be had.
pub(crate) fn bind(address: SocketAddr, receive_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?; // as TCP does: `[::]` serves IPv4 too
    }
    // A smaller buffer only means that bursts are lost sooner.
    if let Err(error) = socket.set_recv_buffer_size(receive_bytes) {
        tracing::debug!(%error, "the receive buffer keeps its default size");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
