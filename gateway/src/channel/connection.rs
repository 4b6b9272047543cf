//! One connection of an agent, one task: reads frames, acks from memory, writes what the desk hands over.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use muster_control::AgentId;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Channel;
use super::caller::Caller;
use super::ending::Ending;
use super::outbox::Outbox;
use crate::codec::envelope::{Envelope, PONG, Sealed};
use crate::codec::{FromAgent, frame};
use crate::session::{Heard, Input, LineId, Outgoing, Pulse, Sink, Ticket};

/// Room for one read; larger frames bring their own.
const READ_BYTES: usize = 4_096;

/// A connection and what is known of the agent at its other end.
pub(crate) struct Connection {
    pub(super) channel: Arc<Channel>,
    stream: TcpStream,
    pub(super) peer: SocketAddr,
    began: Instant,
    inbox: BytesMut,
    outbox: Outbox,
    pub(super) caller: Option<Box<Caller>>,
    pub(super) line: Option<OpenLine>,
    pub(super) held: Vec<Heard>,
    pub(super) hang_up: CancellationToken,
    /// Held until a valid startup came.
    pub(super) stranger: Option<OwnedSemaphorePermit>,
}

/// What exists from the first valid startup on.
pub(super) struct OpenLine {
    pub(super) id: LineId,
    pub(super) agent: AgentId,
    pub(super) pulse: Arc<Pulse>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) orders: mpsc::Receiver<Outgoing>,
    /// Whether the desk knows that the agent spoke after the ack.
    pub(super) spoke: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(
        channel: Arc<Channel>,
        stream: TcpStream,
        peer: SocketAddr,
        stranger: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            hang_up: channel.hang_up.child_token(),
            channel,
            stream,
            peer,
            began: Instant::now(),
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            caller: None,
            line: None,
            held: Vec::new(),
            stranger: Some(stranger),
        }
    }

    /// Serves it to its end.
    pub(crate) async fn run(mut self) -> Ending {
        let Err(ending) = self.converse().await;
        let Some(mut line) = self.line.take() else { return ending };
        line.orders.close();
        let mut unwritten: Vec<Ticket> = self.outbox.unwritten().collect();
        while let Ok(order) = line.orders.try_recv() {
            unwritten.extend(order.ticket);
        }
        drop(self.stream); // before the desk is told, which may take a moment when it is busy
        let (agent, line) = (line.agent, line.id);
        self.channel.desk.tell(Input::Disconnected { agent, line, unwritten }).await;
        ending
    }

    async fn converse(&mut self) -> Result<Infallible, Ending> {
        // Answers are small and waited for; the kernel has nothing to gain by holding them back.
        self.stream.set_nodelay(true)?;
        loop {
            while let Some(envelope) = frame::take(&mut self.inbox)? {
                self.envelope(&envelope).await?;
            }
            if self.inbox.is_empty() {
                self.inbox = BytesMut::new(); // an idle connection holds no buffer
            }
            self.flush()?;
            let interest = match self.outbox.len() {
                0 => Interest::READABLE,
                _ => Interest::READABLE | Interest::WRITABLE,
            };
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = self.hang_up.cancelled() => return Err(self.hung_up()),
                order = next_order(&mut self.line) => self.push(&order.payload, order.ticket),
                ready = self.stream.ready(interest) => {
                    if ready?.is_readable() {
                        self.read()?;
                    }
                }
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    return Err(if self.line.is_some() { Ending::Stalled } else { Ending::NoStartup });
                }
            }
        }
    }

    /// By when something has to happen.
    fn deadline(&self) -> Option<Instant> {
        let config = &self.channel.config.channel;
        let startup = self.line.is_none().then(|| self.began + config.startup_within);
        let write = self.outbox.stalled_since().map(|since| since + config.write_within);
        startup.into_iter().chain(write).min()
    }

    fn hung_up(&self) -> Ending {
        if self.channel.hang_up.is_cancelled() { Ending::Stopping } else { Ending::SessionOver }
    }

    fn read(&mut self) -> Result<(), Ending> {
        if self.inbox.capacity() == self.inbox.len() {
            self.inbox.reserve(READ_BYTES);
        }
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Err(Ending::ByPeer),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Ending> {
        let started = self.outbox.flush(&self.stream)?;
        self.channel.metrics.written.inc_by(started as u64);
        if self.outbox.len() > self.channel.config.channel.write_backlog { Err(Ending::Stalled) } else { Ok(()) }
    }

    async fn envelope(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        match Envelope::parse(bytes)? {
            Envelope::Ping => {
                let mut pong = Vec::new();
                frame::put(PONG, &mut pong);
                self.outbox.push(&pong, None);
                Ok(())
            }
            Envelope::Sealed(sealed) => {
                let mut caller = self.recognise(&sealed).await?;
                let opened = caller.keys.open(&sealed)?;
                caller.method = opened.method;
                self.caller = Some(caller);
                self.message(FromAgent::decode(&opened.payload)).await
            }
        }
    }

    /// The agent that a message claims to be from; that it has the key is seen when the message opens.
    async fn recognise(&mut self, sealed: &Sealed<'_>) -> Result<Box<Caller>, Ending> {
        match self.caller.take() {
            Some(known) if known.is_named(sealed) => Ok(known),
            Some(_) => Err(Ending::OtherAgent),
            None => Caller::find(&self.channel, sealed, self.peer.ip()).await,
        }
    }

    /// Seals a payload for the agent and puts its frame in line.
    pub(super) fn push(&mut self, payload: &[u8], ticket: Option<Ticket>) {
        let Some(caller) = &self.caller else { return };
        let numbering = self.channel.counter.next();
        let frame = caller.keys.seal_frame(caller.method, numbering, payload);
        self.outbox.push(&frame.expect("what this node sends is far below the limit of a message"), ticket);
    }
}

/// The next message from the desk; never, before there is a line.
async fn next_order(line: &mut Option<OpenLine>) -> Outgoing {
    match line {
        Some(line) => match line.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
