//! The life of one agent: processes one after the other, each with one connection after the other.

use std::sync::{Arc, Mutex};

use muster_gateway::codec::{ClientKeyLine, FromAgent, Startup, ToAgent};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::config::AgentConfig;
use super::connection::{Connection, Received, Voice};
use super::order::Order;
use super::process::Process;
use super::quirks::Quirks;
use super::session::End;
use super::stats::{AgentStats, Count};

pub(super) type Orders = UnboundedReceiver<Order>;

/// How a process came to its end.
pub(super) enum Exit {
    /// It restarts: another follows after the gap.
    Restart,
    /// For good.
    Final,
}

/// What comes between an agent and its next session.
enum Interruption {
    /// An order; `None` if nobody can give one any more.
    Order(Option<Order>),
    /// A restart taken before begins now.
    RestartDue,
}

/// Why there is no session yet.
enum Setback {
    /// The attempt failed; the connection, if there was one, is held open until the next attempt.
    Failed(Option<Connection>),
    /// Something put it off.
    Interrupted(Interruption),
}

/// Counts the end of a session, also if the agent is killed in it.
struct Session(Arc<AgentStats>);

impl Session {
    fn accepted_by(server: usize, stats: Arc<AgentStats>) -> Self {
        stats.accepted_by(server);
        Self(stats)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.add(Count::Ended);
    }
}

/// An agent at work. What outlives its processes is here; what does not is in [`Process`].
pub(super) struct Life {
    pub(super) config: Arc<AgentConfig>,
    pub(super) identity: Arc<ClientKeyLine>,
    first_server: usize,
    server: usize,
    pub(super) stats: Arc<AgentStats>,
    pub(super) quirks: Arc<Mutex<Quirks>>,
    pub(super) voice: Voice,
    /// Restarts received and not begun. Each is carried out, one after the other, as by the control script's lock.
    pub(super) restarts_waiting: u32,
    /// When the next of them may begin.
    pub(super) restart_due: Instant,
}

impl Life {
    pub(super) fn new(
        config: Arc<AgentConfig>,
        identity: Arc<ClientKeyLine>,
        first_server: usize,
        stats: Arc<AgentStats>,
        quirks: Arc<Mutex<Quirks>>,
    ) -> Self {
        let voice = Voice::new(&identity, config.method);
        let server = first_server % config.servers.len();
        Self {
            config,
            identity,
            first_server: server,
            server,
            stats,
            quirks,
            voice,
            restarts_waiting: 0,
            restart_due: Instant::now(),
        }
    }

    /// Lives until told to stop, until it dies of a quirk, or until its handle is gone.
    pub(super) async fn run(mut self, mut orders: Orders) {
        let mut process = Process::default();
        while let Exit::Restart = self.live(&mut process, &mut orders).await {
            let back = Instant::now() + self.config.pace.gap;
            if !Self::rest_until(back, &mut orders).await {
                return;
            }
            self.server = self.first_server;
            process = Process::restarted();
        }
    }

