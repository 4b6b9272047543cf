//! One connection of an agent, one task: reads frames, acks from memory, writes what the desk hands over.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Channel;
use super::caller::{Caller, find};
use super::conversation::{Conversation, Reaction, Via};
use super::ending::Ending;
use super::line::LineSink;
use super::outbox::Outbox;
use crate::codec::envelope::{Envelope, PONG, Sealed};
use crate::codec::{FromAgent, frame};
use crate::session::{Input, Outgoing, Ticket};

/// Room for one read; larger frames bring their own.
const READ_BYTES: usize = 4_096;

/// A connection and what is known of the agent at its other end.
pub(crate) struct Connection {
    channel: Arc<Channel>,
    stream: TcpStream,
    peer: SocketAddr,
    began: Instant,
    inbox: BytesMut,
    outbox: Outbox,
    /// With the agent, once a message showed who it is.
    conversation: Option<Box<Conversation>>,
    /// What the desk hands over, from the first valid startup on.
    orders: Option<mpsc::Receiver<Outgoing>>,
    hang_up: CancellationToken,
    /// Held until a valid startup came.
    stranger: Option<OwnedSemaphorePermit>,
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
            conversation: None,
            orders: None,
            stranger: Some(stranger),
        }
    }

    /// Serves it to its end.
    pub(crate) async fn run(mut self) -> Ending {
        let Err(ending) = self.converse().await;
        let (Some(conversation), Some(mut orders)) = (self.conversation.take(), self.orders.take()) else {
            return ending;
        };
        orders.close();
        let mut unwritten: Vec<Ticket> = self.outbox.unwritten().collect();
        while let Ok(order) = orders.try_recv() {
            unwritten.extend(order.ticket);
        }
        drop(self.stream); // before the desk is told, which may take a moment when it is busy
        if let Some(line) = conversation.line() {
            self.channel.holders.release(conversation.agent(), line, Instant::now());
            self.channel.desk.tell(Input::Disconnected { agent: conversation.agent(), line, unwritten }).await;
        }
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
                order = next_order(&mut self.orders) => self.push(&order.payload, order.ticket),
                ready = self.stream.ready(interest) => {
                    if ready?.is_readable() {
                        self.read()?;
                    }
                }
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    return Err(if self.orders.is_some() { Ending::Stalled } else { Ending::NoStartup });
                }
            }
        }
    }

    /// By when something has to happen.
    fn deadline(&self) -> Option<Instant> {
        let config = &self.channel.config.channel;
        let startup = self.orders.is_none().then(|| self.began + config.startup_within);
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
    fn flush(&mut self) -> Result<(), Ending> {
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
                self.recognise(&sealed).await?;
                let Some(conversation) = &mut self.conversation else { return Ok(()) };
                let opened = conversation.caller.keys.open(&sealed)?;
                conversation.caller.method = opened.method;
                let connect = |_| {
                    let (sink, orders) = LineSink::new(self.hang_up.clone());
                    self.orders = Some(orders);
                    self.stranger = None;
                    Arc::new(sink) as _
                };
                let message = FromAgent::decode(&opened.payload);
                let via = Via { peer: self.peer, place: opened.numbering.place(), is_connection: true };
                let reaction = conversation.take(&self.channel, message, &via, connect);
                self.react(reaction).await
            }
        }
    }

    /// Sees to it that the conversation is with the agent that a message claims to be from; that it has the key is seen
    /// when the message opens.
    async fn recognise(&mut self, sealed: &Sealed<'_>) -> Result<(), Ending> {
        match &self.conversation {
            Some(known) if known.caller.is_named(sealed) => Ok(()),
            Some(_) => Err(Ending::OtherAgent),
            None => {
                let agent = find(&self.channel, sealed.id, self.peer.ip()).await?;
                let caller = Caller::new(&agent, sealed.id, sealed.method);
                self.conversation = Some(Box::new(Conversation::with(caller)));
                Ok(())
            }
        }
    }

    /// Answers at once, whatever the cluster is doing, and only then tells of it.
    async fn react(&mut self, reaction: Reaction) -> Result<(), Ending> {
        if let Some(answer) = reaction.answer {
            self.push(&answer, None);
            self.flush()?;
        }
        for input in reaction.inputs {
            self.channel.desk.tell(input).await;
        }
        reaction.ending.map_or(Ok(()), Err)
    }

    /// Seals a payload for the agent and puts its frame in line.
    fn push(&mut self, payload: &[u8], ticket: Option<Ticket>) {
        let Some(conversation) = &self.conversation else { return };
        let frame = conversation.caller.seal_frame(self.channel.counter.next(), payload);
        self.outbox.push(&frame, ticket);
    }
}

/// The next message from the desk; never, before the first valid startup.
async fn next_order(orders: &mut Option<mpsc::Receiver<Outgoing>>) -> Outgoing {
    match orders {
        Some(orders) => match orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
