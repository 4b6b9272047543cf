//! The agent at the other end.

use std::net::IpAddr;
use std::sync::Arc;

use muster_control::{Agent, AgentId};
use tokio::time::timeout;

use super::Channel;
use super::ending::Ending;
use super::identify::identify;
use crate::codec::envelope::Sealed;
use crate::codec::{AddressPattern, EventSource, Method, Numbering, SecureChannel};

/// Who speaks, and with which key. One connection is one agent's.
pub(crate) struct Caller {
    pub(super) agent: AgentId,
    /// What its events are marked with.
    pub(super) source: EventSource,
    /// The id in front of its messages, if there is one.
    id: Option<String>,
    pub(super) keys: SecureChannel,
    /// How its latest message was encrypted: it is answered the same way.
    pub(super) method: Method,
    /// Hash of its latest keepalive, so that only one that differs is read and told on.
    pub(super) keepalive: Option<u64>,
}

impl Caller {
    /// An agent that names itself so, or not at all.
    pub(super) fn new(agent: &Agent, named: Option<&str>, method: Method) -> Self {
        let id = agent.id.to_string();
        let address = agent.address.as_str().parse().unwrap_or(AddressPattern::Any);
        Self {
            agent: agent.id,
            source: EventSource::new(&id, agent.name.as_str(), &address.without_mask()),
            keys: SecureChannel::for_key(&id, agent.name.as_str(), agent.key.as_str()),
            id: named.map(str::to_owned),
            method,
            keepalive: None,
        }
    }

    /// Whether a message claims to be from the same agent.
    pub(super) fn is_named(&self, sealed: &Sealed<'_>) -> bool {
        self.id.as_deref() == sealed.id
    }

    /// A frame for the agent, in the cipher that it speaks.
    pub(super) fn seal_frame(&self, numbering: Numbering, payload: &[u8]) -> Vec<u8> {
        self.keys.seal_frame(self.method, numbering, payload).expect(SHORT)
    }

    /// A datagram for the agent.
    pub(super) fn seal(&self, method: Method, numbering: Numbering, payload: &[u8]) -> Vec<u8> {
        self.keys.seal(method, numbering, payload).expect(SHORT)
    }
}

const SHORT: &str = "what this node sends is far below the limit of a message";

/// Looks up who sent a message, first in what this node knows, then in what the cluster knows.
///
/// # Errors
/// Nobody, nobody who may come from `peer`, or nobody can tell.
pub(super) async fn find(channel: &Channel, id: Option<&str>, peer: IpAddr) -> Result<Arc<Agent>, Ending> {
    match identify(&channel.replica.view().control, id, peer) {
        // It may have been enrolled on another node a moment ago.
        Err(Ending::UnknownAgent) => {
            let fresh = timeout(channel.config.channel.identify_within, channel.freshness.view()).await;
            let Ok(Ok(view)) = fresh else { return Err(Ending::CannotTell) };
            identify(&view.control, id, peer).cloned()
        }
        found => found.cloned(),
    }
}
