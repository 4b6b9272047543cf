//! One session of an agent: what it hears, what it says, and how it ends.

use std::io;
use std::sync::PoisonError;

use muster_gateway::codec::{Event, FromAgent, RequestNumber, ToAgent};
use tokio::time::{Instant, sleep_until};

use super::answers;
use super::connection::{Connection, Received};
use super::life::{Exit, Life, Orders};
use super::order::Order;
use super::process::{Process, keepalive_body};
use super::quirks::{Quirks, Reaction};
use super::stats::Count;

/// How a session came to its end.
pub(super) enum End {
    /// Connect again at once, to the server that is current now.
    Reconnect,
    /// The process ends with it.
    Exit(Exit),
}

impl Life {
    /// One session, from behind its ack to its end. An error is the manager's doing.
    pub(super) async fn serve(
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
