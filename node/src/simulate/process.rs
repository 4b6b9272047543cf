//! What an agent's process knows of itself, and forgets when it ends.

use std::net::IpAddr;
use std::time::Duration;

use muster_gateway::codec::{AgentState, KeepaliveText, wire_address};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::time::Instant;

const LOCAL_TIME: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// One process of an agent: from its start to a restart, over any number of connections.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// Whether a restart began it, which is done once the process is acked.
    pub(super) by_restart: bool,
    /// Whether it was acked before: the first ack is followed by "Agent started".
    pub(super) announced: bool,
    /// When its next keepalive is due; set by its first ack. The period belongs to the process, not to the connection.
    pub(super) keepalive_due: Option<Instant>,
    messages_sent: u64,
    last_keepalive: String,
    last_ack: String,
}

impl Process {
    /// A process that a restart begins.
    pub(super) fn restarted() -> Self {
        Self { by_restart: true, ..Self::default() }
    }

    pub(super) fn sent_message(&mut self) {
        self.messages_sent += 1;
    }

    pub(super) fn sent_keepalive(&mut self, period: Duration) {
        self.sent_message();
        self.last_keepalive = now();
        self.keepalive_due = Some(Instant::now() + period);
    }

    pub(super) fn acked(&mut self) {
        self.last_ack = now();
    }

    /// The answer to `agent getstate`.
    pub(super) fn state(&self) -> AgentState {
        AgentState {
            status: "connected".to_owned(),
            last_keepalive: self.last_keepalive.clone(),
            last_ack: self.last_ack.clone(),
            msg_sent: self.messages_sent,
            buffer_enabled: true,
            ..AgentState::default()
        }
    }
}

/// The body of a keepalive of a Linux host of this name.
pub(super) fn keepalive_body(name: &str, version: Option<&str>, address: Option<IpAddr>) -> Vec<u8> {
    let address = address.map(wire_address);
    let text = KeepaliveText {
        uname: format!(
            "Linux |{name} |6.1.0-18-amd64 |#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 |x86_64 [Debian GNU/Linux|debian: 12 \
             (bookworm)]"
        )
        .into(),
        version,
        config_sum: None,
        labels: &[],
        merged_sum: None,
        agent_ip: address.as_deref(),
    };
    text.to_body()
}

fn now() -> String {
    OffsetDateTime::now_utc().format(LOCAL_TIME).expect("the format names fields that every time has")
}
