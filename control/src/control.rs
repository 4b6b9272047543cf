//! The replicated state machine: one struct, one function that changes it.

use std::sync::Arc;

use imbl::OrdMap;

use crate::agents::Agents;
use crate::answers::{Answer, Answers};
use crate::change::Change;
use crate::command::Command;
use crate::entry::{Applied, Entry};
use crate::event::{Dispatch, Event};
use crate::free_ids::FreeIds;
use crate::group::Group;
use crate::ids::{AgentId, CommandId, LogIndex, NodeId};
use crate::lane::{Lane, Sending};
use crate::node::Node;
use crate::outcome::{Outcome, Refusal};
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::text::{GroupName, NodeName, UserName};
use crate::timer::Timers;
use crate::user::{SigningKey, User};

/// What the cluster knows: a pure function of its log.
///
/// Cloning costs a few reference counts, whatever its size: the maps are shared until one side changes. So a
/// reader keeps the version it has, and never blocks `apply`.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) index: LogIndex,
    pub(crate) clock: Stamp,
    pub(crate) signing_key: Option<Shared<SigningKey>>,
    pub(crate) users: OrdMap<UserName, User>,
    pub(crate) nodes: OrdMap<NodeId, Node>,
    pub(crate) agents: Agents,
    /// The highest agent id ever given, removed agents included, or kept for an import.
    pub(crate) last_agent: AgentId,
    /// Ids up to that one that were never given, since they are kept for an import.
    pub(crate) free_ids: FreeIds,
    pub(crate) groups: OrdMap<GroupName, Group>,
    pub(crate) commands: OrdMap<CommandId, Arc<Command>>,
    pub(crate) lanes: OrdMap<AgentId, Lane>,
    pub(crate) timers: Timers,
    pub(crate) answers: Answers,
}

/// What the parts of one `apply` have in common.
pub(crate) struct Turn {
    pub(crate) index: LogIndex,
    pub(crate) now: Stamp,
    pub(crate) events: Vec<Event>,
}

impl Default for Control {
    fn default() -> Self {
        let name = GroupName::default_group();
        let group = Group { name: name.clone(), created_at: Stamp::default(), revision: LogIndex::default() };
        Self {
            index: LogIndex::default(),
            clock: Stamp::default(),
            signing_key: None,
            users: OrdMap::new(),
            nodes: OrdMap::new(),
            agents: Agents::default(),
            last_agent: AgentId::MANAGER,
            free_ids: FreeIds::default(),
            groups: OrdMap::unit(name, group),
            commands: OrdMap::new(),
            lanes: OrdMap::new(),
            timers: Timers::default(),
            answers: Answers::default(),
        }
    }
}

