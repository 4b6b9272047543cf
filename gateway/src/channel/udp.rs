//! The secure channel on UDP: one socket, no connections. What a datagram claims is looked up where it is read, what it
//! shows is seen by a worker, which is the same for all datagrams of one agent.

mod association;
mod dropped;
mod replay;
mod sink;
mod socket;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use muster_control::Agent;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::dropped::Dropped;
use self::worker::{Arrival, Worker};
use super::Channel;
use super::caller::find;
use super::ending::Ending;
use super::identify::identify;
use crate::codec::envelope::{Envelope, PONG};
use crate::codec::frame::MAX_FRAME;

pub(crate) use self::socket::bind;

/// Datagrams that may wait for one worker; their bytes are bounded together.
const ARRIVAL_BACKLOG: usize = 4_096;

/// Datagrams of ids that this node does not know, waiting until the cluster was asked.
const UNKNOWN_AT_ONCE: usize = 1_024;

/// What an agent says first is a startup. Longer datagrams of unknown ids wait for nobody.
const STARTUP_BYTES: usize = 1_024;

/// Pause after a failed read.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads datagrams and hands them to workers.
struct Reader {
    channel: Arc<Channel>,
    socket: Arc<UdpSocket>,
    workers: Vec<Sender<Arrival>>,
    /// Bytes that may wait for workers.
    room: Arc<Semaphore>,
    unknown: Arc<Semaphore>,
}

impl Channel {
    /// Serves datagrams until `stop`; sessions that are open then stay until the channel is closed.
    pub(crate) async fn listen_for_datagrams(self: Arc<Self>, socket: UdpSocket, stop: CancellationToken) {
        let socket = Arc::new(socket);
        let workers = (0..available_parallelism().map_or(1, usize::from)).map(|_| {
            let (sender, arrivals) = mpsc::channel(ARRIVAL_BACKLOG);
            Worker::spawn(&self, socket.clone(), arrivals);
            sender
        });
        let reader = Arc::new(Reader {
            workers: workers.collect(),
            room: Arc::new(Semaphore::new(self.config.channel.udp_backlog.min(Semaphore::MAX_PERMITS))),
            unknown: Arc::new(Semaphore::new(UNKNOWN_AT_ONCE)),
            channel: self,
            socket,
        });
        tokio::select! {
            () = stop.cancelled() => {}
            () = reader.read() => {}
        }
    }
}

impl Reader {
    async fn read(self: &Arc<Self>) {
        let mut buffer = vec![0; MAX_FRAME];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, from)) => {
                    if let Err(cause) = self.take(&buffer[..length], from) {
                        self.channel.metrics.datagram_dropped(cause.label());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "reading datagrams failed");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, bytes: &[u8], from: SocketAddr) -> Result<(), Dropped> {
        let Envelope::Sealed(sealed) = Envelope::parse(bytes)? else {
            _ = self.socket.try_send_to(PONG, from); // a probe that gets no answer is sent again
            return Ok(());
        };
        match identify(&self.channel.replica.view().control, sealed.id, peer(from)) {
            Ok(agent) => self.dispatch(agent.clone(), bytes, from),
            Err(Ending::UnknownAgent) => self.ask(sealed.id, bytes, from),
            Err(ending) => Err(ending.into()),
        }
    }

    fn dispatch(&self, agent: Arc<Agent>, bytes: &[u8], from: SocketAddr) -> Result<(), Dropped> {
        let length = u32::try_from(bytes.len()).map_err(|_| Dropped::Busy)?;
        let room = self.room.clone().try_acquire_many_owned(length).map_err(|_| Dropped::Busy)?;
        let worker = &self.workers[agent.id.get() as usize % self.workers.len()];
        let arrival = Arrival { agent, from, bytes: bytes.to_vec(), room };
        worker.try_send(arrival).map_err(|_| Dropped::Busy)
    }

    /// It may have been enrolled on another node a moment ago.
    fn ask(self: &Arc<Self>, id: Option<&str>, bytes: &[u8], from: SocketAddr) -> Result<(), Dropped> {
        if bytes.len() > STARTUP_BYTES {
            return Err(Ending::UnknownAgent.into());
        }
        let place = self.unknown.clone().try_acquire_owned().map_err(|_| Dropped::Busy)?;
        let (reader, id, bytes) = (self.clone(), id.map(str::to_owned), bytes.to_vec());
        self.channel.tasks.spawn(async move {
            let found = tokio::select! {
                () = reader.channel.hang_up.cancelled() => Err(Ending::Stopping),
                found = find(&reader.channel, id.as_deref(), peer(from)) => found,
            };
            if let Err(cause) = found.map_err(Dropped::from).and_then(|agent| reader.dispatch(agent, &bytes, from)) {
                reader.channel.metrics.datagram_dropped(cause.label());
            }
            drop(place);
        });
        Ok(())
    }
}

/// The address that registrations are compared with.
fn peer(from: SocketAddr) -> IpAddr {
    from.ip().to_canonical()
}
