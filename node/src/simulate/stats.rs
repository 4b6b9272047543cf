//! What agents saw and did, as counters that others read and wait on while the agents run.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// One counter of an agent, or of a fleet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count {
            $($(#[$doc])* $name,)*
        }

        impl Count {
            /// All counters, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in the summary.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

counts! {
    /// Connections that TCP established.
    Connects => "connects",
    /// Connections that TCP refused, or did not establish in time.
    ConnectFailures => "connect_failures",
    /// Connections whose first frame was not exactly an ack, or that ended before one.
    HandshakeFailures => "handshake_failures",
    /// Startups that were acked: sessions that began.
    Accepted => "accepted",
    /// Sessions that ended, for whatever reason.
    Ended => "ended",
    /// Sessions that the manager ended by closing the connection.
    ClosedByManager => "closed_by_manager",
    /// Sessions given up because no control message came for too long.
    Silences => "silences",
    /// Frames that did not open under the agent's key.
    Undecryptable => "undecryptable",
    /// Acks received, those of startups included.
    Acks => "acks",
    /// Keepalives sent.
    Keepalives => "keepalives",
    /// "Agent started" events sent: processes that began.
    StartedEvents => "started_events",
    /// "Agent started" events lost on purpose.
    LostStartedEvents => "lost_started_events",
    /// Other events sent.
    Events => "events",
    /// Requests received, restarts included.
    Requests => "requests",
    /// Restarts received, in any form, whether or not they were carried out.
    RestartsReceived => "restarts_received",
    /// Restarts answered with `err`.
    RestartsRefused => "restarts_refused",
    /// Restarts carried out: a new process was acked after them.
    RestartsDone => "restarts_done",
    /// Orders to reconnect received.
    ReconnectsReceived => "reconnects_received",
    /// Moves to another node carried out.
    Moves => "moves",
    /// Shutdown messages sent.
    Shutdowns => "shutdowns",
}

/// Counters of one agent, or of all agents of a fleet together.
///
/// Every step is counted before its effect can be seen at the manager's end of the socket or right behind it, never
/// long after: a test that waits for the manager finds the agent's count at most a moment late, and can wait for it
/// with [`AgentStats::until`].
#[derive(Debug)]
pub struct AgentStats {
    counts: [AtomicU64; Count::ALL.len()],
    server: AtomicUsize,
    restart_numbers: Mutex<Vec<String>>,
    changed: watch::Sender<()>,
    fleet: Option<Arc<AgentStats>>,
}

/// Stands for no server in [`AgentStats::server`].
const NO_SERVER: usize = usize::MAX;

impl AgentStats {
    /// Counters at zero. Whatever is counted is counted in `fleet` as well.
    pub fn new(fleet: Option<Arc<AgentStats>>) -> Arc<Self> {
        Arc::new(Self {
            counts: Default::default(),
            server: AtomicUsize::new(NO_SERVER),
            restart_numbers: Mutex::default(),
            changed: watch::Sender::new(()),
            fleet,
        })
    }

    /// The present value of a counter.
    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Acquire)
    }

    /// Sessions that are open right now: 0 or 1 for an agent.
    pub fn online(&self) -> u64 {
        // Read in this order, an end between the two reads can not make the difference negative by more than itself.
        let ended = self.get(Count::Ended);
        self.get(Count::Accepted).saturating_sub(ended)
    }

    /// Index of the server that accepted the agent's latest session; `None` before the first, and for a fleet.
    pub fn server(&self) -> Option<usize> {
        Some(self.server.load(Ordering::Acquire)).filter(|server| *server != NO_SERVER)
    }

    /// Numbers of all restart requests received, in order, those answered with `err` included.
    ///
    /// A number in it twice was sent twice.
    pub fn restart_numbers(&self) -> Vec<String> {
        self.restart_numbers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `reached` holds; looked at again after each step that is counted.
    ///
    /// # Cancel safety
    /// Safe; put it into a `timeout` to have a deadline.
    pub async fn until(&self, reached: impl Fn(&Self) -> bool) {
        let mut changes = self.changed.subscribe();
        while !reached(self) {
            changes.changed().await.expect("the sender lives in self");
        }
    }

    pub(super) fn add(&self, count: Count) {
        self.counts[count as usize].fetch_add(1, Ordering::AcqRel);
        self.changed.send_replace(());
        if let Some(fleet) = &self.fleet {
            fleet.add(count);
        }
    }

    pub(super) fn accepted_by(&self, server: usize) {
        self.server.store(server, Ordering::Release);
        self.add(Count::Accepted);
    }

    pub(super) fn restart_requested(&self, number: &str) {
        self.restart_numbers.lock().unwrap_or_else(PoisonError::into_inner).push(number.to_owned());
        self.add(Count::RestartsReceived);
    }
}