impl Control {
    /// Applies one committed entry and returns what it produced.
    ///
    /// Total: a change that cannot be honoured yields a refusal, never a panic. A repeated change id returns its
    /// first outcome, or a refusal if the change differs.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        self.index = entry.index;
        self.clock = self.clock.max(entry.stamp); // a new leader's clock may be behind
        let mut turn = Turn { index: entry.index, now: self.clock, events: Vec::new() };
        self.do_what_is_due(&mut turn);
        let (index, outcome) = match self.answers.get(entry.change_id) {
            Some(first) if first.fingerprint == entry.fingerprint => (first.index, first.outcome.clone()),
            Some(_) => (entry.index, Outcome::Refused(Refusal::ChangeIdReused)),
            None => (entry.index, self.apply_first(entry, &mut turn)),
        };
        Applied { index, outcome, events: turn.events }
    }

    fn apply_first(&mut self, entry: &Entry, turn: &mut Turn) -> Outcome {
        if let Change::Authored(authored) = &entry.change
            && let Err(refusal) = self.admit_author(&authored.author)
        {
            // Not remembered: a token that is dead stays dead, and the same change may come again with a good one.
            return Outcome::Refused(refusal);
        }
        let outcome = self.apply_change(&entry.change, turn);
        if entry.change != Change::Tick {
            // Nobody retries a tick, nobody asks for its outcome.
            self.answers.remember(Shared::new(Answer {
                change_id: entry.change_id,
                fingerprint: entry.fingerprint,
                index: entry.index,
                at: turn.now,
                outcome: outcome.clone(),
            }));
        }
        outcome
    }

    fn apply_change(&mut self, change: &Change, turn: &mut Turn) -> Outcome {
        match change {
            Change::Tick => Outcome::Done,
            Change::FoundCluster(found) => self.found_cluster(found, turn),
            Change::RenewLease(renew) => self.renew_lease(renew, turn),
            Change::ReleaseLease(release) => self.release_lease(release, turn),
            Change::EnrollAgent(enroll) => self.enroll_agent(enroll, turn),
            Change::RemoveAgents(remove) => self.remove_agents(remove, turn),
            Change::OpenSessions(open) => self.open_sessions(open, turn),
            Change::CloseSessions(close) => self.close_sessions(close, turn),
            Change::Seen(seen) => self.seen(seen, turn),
            Change::CreateGroup(name) => self.create_group(name, turn),
            Change::RemoveGroups(remove) => self.remove_groups(remove, turn),
            Change::AssignGroup(assign) => self.assign_group(assign, turn),
            Change::UnassignGroup(unassign) => self.unassign_group(unassign, turn),
            Change::LeaveGroups(leave) => self.leave_groups(leave, turn),
            Change::IssueCommand(issue) => self.issue_command(issue, turn),
            Change::MarkSent(mark) => self.mark_sent(mark, turn),
            Change::Receipts(receipts) => self.receipts(receipts, turn),
            Change::RevokeTokens(user) => self.revoke_tokens(user, turn),
            Change::ImportAgents(import) => self.import_agents(import, turn),
            Change::Authored(authored) => self.apply_change(&authored.change, turn),
            Change::EnrollAgents(enroll) => self.enroll_agents(enroll, turn),
        }
    }

    /// Index of the last entry applied.
    pub fn index(&self) -> LogIndex {
        self.index
    }

    /// The clock: the highest stamp applied.
    pub fn clock(&self) -> Stamp {
        self.clock
    }

    /// When the clock has something to do next; the leader then proposes a [`Change::Tick`].
    pub fn next_due(&self) -> Option<Stamp> {
        self.timers.next()
    }

    /// The registered agents.
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// The id behind which the next agent that enrolls gets its own: the highest one ever given or imported.
    pub fn last_agent(&self) -> AgentId {
        self.last_agent
    }

    /// The nodes by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The node with this name.
    pub fn node_named(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.values().find(|node| node.name == *name)
    }

    /// The groups by name.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// One group.
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.groups.get(name)
    }

    /// The commands that are not forgotten yet, oldest first.
    pub fn commands(&self) -> impl DoubleEndedIterator<Item = &Arc<Command>> {
        self.commands.values()
    }

    /// One command.
    pub fn command(&self, id: CommandId) -> Option<&Arc<Command>> {
        self.commands.get(&id)
    }

    /// The open deliveries of one agent.
    pub fn lane(&self, agent: AgentId) -> Option<&Lane> {
        self.lanes.get(&agent)
    }

    /// The users by name.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// One user.
    pub fn user(&self, name: &UserName) -> Option<&User> {
        self.users.get(name)
    }

    /// What tokens are signed with; `None` before the cluster was founded.
    pub fn signing_key(&self) -> Option<&SigningKey> {
        self.signing_key.as_deref()
    }

    /// Deliveries that a node has to act on, for one that lost track of the events: those it may ask to send.
    pub fn queued_on(&self, node: NodeId) -> impl Iterator<Item = Dispatch> {
        self.lanes
            .iter()
            .filter_map(move |(agent, _)| self.sendable(*agent))
            .filter(move |dispatch| dispatch.node == node)
    }

    /// The delivery that is next for this agent, if its owner could send it now.
    pub(crate) fn sendable(&self, agent: AgentId) -> Option<Dispatch> {
        let head = self.lanes.get(&agent)?.head()?;
        match head.sending {
            Sending::Waiting(from) if from <= self.clock => {}
            _ => return None,
        }
        let session = self.agents.get(agent)?.session.as_ref()?;
        Some(Dispatch { agent, node: session.node, epoch: session.epoch, command: head.command, kind: head.kind })
    }
}
