//! The state as a sequence of records: what snapshots are made of and what replicas are compared by.

use std::sync::Arc;

use imbl::OrdMap;
use minicbor::{Decode, Encode};

use crate::agent::Agent;
use crate::answers::Answer;
use crate::command::{Command, CommandHead, Delivery};
use crate::control::Control;
use crate::group::Group;
use crate::ids::{AgentId, CommandId, LogIndex};
use crate::lane::Lane;
use crate::node::Node;
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::timer::Timer;
use crate::user::{SigningKey, User};

/// One piece of the state.
///
/// The records of a state come in one order only, so equal states have equal bytes. What can be derived (indexes,
/// counters, timers) is not in them.
#[derive(Clone, Debug, Encode, Decode)]
pub enum Record {
    /// What there is once; the first record.
    #[n(0)]
    Head(#[n(0)] Head),
    /// A user.
    #[n(1)]
    User(#[n(0)] User),
    /// A node.
    #[n(2)]
    Node(#[n(0)] Node),
    /// A group.
    #[n(3)]
    Group(#[n(0)] Group),
    /// An agent.
    #[n(4)]
    Agent(#[n(0)] Shared<Agent>),
    /// A command; its deliveries follow it.
    #[n(5)]
    Command(#[n(0)] CommandHead),
    /// A delivery of the command before it.
    #[n(6)]
    Delivery(#[n(0)] DeliveryRecord),
    /// The open deliveries of one agent.
    #[n(7)]
    Lane(#[n(0)] LaneRecord),
    /// A remembered outcome.
    #[n(8)]
    Answer(#[n(0)] Shared<Answer>),
    /// Ids that are kept for an import.
    #[n(9)]
    FreeIds(#[n(0)] FreeIdsRecord),
}

/// See [`Record::Head`].
#[derive(Clone, Debug, Encode, Decode)]
pub struct Head {
    #[n(0)]
    index: LogIndex,
    #[n(1)]
    clock: Stamp,
    #[n(2)]
    last_agent: AgentId,
    #[n(3)]
    signing_key: Option<Shared<SigningKey>>,
}

/// See [`Record::Delivery`].
#[derive(Clone, Debug, Encode, Decode)]
pub struct DeliveryRecord {
    #[n(0)]
    command: CommandId,
    #[n(1)]
    agent: AgentId,
    #[n(2)]
    delivery: Delivery,
}

/// See [`Record::Lane`].
#[derive(Clone, Debug, Encode, Decode)]
pub struct LaneRecord {
    #[n(0)]
    agent: AgentId,
    #[n(1)]
    lane: Lane,
}

/// See [`Record::FreeIds`].
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub struct FreeIdsRecord {
    #[n(0)]
    first: AgentId,
    #[n(1)]
    last: AgentId,
}

impl Record {
    /// The bytes of one record.
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("encoding into memory cannot fail")
    }

    /// Reads what [`Record::to_bytes`] of this or an earlier version wrote.
    ///
    /// # Errors
    /// When the bytes are damaged, or of a record this version does not know.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}

impl Control {
    /// The whole state, record by record.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let head = Record::Head(Head {
            index: self.index,
            clock: self.clock,
            last_agent: self.last_agent,
            signing_key: self.signing_key.clone(),
        });
        std::iter::once(head)
            .chain(self.users.values().cloned().map(Record::User))
            .chain(self.nodes.values().cloned().map(Record::Node))
            .chain(self.groups.values().cloned().map(Record::Group))
            .chain(self.agents.iter().map(|agent| Record::Agent(Arc::clone(agent).into())))
            .chain(self.commands.values().flat_map(|command| command_records(command)))
            .chain(
                self.lanes.iter().map(|(agent, lane)| Record::Lane(LaneRecord { agent: *agent, lane: lane.clone() })),
            )
            .chain(self.answers.iter().cloned().map(Record::Answer))
            .chain(self.free_ids.ranges().map(|(first, last)| Record::FreeIds(FreeIdsRecord { first, last })))
    }
}

fn command_records(command: &Command) -> impl Iterator<Item = Record> {
    let id = command.head.id;
    let deliveries = command.deliveries.iter().map(move |(agent, delivery)| {
        Record::Delivery(DeliveryRecord { command: id, agent: *agent, delivery: delivery.clone() })
    });
    std::iter::once(Record::Command(command.head.clone())).chain(deliveries)
}

/// Why records do not make a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The head is missing, or not first, or there twice.
    #[error("the records do not begin with their one head")]
    Head,
    /// A delivery does not follow its command.
    #[error("a delivery of command {0} does not follow that command")]
    Delivery(CommandId),
}

/// Builds the state again from its records.
#[derive(Debug, Default)]
pub struct Restore {
    control: Option<Control>,
    open: Option<(CommandHead, Vec<(AgentId, Delivery)>)>,
}

impl Restore {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When the record cannot come at this place.
    pub fn push(&mut self, record: Record) -> Result<(), RestoreError> {
        if let Record::Head(head) = record {
            if self.control.is_some() {
                return Err(RestoreError::Head);
            }
            let Head { index, clock, last_agent, signing_key } = head;
            let groups = OrdMap::new();
            self.control = Some(Control { index, clock, last_agent, signing_key, groups, ..Control::default() });
            return Ok(());
        }
        if let Record::Delivery(record) = record {
            return match &mut self.open {
                Some((head, deliveries)) if head.id == record.command => {
                    deliveries.push((record.agent, record.delivery));
                    Ok(())
                }
                _ => Err(RestoreError::Delivery(record.command)),
            };
        }
        self.close_command();
        let control = self.control.as_mut().ok_or(RestoreError::Head)?;
        match record {
            Record::Head(_) | Record::Delivery(_) => {} // dealt with above
            Record::User(user) => _ = control.users.insert(user.name.clone(), user),
            Record::Node(node) => {
                if let Some(due) = node.lease_until {
                    control.timers.set(due, Timer::Lease(node.id));
                }
                control.nodes.insert(node.id, node);
            }
            Record::Group(group) => _ = control.groups.insert(group.name.clone(), group),
            Record::Agent(agent) => control.agents.insert(Agent::clone(&agent)),
            Record::Command(head) => self.open = Some((head, Vec::new())),
            Record::Lane(LaneRecord { agent, lane }) => {
                if let Some(due) = lane.head().map(|head| head.due()).filter(|due| *due > control.clock) {
                    control.timers.set(due, Timer::Lane(agent));
                }
                control.lanes.insert(agent, lane);
            }
            Record::Answer(answer) => control.answers.restore(answer),
            Record::FreeIds(FreeIdsRecord { first, last }) => control.free_ids.add(first, last),
        }
        Ok(())
    }

    fn close_command(&mut self) {
        if let (Some((head, deliveries)), Some(control)) = (self.open.take(), &mut self.control) {
            if head.send_before >= control.clock {
                control.timers.set(head.send_before, Timer::SendBefore(head.id));
            }
            let command = Command::new(head, deliveries.into_iter().collect());
            control.commands.insert(command.head.id, Arc::new(command));
        }
    }

    /// The state, once all records were pushed.
    ///
    /// # Errors
    /// When there was no record at all.
    pub fn finish(mut self) -> Result<Control, RestoreError> {
        self.close_command();
        self.control.ok_or(RestoreError::Head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandKind;
    use crate::selector::Selector;
    use crate::testing::Script;

    fn bytes(control: &Control) -> Vec<Vec<u8>> {
        control.records().map(|record| record.to_bytes()).collect()
    }

    fn restored(control: &Control) -> Control {
        let mut restore = Restore::new();
        for bytes in bytes(control) {
            restore.push(Record::from_bytes(&bytes).expect("just encoded")).expect("in order");
        }
        restore.finish().expect("complete")
    }

    #[test]
    fn a_restored_state_goes_on_like_the_one_it_was_taken_from() {
        let mut script = Script::new();
        script.node(1);
        script.connected(1);
        script.issue(CommandKind::Restart, Selector::All).expect("an agent is active");
        let mut other = script.clone();
        other.control = restored(&script.control);
        assert_eq!(bytes(&other.control), bytes(&script.control));
        assert_eq!(other.control.next_due(), script.control.next_due());
        for script in [&mut script, &mut other] {
            script.pass(3_600_000);
        }
        assert_eq!(bytes(&other.control), bytes(&script.control));
        assert_eq!(other.control.agents().counters(), script.control.agents().counters());
    }

    #[test]
    fn records_out_of_order_are_refused() {
        let mut script = Script::new();
        script.node(1);
        script.connected(1);
        script.issue(CommandKind::Restart, Selector::All).expect("an agent is active");
        let records: Vec<_> = script.control.records().collect();
        let delivery = records.iter().find(|record| matches!(record, Record::Delivery(_))).expect("there is one");
        let mut restore = Restore::new();
        assert_eq!(restore.push(records[1].clone()), Err(RestoreError::Head));
        restore.push(records[0].clone()).expect("the head is first");
        assert_eq!(restore.push(records[0].clone()), Err(RestoreError::Head));
        assert!(matches!(restore.push(delivery.clone()), Err(RestoreError::Delivery(_))));
        assert_eq!(Restore::new().finish().map(|_| ()), Err(RestoreError::Head));
    }
}
