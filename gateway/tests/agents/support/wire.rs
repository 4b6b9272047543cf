//! What carries an agent's messages.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use muster_gateway::codec::envelope::{PING, PONG};
use muster_gateway::codec::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::PATIENCE;

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// A connection, or a socket that stands for one.
pub(crate) enum Wire {
    Tcp(TcpStream, BytesMut),
    Udp(UdpSocket),
}

impl Wire {
    /// Connects from an address of this machine.
    pub(crate) async fn connect(transport: Transport, from: IpAddr, to: SocketAddr) -> Self {
        let from = SocketAddr::new(from, 0);
        match transport {
            Transport::Tcp => {
                let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
                socket.bind(from).unwrap();
                Self::over(socket.connect(to).await.unwrap())
            }
            Transport::Udp => {
                let socket = UdpSocket::bind(from).await.unwrap();
                socket.connect(to).await.unwrap();
                Self::Udp(socket)
            }
        }
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        Self::Tcp(stream, BytesMut::new())
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Tcp(stream, _) => stream,
            Self::Udp(_) => panic!("datagrams have no stream"),
        }
    }

    pub(crate) async fn send(&mut self, envelope: &[u8]) {
        match self {
            Self::Tcp(stream, _) => {
                let mut bytes = Vec::new();
                frame::put(envelope, &mut bytes);
                stream.write_all(&bytes).await.unwrap();
            }
            Self::Udp(socket) => _ = socket.send(envelope).await.unwrap(),
        }
    }

    /// The next envelope; `None` when the connection was closed.
    pub(crate) async fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Tcp(stream, inbox) => loop {
                if let Some(envelope) = frame::take(inbox).unwrap() {
                    return Some(envelope.to_vec());
                }
                let read = timeout(PATIENCE, stream.read_buf(inbox)).await.expect("an answer in time");
                if read.unwrap_or(0) == 0 {
                    return None;
                }
            },
            Self::Udp(socket) => {
                let mut datagram = vec![0; frame::MAX_FRAME];
                let read = timeout(PATIENCE, socket.recv(&mut datagram)).await.expect("an answer in time");
                datagram.truncate(read.unwrap());
                Some(datagram)
            }
        }
    }

    /// Nothing has come that was not received yet: the answer to a probe is the next.
    pub(crate) async fn expect_quiet(&mut self) {
        self.send(PING).await;
        assert_eq!(self.receive().await.as_deref(), Some(PONG));
    }
}
