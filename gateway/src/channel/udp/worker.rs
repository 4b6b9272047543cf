//! One worker serves some of the agents that speak over UDP: all that is known of them is its own, so there is no lock.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_control::{Agent, AgentId};
use tokio::net::UdpSocket;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::association::{Answer, Association, Context};
use super::dropped::Dropped;
use super::sink::{LineOrder, What};
use crate::channel::Channel;
use crate::channel::ending::Ending;
use crate::codec::envelope::Envelope;
use crate::session::{Input, LineId, Outgoing, Ticket};

/// How often agents that are gone are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// A datagram that claims to be from an agent of this cluster.
pub(super) struct Arrival {
    pub(super) agent: Arc<Agent>,
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
    /// Its share of what may wait.
    pub(super) room: OwnedSemaphorePermit,
}

/// Agents, and the socket they share.
pub(super) struct Worker {
    channel: Arc<Channel>,
    socket: Arc<UdpSocket>,
    associations: HashMap<AgentId, Association>,
    orders: UnboundedSender<LineOrder>,
}

impl Worker {
    /// Starts a worker; it ends when the channel hangs up.
    pub(super) fn spawn(channel: &Arc<Channel>, socket: Arc<UdpSocket>, arrivals: Receiver<Arrival>) {
        let (orders, receiver) = mpsc::unbounded_channel();
        let worker = Self { channel: channel.clone(), socket, associations: HashMap::new(), orders };
        channel.tasks.spawn(worker.run(arrivals, receiver));
    }

    async fn run(mut self, mut arrivals: Receiver<Arrival>, mut orders: UnboundedReceiver<LineOrder>) {
        let hang_up = self.channel.hang_up.clone();
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = hang_up.cancelled() => break,
                Some(order) = orders.recv() => self.obey(order).await,
                Some(arrival) = arrivals.recv() => self.arrived(arrival).await,
                _ = sweep.tick() => self.sweep(),
            }
        }
        orders.close();
        while let Some(order) = orders.recv().await {
            if let What::Send(Outgoing { ticket: Some(ticket), .. }, _) = order.what {
                self.unwritten(order.agent, order.line, ticket).await;
            }
        }
        let lines: Vec<_> =
            self.associations.iter().filter_map(|(id, with)| Some((*id, with.conversation.line()?))).collect();
        for (agent, line) in lines {
            self.close(agent, line, Ending::Stopping).await;
        }
    }

    async fn arrived(&mut self, arrival: Arrival) {
        if let Err(cause) = self.take(arrival).await {
            self.channel.metrics.datagram_dropped(cause.label());
        }
    }

    async fn take(&mut self, arrival: Arrival) -> Result<(), Dropped> {
        let Arrival { agent: record, from, bytes, room } = arrival;
        let Envelope::Sealed(sealed) = Envelope::parse(&bytes)? else { return Ok(()) };
        let known = self.associations.get(&record.id).filter(|known| known.is_with(&record));
        let made = known.is_none().then(|| Association::new(&record, sealed.id, sealed.method, from));
        let keys = made.as_ref().or(known).map(|association| &association.conversation.caller.keys);
        let opened = keys.expect("it is known or was made").open(&sealed)?;
        drop((bytes, room));
        if let Some(made) = made {
            self.forget(record.id).await;
            self.associations.insert(record.id, made);
        }
        let Some(association) = self.associations.get_mut(&record.id) else { return Ok(()) };
        let (method, place) = (opened.method, opened.numbering.place());
        let context = Context { channel: &self.channel, record: &record, orders: &self.orders, from, method, place };
        let was_open = association.conversation.line().is_some();
        let reaction = association.take(&context, &opened.payload);
        if !was_open && association.conversation.line().is_some() {
            self.channel.metrics.udp_sessions.inc();
        }
        for answer in reaction.answers {
            // An agent that misses an answer asks again; only what the desk orders has to be accounted for.
            if let Err(error) = self.send(record.id, answer).await {
                tracing::debug!(agent_id = %record.id, %error, "an answer was not sent");
            }
        }
        for input in reaction.inputs {
            self.channel.desk.tell(input).await;
        }
        reaction.dropped.map_or(Ok(()), Err)
    }

    async fn obey(&mut self, order: LineOrder) {
        let LineOrder { agent, line, what } = order;
        let association = self.associations.get(&agent).filter(|with| with.conversation.line() == Some(line));
        match what {
            What::Close => self.close(agent, line, Ending::SessionOver).await,
            What::Send(outgoing, _room) => {
                let sent = match association.map(|with| with.order(outgoing.payload)) {
                    Some(answer) => self.send(agent, answer).await.inspect_err(|error| {
                        tracing::debug!(agent_id = %agent, %error, "an order was not sent");
                    }),
                    None => Err(io::ErrorKind::NotConnected.into()),
                };
                match (sent, outgoing.ticket) {
                    (Ok(()), Some(_)) => _ = self.channel.metrics.written.inc(),
                    (Ok(()), None) => {}
                    (Err(_), ticket) => {
                        if let Some(ticket) = ticket {
                            self.unwritten(agent, line, ticket).await;
                        }
                        // Nothing can be sent there; the agent is asked to come again when it is heard.
                        self.close(agent, line, Ending::Broken).await;
                    }
                }
            }
        }
    }

    /// Hands one message to the kernel: whole, or not at all.
    async fn send(&self, agent: AgentId, answer: Answer) -> io::Result<()> {
        let Answer { to, method, payload } = answer;
        let Some(association) = self.associations.get(&agent) else { return Ok(()) };
        let envelope = association.conversation.caller.seal(method, self.channel.counter.next(), &payload);
        match self.socket.try_send_to(&envelope, to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let within = self.channel.config.channel.write_within;
                timeout(within, self.socket.send_to(&envelope, to)).await.map_err(io::Error::from)??;
            }
            sent => _ = sent?,
        }
        Ok(())
    }

    async fn unwritten(&self, agent: AgentId, line: LineId, ticket: Ticket) {
        self.channel.desk.tell(Input::Disconnected { agent, line, unwritten: vec![ticket] }).await;
    }

    /// Ends a line, unless it is over already.
    async fn close(&mut self, agent: AgentId, line: LineId, ending: Ending) {
        let Some(association) = self.associations.get_mut(&agent) else { return };
        if association.conversation.line() != Some(line) {
            return;
        }
        association.conversation.hang_up();
        self.channel.holders.release(agent, line, Instant::now());
        self.channel.metrics.udp_sessions.dec();
        self.channel.metrics.closed(ending.label());
        tracing::debug!(agent_id = %agent, cause = ending.label(), "session of an agent over UDP ended");
        self.channel.desk.tell(Input::Disconnected { agent, line, unwritten: Vec::new() }).await;
    }

    /// Forgets an agent whose key is another one now.
    async fn forget(&mut self, agent: AgentId) {
        if let Some(line) = self.associations.get(&agent).and_then(|with| with.conversation.line()) {
            self.close(agent, line, Ending::SessionOver).await;
        }
    }

    fn sweep(&mut self) {
        let (now, after) = (Instant::now(), self.channel.config.sessions.disconnection_time);
        self.associations.retain(|_, association| !association.is_idle(now, after));
    }
}
