//! From a request line to a registered agent.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_control::{
    AgentId, ClientKey, EnrollAgent, Enrolled, EnrollmentAnswer, GroupName, Label, LogIndex, Refusal, RegisteredAddress,
};
use muster_raft::Replica;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::batches::{self, Unanswered, Waiting};
use super::log::Log;
use super::undo::Undo;
use crate::codec::enrollment::{Answer, EnrollmentRequest, Rejection, Rules};
use crate::codec::{ClientKeyLine, wire_address};
use crate::config::GatewayConfig;

/// Registers agents.
pub(crate) struct Registrar<L = Replica> {
    config: GatewayConfig,
    log: L,
    waiting: mpsc::Sender<Waiting>,
    undo: Undo<L>,
    /// The highest index an answer came from; what this node has applied may be behind it.
    answered_at: AtomicU64,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The agent is registered on a quorum.
    Enrolled {
        /// Its id.
        agent: AgentId,
        /// What it is to learn.
        identity: ClientKeyLine,
    },
    /// It is not.
    Rejected(Rejection),
}

impl Verdict {
    /// The bytes to answer with.
    pub(crate) fn answer(&self) -> Vec<u8> {
        match self {
            Self::Enrolled { identity, .. } => Answer::enrolled(identity),
            Self::Rejected(rejection) => rejection.answer(),
        }
    }
}

impl<L: Log> Registrar<L> {
    /// Registers through `log`; what has to be undone runs among `tasks`.
    pub(crate) fn new(config: GatewayConfig, log: L, tasks: TaskTracker) -> Self {
        // Each connection has one request: with room for all of them none waits to be taken.
        let (waiting, receiver) = mpsc::channel(config.enrollment.max_in_flight.clamp(1, Semaphore::MAX_PERMITS));
        let undo = Undo::new(log.clone(), tasks);
        // Not among the tasks: it ends when this registrar does, whose requests are.
        tokio::spawn(batches::run(log.clone(), undo.clone(), config.enrollment.commit_within, receiver));
        Self { config, log, waiting, undo, answered_at: AtomicU64::default() }
    }

    /// Registers the agent that a request line asks for, or tells why not, within about a second.
    pub(crate) async fn register(&self, line: &[u8], peer: IpAddr) -> Verdict {
        let asked_at = self.known_index();
        let rules = Rules {
            password: self.config.enrollment.password.as_deref(),
            manager_version: self.config.manager_version,
            manager_name: &self.config.host_name,
            use_source_ip: self.config.enrollment.use_source_ip,
            allow_higher_versions: self.config.allow_higher_versions,
        };
        match EnrollmentRequest::parse(line, peer, &rules) {
            Ok(request) => self.commit(request, peer, line.len(), asked_at).await,
            Err(rejection) => Verdict::Rejected(rejection),
        }
    }

    /// Removes an agent that never learned its key.
    pub(crate) fn undo(&self, agent: AgentId) {
        self.undo.enrolled(agent);
    }

    /// Requests that wait for the batch before theirs.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.max_capacity() - self.waiting.capacity()
    }

    /// What is applied for certain, as far as this node knows.
    fn known_index(&self) -> LogIndex {
        self.log.view().index.max(LogIndex::new(self.answered_at.load(Ordering::Relaxed)))
    }

    async fn commit(&self, request: EnrollmentRequest, peer: IpAddr, bytes: usize, asked_at: LogIndex) -> Verdict {
        let internal = |request: &EnrollmentRequest| Rejection::Internal(request.name.as_str().to_owned());
        let Ok(address) = request.address.to_string().parse::<RegisteredAddress>() else {
            return Verdict::Rejected(internal(&request));
        };
        let key = new_key();
        let enroll = EnrollAgent {
            name: request.name.clone(),
            key: key.clone(),
            address,
            groups: request.groups.clone().unwrap_or_default(),
            registered_from: Some(Label::truncated(&wire_address(peer))),
            force: self.config.enrollment.force.clone(),
            key_hash: request.key_hash.as_deref().map(Label::truncated),
            asked_at: Some(asked_at),
        };
        let deadline = Instant::now() + self.config.enrollment.commit_within;
        let (answer, answered) = oneshot::channel();
        _ = self.waiting.send(Waiting { enroll, bytes, deadline, answer }).await;
        // Without an answer the runtime ends, and the agent hears nothing either way.
        match answered.await.unwrap_or(Err(Unanswered::NoLeader)) {
            Ok((index, EnrollmentAnswer::Enrolled(Enrolled { agent, .. }))) => {
                self.answered_at.fetch_max(index.get(), Ordering::Relaxed);
                let (name, address) = (request.name, request.address);
                Verdict::Enrolled { agent, identity: ClientKeyLine { id: agent.to_string(), name, address, key } }
            }
            Ok((_, EnrollmentAnswer::Refused(refusal))) => Verdict::Rejected(self.rejection(refusal, &request)),
            Err(Unanswered::NoLeader) => Verdict::Rejected(Rejection::NoLeader),
            Err(Unanswered::Internal) => Verdict::Rejected(internal(&request)),
        }
    }

    fn rejection(&self, refusal: Refusal, request: &EnrollmentRequest) -> Rejection {
        let name = || request.name.as_str().to_owned();
        match refusal {
            Refusal::DuplicateName(_) => Rejection::DuplicateName(name()),
            Refusal::DuplicateAddress(_) => Rejection::DuplicateAddress(request.address.to_string()),
            Refusal::NameOfNode => Rejection::InvalidName(name()),
            Refusal::TooManyGroups => Rejection::TooManyGroups,
            Refusal::UnknownGroup => Rejection::UnknownGroup(self.unknown_group(request)),
            _ => Rejection::Internal(name()),
        }
    }

    /// The first group that does not exist here; which one it is only serves the agent's log.
    fn unknown_group(&self, request: &EnrollmentRequest) -> String {
        let control = self.log.view().control;
        let groups = request.groups.as_deref().unwrap_or_default();
        let unknown = groups.iter().find(|group| control.group(group).is_none()).or(groups.first());
        unknown.map(GroupName::to_string).unwrap_or_default()
    }
}

/// 32 bytes of the system's randomness in hex: every agent takes such a key.
fn new_key() -> ClientKey {
    let mut bytes = [0u8; 32];
    rand::Rng::fill(&mut rand::rng(), &mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("64 hex digits are a valid key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_hex_digits_and_never_the_same() {
        let (one, other) = (new_key(), new_key());
        assert_ne!(one, other);
        assert!(one.as_str().len() == 64 && one.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
