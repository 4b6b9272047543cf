//! From a request line to a registered agent.

use std::net::IpAddr;
use std::time::Duration;

use muster_control::{
    AgentId, AgentName, AgentSet, Change, ChangeId, ClientKey, EnrollAgent, Enrolled, GroupName, Label, Millis,
    Outcome, Refusal, RegisteredAddress, RemoveAgents, Status,
};
use muster_raft::{NotApplied, ProposeError, Replica};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::codec::enrollment::{Answer, EnrollmentRequest, Rejection, Rules};
use crate::codec::{ClientKeyLine, wire_address};
use crate::config::GatewayConfig;

/// For so long a registration nobody learned of is tried to be undone; the cluster remembers change ids for two minutes.
const UNDO_FOR: Duration = Duration::from_secs(40);

/// Pause between attempts to undo.
const UNDO_PAUSE: Duration = Duration::from_millis(200);

/// Registers agents.
pub(crate) struct Registrar {
    config: GatewayConfig,
    replica: Replica,
    tasks: TaskTracker,
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

impl Registrar {
    /// Registers through `replica`; what has to be undone runs among `tasks`.
    pub(crate) fn new(config: GatewayConfig, replica: Replica, tasks: TaskTracker) -> Self {
        Self { config, replica, tasks }
    }

    /// Registers the agent that a request line asks for, or tells why not, within about a second.
    pub(crate) async fn register(&self, line: &[u8], peer: IpAddr) -> Verdict {
        let rules = Rules {
            password: self.config.enrollment.password.as_deref(),
            manager_version: self.config.manager_version,
            manager_name: &self.config.host_name,
            use_source_ip: self.config.enrollment.use_source_ip,
            allow_higher_versions: self.config.allow_higher_versions,
        };
        match EnrollmentRequest::parse(line, peer, &rules) {
            Ok(request) => self.commit(request, peer).await,
            Err(rejection) => Verdict::Rejected(rejection),
        }
    }

    async fn commit(&self, request: EnrollmentRequest, peer: IpAddr) -> Verdict {
        let internal = |request: &EnrollmentRequest| Rejection::Internal(request.name.as_str().to_owned());
        let Ok(address) = request.address.to_string().parse::<RegisteredAddress>() else {
            return Verdict::Rejected(internal(&request));
        };
        let key = new_key();
        let change = Change::EnrollAgent(EnrollAgent {
            name: request.name.clone(),
            key: key.clone(),
            address,
            groups: request.groups.clone().unwrap_or_default(),
            registered_from: Some(Label::truncated(&wire_address(peer))),
            force: self.config.enrollment.force.clone(),
            key_hash: request.key_hash.as_deref().map(Label::truncated),
            asked_at: Some(self.replica.view().index),
        });
        let id = ChangeId::new(rand::random());
        let deadline = Instant::now() + self.config.enrollment.commit_within;
        match self.replica.propose_as(id, change, deadline).await.map(|proposed| proposed.outcome) {
            Ok(Outcome::Enrolled(Enrolled { agent, .. })) => {
                let (name, address) = (request.name, request.address);
                Verdict::Enrolled { agent, identity: ClientKeyLine { id: agent.to_string(), name, address, key } }
            }
            Ok(Outcome::Refused(refusal)) => Verdict::Rejected(self.rejection(refusal, &request)),
            Ok(outcome) => {
                tracing::error!(?outcome, "an enrollment has an outcome of another kind");
                Verdict::Rejected(internal(&request))
            }
            Err(ProposeError::NotApplied(NotApplied::NoLeader | NotApplied::Stopping)) => {
                Verdict::Rejected(Rejection::NoLeader)
            }
            Err(ProposeError::NotApplied(_)) => Verdict::Rejected(internal(&request)),
            Err(ProposeError::OutcomeUnknown) => {
                self.undo_unknown(id, request.name, key);
                Verdict::Rejected(Rejection::NoLeader)
            }
            Err(ProposeError::Stopped) => Verdict::Rejected(Rejection::NoLeader),
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
        let control = self.replica.view().control;
        let groups = request.groups.as_deref().unwrap_or_default();
        let unknown = groups.iter().find(|group| control.group(group).is_none()).or(groups.first());
        unknown.map(GroupName::to_string).unwrap_or_default()
    }

    /// Removes an agent that never learned its key.
    pub(crate) fn undo(&self, agent: AgentId) {
        self.tasks.spawn(undo(self.replica.clone(), agent));
    }

    /// Makes sure that an agent that was told "no" is not registered, now or later.
    ///
    /// The proposal may still be on its way. Proposed again it could register the agent anew, in place of what the agent
    /// registered meanwhile by asking again. So its id is used up by a change that does nothing: either that comes
    /// first, and the proposal will be refused; or the proposal was first, and its agent is known by its key.
    fn undo_unknown(&self, id: ChangeId, name: AgentName, key: ClientKey) {
        let replica = self.replica.clone();
        self.tasks.spawn(async move {
            let nobody = AgentSet::Only(Vec::new());
            let nothing = RemoveAgents { agents: nobody, statuses: None, older_than: Millis::new(0) };
            let outcome = insist(&replica, id, Change::RemoveAgents(nothing)).await;
            if outcome != Some(Outcome::Refused(Refusal::ChangeIdReused)) {
                return;
            }
            let Ok(view) = replica.read().await else {
                tracing::warn!(%name, "an agent that did not learn its key stays registered");
                return;
            };
            if let Some(agent) = view.control.agents().named(&name).filter(|agent| agent.key == key) {
                undo(replica, agent.id).await;
            }
        });
    }
}

/// Removes an agent unless it has connected: then it knows its key after all.
async fn undo(replica: Replica, agent: AgentId) {
    let change = Change::RemoveAgents(RemoveAgents {
        agents: AgentSet::Only(vec![agent]),
        statuses: Some(vec![Status::NeverConnected]),
        older_than: Millis::new(0),
    });
    if insist(&replica, ChangeId::new(rand::random()), change).await.is_none() {
        tracing::warn!(agent_id = %agent, "an agent that did not learn its key stays registered");
    }
}

/// Proposes until there is an outcome, for a while.
async fn insist(replica: &Replica, id: ChangeId, change: Change) -> Option<Outcome> {
    let end = Instant::now() + UNDO_FOR;
    while Instant::now() < end {
        match replica.propose_as(id, change.clone(), end).await {
            Ok(proposed) => return Some(proposed.outcome),
            Err(ProposeError::Stopped | ProposeError::NotApplied(NotApplied::Stopping)) => return None,
            Err(_) => sleep(UNDO_PAUSE).await,
        }
    }
    None
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