    /// Sits out the gap between two processes. There is nobody to take an order but that to stop, which ends it.
    async fn rest_until(back: Instant, orders: &mut Orders) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(back) => return true,
                order = orders.recv() => match order {
                    Some(Order::Stop) | None => return false,
                    Some(Order::MoveTo(_) | Order::Event(_) | Order::Restart) => {}
                },
            }
        }
    }

    /// One process.
    async fn live(&mut self, process: &mut Process, orders: &mut Orders) -> Exit {
        loop {
            let mut connection = match self.connect(process, orders).await {
                Ok(connection) => connection,
                Err(exit) => return exit,
            };
            let session = Session::accepted_by(self.server, self.stats.clone());
            let end = self.serve(&mut connection, process, orders).await;
            drop(session);
            match end {
                Ok(End::Reconnect) => {}
                Ok(End::Exit(exit)) => return exit,
                Err(error) => {
                    tracing::debug!(agent_id = %self.identity.id, %error, "connection lost");
                    self.stats.add(Count::ClosedByManager);
                }
            }
        }
    }

    /// Tries the current server, then the next ones, until a session begins or the process ends.
    async fn connect(&mut self, process: &mut Process, orders: &mut Orders) -> Result<Connection, Exit> {
        let mut attempts = 0;
        loop {
            let held = match self.attempt(process, orders).await {
                Ok(connection) => return Ok(connection),
                Err(Setback::Interrupted(interruption)) => {
                    self.yield_to(interruption)?;
                    attempts = 0;
                    continue;
                }
                Err(Setback::Failed(held)) => held,
            };
            attempts += 1;
            let again = Instant::now() + self.config.pace.retry;
            tokio::select! {
                () = sleep_until(again) => {}
                interruption = self.interruption(process.announced, orders) => {
                    self.yield_to(interruption)?;
                    attempts = 0;
                }
            }
            // A refused handshake leaves the connection open and unread until the next attempt.
            drop(held);
            if attempts >= self.config.pace.attempts {
                attempts = 0;
                self.server = (self.server + 1) % self.config.servers.len();
            }
        }
    }

    /// Waits for whatever takes precedence over connecting.
    ///
    /// A restart is due also without a connection, but not before the process was acked once: so each restart taken
    /// shows as one new process.
    async fn interruption(&self, announced: bool, orders: &mut Orders) -> Interruption {
        tokio::select! {
            order = orders.recv() => Interruption::Order(order),
            () = sleep_until(self.restart_due), if announced && self.restarts_waiting > 0 => Interruption::RestartDue,
        }
    }

    /// Takes what came while there is no session; an error ends the process.
    fn yield_to(&mut self, interruption: Interruption) -> Result<(), Exit> {
        match interruption {
            Interruption::Order(Some(Order::MoveTo(server))) => self.move_to(server),
            Interruption::Order(Some(Order::Restart)) => self.queue_restart(),
            Interruption::Order(Some(Order::Event(_))) => {}
            Interruption::Order(Some(Order::Stop) | None) => return Err(Exit::Final),
            Interruption::RestartDue => {
                self.restarts_waiting -= 1;
                return Err(Exit::Restart);
            }
        }
        Ok(())
    }

    /// One connection and one handshake, unless something interrupts it.
    async fn attempt(&self, process: &mut Process, orders: &mut Orders) -> Result<Connection, Setback> {
        let announced = process.announced;
        tokio::select! {
            biased;
            interruption = self.interruption(announced, orders) => Err(Setback::Interrupted(interruption)),
            result = self.shake_hands(process) => result.map_err(Setback::Failed),
        }
    }

    /// Connects, says startup, and takes nothing but an ack as the first frame.
    async fn shake_hands(&self, process: &mut Process) -> Result<Connection, Option<Connection>> {
        let pace = &self.config.pace;
        let server = &self.config.servers[self.server];
        let mut connection = match Connection::open(server, pace.handshake).await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(agent_id = %self.identity.id, server, %error, "no connection");
                self.stats.add(Count::ConnectFailures);
                return Err(None);
            }
        };
        self.stats.add(Count::Connects);
        let version = self.config.version.as_deref();
        let startup = version.map_or(Startup::Silent, |version| Startup::Version(version.into()));
        let acked = async {
            connection.send(&self.voice, &FromAgent::Startup(startup)).await?;
            connection.receive(&self.voice).await
        };
        let first = tokio::time::timeout(pace.handshake, acked).await;
        process.sent_message();
        match first {
            Ok(Ok(Received::Message(payload))) if ToAgent::decode(&payload) == ToAgent::Ack => {
                self.stats.add(Count::Acks);
                process.acked();
                Ok(connection)
            }
            _ => {
                self.stats.add(Count::HandshakeFailures);
                Err(Some(connection))
            }
        }
    }

    pub(super) fn move_to(&mut self, server: usize) {
        self.server = server % self.config.servers.len();
        self.stats.add(Count::Moves);
    }

    /// Puts a restart behind those that wait; the first of them begins when the lock is free.
    pub(super) fn queue_restart(&mut self) {
        self.restarts_waiting += 1;
        self.restart_due = self.restart_due.max(Instant::now() + self.config.pace.reaction);
    }
}
