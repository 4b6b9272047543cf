//! The life of one agent: processes one after the other, each with one connection after the other.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use muster_gateway::codec::{ClientKeyLine, Event, FromAgent, RequestNumber, Startup, ToAgent};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::answers;
use super::config::AgentConfig;
use super::connection::{Connection, Received, Voice};
use super::order::Order;
use super::process::{Process, keepalive_body};
use super::quirks::{Quirks, Reaction};
use super::stats::{AgentStats, Count};

type Orders = UnboundedReceiver<Order>;

/// How a process came to its end.
enum Exit {
    /// It restarts: another follows after the gap.
    Restart,
    /// For good.
    Final,
}

/// How a session came to its end.
enum End {
    /// Connect again at once, to the server that is current now.
    Reconnect,
    /// The process ends with it.
    Exit(Exit),
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
    config: Arc<AgentConfig>,
    identity: Arc<ClientKeyLine>,
    first_server: usize,
    server: usize,
    stats: Arc<AgentStats>,
    quirks: Arc<Mutex<Quirks>>,
    voice: Voice,
    /// Restarts received and not begun. Each is carried out, one after the other, as by the control script's lock.
    restarts_waiting: u32,
    /// When the next of them may begin.
    restart_due: Instant,
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

    /// One session, from behind its ack to its end. An error is the manager's doing.
    async fn serve(
        &mut self,
        connection: &mut Connection,
        process: &mut Process,
        orders: &mut Orders,
    ) -> io::Result<End> {
        if !process.announced {
            self.announce(connection, process).await?;
        }
        let silence = self.config.pace.longest_silence();
        let mut give_up = Instant::now() + silence;
        loop {
            let keepalive_due = process.keepalive_due.unwrap_or(give_up);
            let restart_due = if self.restarts_waiting > 0 { self.restart_due } else { give_up };
            let next = give_up.min(keepalive_due).min(restart_due);
            tokio::select! {
                received = connection.receive(&self.voice) => {
                    let Received::Message(payload) = received? else {
                        self.stats.add(Count::Undecryptable);
                        continue;
                    };
                    let message = ToAgent::decode(&payload);
                    if !matches!(message, ToAgent::Content(_)) {
                        give_up = Instant::now() + silence;
                    }
                    if let Some(end) = self.obey(message, connection, process).await? {
                        return Ok(end);
                    }
                }
                order = orders.recv() => {
                    if let Some(end) = self.obey_order(order, connection, process).await? {
                        return Ok(end);
                    }
                }
                () = sleep_until(next) => {
                    let now = Instant::now();
                    if self.restarts_waiting > 0 && now >= self.restart_due {
                        self.restarts_waiting -= 1;
                        self.shut_down(connection).await;
                        return Ok(End::Exit(Exit::Restart));
                    }
                    if process.keepalive_due.is_some_and(|due| now >= due) {
                        self.keep_alive(connection, process).await?;
                    }
                    if now >= give_up {
                        self.stats.add(Count::Silences);
                        return Ok(End::Reconnect);
                    }
                }
            }
        }
    }

    /// Right behind the first ack of a process: "Agent started", sent once and by no later connection.
    async fn announce(&mut self, connection: &mut Connection, process: &mut Process) -> io::Result<()> {
        let pace = self.config.pace;
        process.announced = true;
        process.keepalive_due = Some(Instant::now() + pace.notify);
        self.restart_due = Instant::now() + pace.settle;
        let lost = self.with_quirks(|quirks| take_one(&mut quirks.lose_started));
        if process.by_restart {
            self.stats.add(Count::RestartsDone);
        }
        // Sent from the agent's point of view, in both cases.
        process.sent_message();
        if lost {
            self.voice.skip_number();
            self.stats.add(Count::LostStartedEvents);
            return Ok(());
        }
        self.stats.add(Count::StartedEvents);
        let payload = Event::started_payload(self.identity.name.as_str(), &self.identity.address.without_mask());
        connection.send(&self.voice, &FromAgent::decode(&payload)).await
    }

    async fn keep_alive(&self, connection: &mut Connection, process: &mut Process) -> io::Result<()> {
        process.sent_keepalive(self.config.pace.notify);
        self.stats.add(Count::Keepalives);
        let address = connection.local_address().ok().map(|address| address.ip());
        let body = keepalive_body(self.identity.name.as_str(), self.config.version.as_deref(), address);
        connection.send(&self.voice, &FromAgent::Keepalive(&body)).await
    }

