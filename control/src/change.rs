//! What a node may propose to the log.
//!
//! Stored in CBOR with numbered fields and variants, for ever: a number is never reused, a new field is an
//! `Option` or has a default, and an unknown variant does not decode, which stops the node.

use minicbor::{Decode, Encode};

use crate::author::Authored;
use crate::command::CommandKind;
use crate::ids::{AgentId, CommandId, Epoch, Generation, LogIndex, NodeId};
use crate::import::ImportAgents;
use crate::report::Report;
use crate::selector::{AgentSet, Selector};
use crate::stamp::{Millis, Stamp};
use crate::text::{AgentName, ClientKey, GroupName, Label, NodeName, RegisteredAddress, UserName};
use crate::user::SigningKey;
use crate::{
    agent::{Status, StatusCode},
    outcome::Outcome,
};

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Change {
    /// Lets the clock pass a moment at which something is due.
    #[n(0)]
    Tick,
    /// Gives a new cluster its users and its signing key.
    #[n(1)]
    FoundCluster(#[n(0)] FoundCluster),
    /// Registers an incarnation of a node, or renews the lease of its sessions.
    #[n(2)]
    RenewLease(#[n(0)] RenewLease),
    /// Gives the lease back: a node stops in good order.
    #[n(3)]
    ReleaseLease(#[n(0)] ReleaseLease),
    /// Registers an agent.
    #[n(4)]
    EnrollAgent(#[n(0)] EnrollAgent),
    /// Removes agents.
    #[n(5)]
    RemoveAgents(#[n(0)] RemoveAgents),
    /// Opens sessions of agents that connected to one node at the same moment.
    #[n(6)]
    OpenSessions(#[n(0)] OpenSessions),
    /// Ends sessions of one node.
    #[n(7)]
    CloseSessions(#[n(0)] CloseSessions),
    /// Tells what one node heard of its agents in one interval.
    #[n(8)]
    Seen(#[n(0)] Seen),
    /// Creates a group.
    #[n(9)]
    CreateGroup(#[n(0)] GroupName),
    /// Removes groups.
    #[n(10)]
    RemoveGroups(#[n(0)] RemoveGroups),
    /// Adds agents to a group.
    #[n(11)]
    AssignGroup(#[n(0)] AssignGroup),
    /// Takes agents out of a group.
    #[n(12)]
    UnassignGroup(#[n(0)] UnassignGroup),
    /// Takes one agent out of several groups.
    #[n(13)]
    LeaveGroups(#[n(0)] LeaveGroups),
    /// Orders agents to do something.
    #[n(14)]
    IssueCommand(#[n(0)] IssueCommand),
    /// Asks for the right to write deliveries to agents, once each.
    #[n(15)]
    MarkSent(#[n(0)] MarkSent),
    /// Tells what agents gave as evidence.
    #[n(16)]
    Receipts(#[n(0)] Receipts),
    /// Makes the tokens of a user invalid that were issued so far.
    #[n(17)]
    RevokeTokens(#[n(0)] UserName),
    /// Does what a user of the API asks for, if the user still may.
    #[n(18)]
    Authored(#[n(0)] Authored),
    /// Registers agents that asked one node at the same moment.
    #[n(19)]
    EnrollAgents(#[n(0)] EnrollAgents),
    /// Takes over agents of another manager, under the ids and keys they have.
    #[n(20)]
    ImportAgents(#[n(0)] ImportAgents),
}

impl Change {
    /// The bytes that enter the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Reads what [`Change::to_bytes`] of this or an earlier version wrote.
    ///
    /// # Errors
    /// When the bytes are damaged, or of a change this version does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }

    /// A constant word for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::FoundCluster(_) => "found_cluster",
            Self::RenewLease(_) => "renew_lease",
            Self::ReleaseLease(_) => "release_lease",
            Self::EnrollAgent(_) => "enroll_agent",
            Self::RemoveAgents(_) => "remove_agents",
            Self::OpenSessions(_) => "open_sessions",
            Self::CloseSessions(_) => "close_sessions",
            Self::Seen(_) => "seen",
            Self::CreateGroup(_) => "create_group",
            Self::RemoveGroups(_) => "remove_groups",
            Self::AssignGroup(_) => "assign_group",
            Self::UnassignGroup(_) => "unassign_group",
            Self::LeaveGroups(_) => "leave_groups",
            Self::IssueCommand(_) => "issue_command",
            Self::MarkSent(_) => "mark_sent",
            Self::Receipts(_) => "receipts",
            Self::RevokeTokens(_) => "revoke_tokens",
            Self::Authored(_) => "authored",
            Self::EnrollAgents(_) => "enroll_agents",
            Self::ImportAgents(_) => "import_agents",
        }
    }
}

impl Outcome {
    /// The bytes in which an outcome travels between nodes and rests in snapshots.
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Reads what [`Outcome::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged, or of an outcome this version does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}

/// See [`Change::FoundCluster`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FoundCluster {
    /// The first users, in the order of their ids.
    #[n(0)]
    pub users: Vec<NewUser>,
    /// What tokens are signed with.
    #[n(1)]
    pub signing_key: SigningKey,
}

/// A user to create.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewUser {
    /// What it logs in with.
    #[n(0)]
    pub name: UserName,
    /// Hash of its password in PHC string form.
    #[n(1)]
    pub password_hash: Label,
}

/// See [`Change::RenewLease`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RenewLease {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its name.
    #[n(1)]
    pub name: NodeName,
    /// Its incarnation; with a new one, the sessions of the one before end.
    #[n(2)]
    pub generation: Generation,
    /// How long the lease holds from now.
    #[n(3)]
    pub lease: Millis,
    /// Address at which clients and agents reach it.
    #[n(4)]
    pub address: Label,
    /// Version of its software, `X.Y.Z`.
    #[n(5)]
    pub version: Label,
}

/// See [`Change::ReleaseLease`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReleaseLease {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Its incarnation.
    #[n(1)]
    pub generation: Generation,
}

/// See [`Change::EnrollAgent`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnrollAgent {
    /// Its name.
    #[n(0)]
    pub name: AgentName,
    /// The secret the proposer made for it.
    #[n(1)]
    pub key: ClientKey,
    /// Where it may come from.
    #[n(2)]
    pub address: RegisteredAddress,
    /// Its groups in order of priority; all must exist.
    #[n(3)]
    pub groups: Vec<GroupName>,
    /// The address that asks; `None` for an operator.
    #[n(4)]
    pub registered_from: Option<Label>,
    /// When an agent of the same name or address gives way.
    #[n(5)]
    pub force: Force,
    /// Hash of the key that the asking agent holds, if it told: lower-case hex SHA-1 of id, name and key.
    #[n(6)]
    pub key_hash: Option<Label>,
    /// What the node knew to be applied when it was asked. An agent that changed since then does not give way, however
    /// late this change enters the log. `None` is after everything.
    #[n(7)]
    pub asked_at: Option<LogIndex>,
}

/// See [`Change::EnrollAgents`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnrollAgents {
    /// The agents; the outcome answers in this order.
    #[n(0)]
    pub enrollments: Vec<EnrollAgent>,
}

/// When a registered agent gives way to a new one of the same name or address.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Force {
    /// Whether it ever does.
    #[n(0)]
    pub enabled: bool,
    /// It has to be disconnected for so long, or never connected; `None` disables this test.
    #[n(1)]
    pub disconnected_for: Option<Millis>,
    /// It has to be registered for so long; zero disables this test.
    #[n(2)]
    pub registered_for: Millis,
    /// A key hash that comes with the request has to differ from that of its key.
    #[n(3)]
    pub key_mismatch: bool,
}

impl Force {
    /// Never gives way.
    pub const fn never() -> Self {
        Self { enabled: false, disconnected_for: None, registered_for: Millis::new(0), key_mismatch: false }
    }

    /// The reference's defaults for enrollment: an hour for both spans, and the hash must differ.
    pub const fn enrollment_default() -> Self {
        let hour = Millis::from_secs(3600);
        Self { enabled: true, disconnected_for: Some(hour), registered_for: hour, key_mismatch: true }
    }
}

/// See [`Change::RemoveAgents`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RemoveAgents {
    /// Which agents.
    #[n(0)]
    pub agents: AgentSet,
    /// Only in one of these states, as of when it is applied; `None`: in any.
    #[n(1)]
    pub statuses: Option<Vec<Status>>,
    /// Only if the last keepalive (the registration, if it never connected) is at least so old.
    #[n(2)]
    pub older_than: Millis,
}

/// See [`Change::OpenSessions`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpenSessions {
    /// The node they connected to.
    #[n(0)]
    pub node: NodeId,
    /// Its incarnation.
    #[n(1)]
    pub generation: Generation,
    /// The sessions; the outcome answers in this order.
    #[n(2)]
    pub sessions: Vec<OpenSession>,
}

/// One session to open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpenSession {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Address and port it came from.
    #[n(1)]
    pub peer: Label,
    /// `Wazuh vX.Y.Z`, if the startup told it.
    #[n(2)]
    pub version: Option<Label>,
    /// Whether a valid message arrived on the connection after its ack already.
    #[n(3)]
    pub spoke: bool,
    /// Not a startup: the connection had a session with this epoch that ended with the node's lease. Refused if
    /// the agent had another session since.
    #[n(4)]
    pub resume: Option<Epoch>,
    /// What the node had applied when the startup came. Only what was sent before that can have caused it, however
    /// late this change enters the log. `None` is before everything.
    #[n(5)]
    pub startup_at: Option<LogIndex>,
}

/// See [`Change::CloseSessions`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CloseSessions {
    /// The sessions.
    #[n(0)]
    pub closes: Vec<CloseSession>,
}

/// One session to end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CloseSession {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session.
    #[n(1)]
    pub epoch: Epoch,
    /// Why.
    #[n(2)]
    pub cause: CloseCause,
}

/// Why an owner ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum CloseCause {
    /// The agent announced its shutdown.
    #[n(0)]
    Shutdown,
    /// Nothing was heard of it for the disconnection time.
    #[n(1)]
    Silent,
}

/// See [`Change::Seen`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// One for each agent that was heard of.
    #[n(0)]
    pub sightings: Vec<Sighting>,
    /// Startups that were refused; `None` in entries of versions that did not tell.
    #[n(1)]
    pub refused: Option<Vec<RefusedStartup>>,
}

/// A startup that was refused. It opened no session, so it stands under no epoch and says nothing against one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefusedStartup {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// [`StatusCode::TooNew`] or [`StatusCode::NoVersion`].
    #[n(1)]
    pub code: StatusCode,
}

/// What was heard of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Sighting {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session it was heard in.
    #[n(1)]
    pub epoch: Epoch,
    /// When its last keepalive came; `None` if only other messages did.
    #[n(2)]
    pub keepalive_at: Option<Stamp>,
    /// What it told about itself, if that differs from what it told before in this session.
    #[n(3)]
    pub report: Option<Report>,
}

/// See [`Change::RemoveGroups`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RemoveGroups {
    /// These groups; `None`: all but the default group.
    #[n(0)]
    pub groups: Option<Vec<GroupName>>,
}

/// See [`Change::AssignGroup`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AssignGroup {
    /// Which agents.
    #[n(0)]
    pub agents: AgentSet,
    /// The group.
    #[n(1)]
    pub group: GroupName,
    /// Whether it replaces all groups they are in.
    #[n(2)]
    pub replace: bool,
}

/// See [`Change::UnassignGroup`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct UnassignGroup {
    /// Which agents.
    #[n(0)]
    pub agents: AgentSet,
    /// The group.
    #[n(1)]
    pub group: GroupName,
}

/// See [`Change::LeaveGroups`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaveGroups {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// These groups; `None`: all it is in.
    #[n(1)]
    pub groups: Option<Vec<GroupName>>,
}

/// See [`Change::IssueCommand`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IssueCommand {
    /// What is to be done.
    #[n(0)]
    pub kind: CommandKind,
    /// To which agents.
    #[n(1)]
    pub selector: Selector,
    /// Who asks for it; `None` if the cluster itself does.
    #[n(2)]
    pub issuer: Option<UserName>,
    /// What is not sent within this span is not sent any more.
    #[n(3)]
    pub send_within: Millis,
}

/// See [`Change::MarkSent`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MarkSent {
    /// One for each delivery that is about to be written.
    #[n(0)]
    pub sends: Vec<Send>,
}

/// One delivery about to be written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Send {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session it will be written in.
    #[n(1)]
    pub epoch: Epoch,
    /// The command.
    #[n(2)]
    pub command: CommandId,
}

/// See [`Change::Receipts`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipts {
    /// What came, in the order it came.
    #[n(0)]
    pub receipts: Vec<Receipt>,
}

/// Evidence for a step of the delivery that is under way for one agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Epoch of the session the evidence came in; for [`Evidence::Unwritten`] of that it was to be sent in.
    #[n(1)]
    pub epoch: Epoch,
    /// The command it is about, where the evidence itself names one.
    #[n(2)]
    pub command: Option<CommandId>,
    /// What came.
    #[n(3)]
    pub evidence: Evidence,
}

/// What an agent, or its owner, gave to know. A shutdown and a startup travel as changes of their own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Evidence {
    /// The agent answered `ok`: it took the command, which proves nothing.
    #[n(0)]
    Answered,
    /// The agent answered `err` and this text: it did nothing.
    #[n(1)]
    Refused(#[n(0)] Label),
    /// A new process of the agent said "Agent started".
    #[n(2)]
    Started,
    /// The agent told its state when asked.
    #[n(3)]
    State(#[n(0)] ProcessState),
    /// The owner got nothing of it onto the connection.
    #[n(4)]
    Unwritten,
}

/// What `agent getstate` tells of the agent's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProcessState {
    /// Whether this process has sent a keepalive.
    #[n(0)]
    pub has_sent_keepalive: bool,
}
