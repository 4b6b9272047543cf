//! An agent's end of the secure channel: frames on a TCP socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use muster_gateway::codec::envelope::Envelope;
use muster_gateway::codec::{ClientKeyLine, FromAgent, Method, SecureChannel, SenderCounter, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::bytes::BytesMut;

/// What an agent keeps through all its processes and connections: its key and its counter.
pub(super) struct Voice {
    channel: SecureChannel,
    counter: SenderCounter,
    method: Method,
    /// Put in front of messages; empty for an agent registered with a single IPv4 address.
    id: String,
}

impl Voice {
    pub(super) fn new(identity: &ClientKeyLine, method: Method) -> Self {
        Self {
            channel: SecureChannel::for_key(&identity.id, identity.name.as_str(), identity.key.as_str()),
            counter: SenderCounter::starting_at(0),
            method,
            id: if identity.address.sends_id() { identity.id.clone() } else { String::new() },
        }
    }

    /// Takes a number without sending anything: what a lost message leaves behind.
    pub(super) fn skip_number(&self) {
        self.counter.next();
    }

    fn seal(&self, message: &FromAgent<'_>) -> io::Result<Vec<u8>> {
        self.channel
            .seal_frame_as(&self.id, self.method, self.counter.next(), &message.encode())
            .map_err(io::Error::other)
    }
}

/// What came of waiting for a frame.
pub(super) enum Received {
    /// The payload of a message.
    Message(Vec<u8>),
    /// A frame that does not open under this key: agents drop it and go on.
    Garbage,
}

/// One TCP connection.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Connects to `host:port`.
    pub(super) async fn open(server: &str, patience: Duration) -> io::Result<Self> {
        let stream = tokio::time::timeout(patience, TcpStream::connect(server)).await??;
        // Each message is one write and waits for nothing: Nagle would hold back the one behind a startup.
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    /// The agent's own address, as it reports it.
    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Sends one message, whole.
    pub(super) async fn send(&mut self, voice: &Voice, message: &FromAgent<'_>) -> io::Result<()> {
        self.stream.write_all(&voice.seal(message)?).await
    }

    /// Waits for the next frame; any error ends the connection, a length nobody sends and a close included.
    ///
    /// # Cancel safety
    /// Safe: what has arrived of a frame stays in the buffer.
    pub(super) async fn receive(&mut self, voice: &Voice) -> io::Result<Received> {
        loop {
            if let Some(envelope) = frame::take(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(match Envelope::parse(&envelope) {
                    Ok(Envelope::Sealed(sealed)) => match voice.channel.open(&sealed) {
                        Ok(opened) => Received::Message(opened.payload),
                        Err(_) => Received::Garbage,
                    },
                    Ok(Envelope::Ping) | Err(_) => Received::Garbage,
                });
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