    /// Says that the process ends. Whether it arrives does not matter to a process that ends.
    async fn shut_down(&self, connection: &mut Connection) {
        if self.with_quirks(|quirks| quirks.omit_shutdown) {
            return;
        }
        self.stats.add(Count::Shutdowns);
        if let Err(error) = connection.send(&self.voice, &FromAgent::Shutdown).await {
            tracing::debug!(agent_id = %self.identity.id, %error, "shutdown message not sent");
        }
    }

    /// Does what the manager says.
    async fn obey(
        &mut self,
        message: ToAgent<'_>,
        connection: &mut Connection,
        process: &mut Process,
    ) -> io::Result<Option<End>> {
        match message {
            ToAgent::Ack => {
                self.stats.add(Count::Acks);
                process.acked();
            }
            ToAgent::ForceReconnect => {
                self.stats.add(Count::ReconnectsReceived);
                return Ok(Some(End::Reconnect));
            }
            ToAgent::Request { number, component, command } => {
                self.stats.add(Count::Requests);
                if answers::is_restart(component, command) {
                    return self.take_restart(number, connection, process).await;
                }
                let body = answers::answer(process, self.identity.name.as_str(), component, command);
                self.answer(number, &body, connection, process).await?;
            }
            ToAgent::Execd(command) if answers::is_execd_restart(command, self.config.has_ar_conf) => {
                self.stats.add(Count::RestartsReceived);
                self.queue_restart();
            }
            // Files, refusals, synchronisation and unknown control: logged by a real agent, of no consequence here.
            _ => {}
        }
        Ok(None)
    }

    /// A restart by request, as the agent's quirks have it.
    async fn take_restart(
        &mut self,
        number: RequestNumber<'_>,
        connection: &mut Connection,
        process: &mut Process,
    ) -> io::Result<Option<End>> {
        self.stats.restart_requested(number.as_str());
        let (refuse, reaction) = self.with_quirks(|quirks| (take_one(&mut quirks.refuse_restarts), quirks.on_restart));
        if refuse {
            self.stats.add(Count::RestartsRefused);
            self.answer(number, b"err Connection refused", connection, process).await?;
            return Ok(None);
        }
        if matches!(reaction, Reaction::Obey | Reaction::ObeySilently) {
            // Before the answer: a restart that was taken is carried out, also if the answer gets lost.
            self.queue_restart();
        }
        match reaction {
            Reaction::Obey | Reaction::AnswerOnly => self.answer(number, b"ok ", connection, process).await?,
            Reaction::Ignore | Reaction::ObeySilently => {}
            Reaction::Die => return Ok(Some(End::Exit(Exit::Final))),
        }
        Ok(None)
    }

    async fn answer(
        &self,
        number: RequestNumber<'_>,
        body: &[u8],
        connection: &mut Connection,
        process: &mut Process,
    ) -> io::Result<()> {
        process.sent_message();
        connection.send(&self.voice, &FromAgent::Answer { number, body }).await
    }

    /// Does what the holder of the agent says.
    async fn obey_order(
        &mut self,
        order: Option<Order>,
        connection: &mut Connection,
        process: &mut Process,
    ) -> io::Result<Option<End>> {
        match order {
            Some(Order::MoveTo(server)) => {
                self.move_to(server);
                return Ok(Some(End::Reconnect));
            }
            Some(Order::Event(payload)) => {
                self.stats.add(Count::Events);
                process.sent_message();
                connection.send(&self.voice, &FromAgent::Other(&payload)).await?;
            }
            Some(Order::Restart) => self.queue_restart(),
            Some(Order::Stop) | None => {
                self.shut_down(connection).await;
                return Ok(Some(End::Exit(Exit::Final)));
            }
        }
        Ok(None)
    }

    fn move_to(&mut self, server: usize) {
        self.server = server % self.config.servers.len();
        self.stats.add(Count::Moves);
    }

    /// Puts a restart behind those that wait; the first of them begins when the lock is free.
    fn queue_restart(&mut self) {
        self.restarts_waiting += 1;
        self.restart_due = self.restart_due.max(Instant::now() + self.config.pace.reaction);
    }

    fn with_quirks<T>(&self, look: impl FnOnce(&mut Quirks) -> T) -> T {
        look(&mut self.quirks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts down, and tells whether there was one to take.
fn take_one(left: &mut u32) -> bool {
    let taken = *left > 0;
    *left = left.saturating_sub(1);
    taken
}
