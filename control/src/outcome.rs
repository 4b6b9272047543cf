//! What applying a change produced. Refusals are values like any other: every replica comes to the same one.

use minicbor::{Decode, Encode};

use crate::ids::{AgentId, CommandId, Epoch};
use crate::text::GroupName;

/// Result of one change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    /// Done; there is nothing to tell.
    #[n(0)]
    Done,
    /// The change as a whole was refused and changed nothing.
    #[n(1)]
    Refused(#[n(0)] Refusal),
    /// The agent is registered.
    #[n(2)]
    Enrolled(#[n(0)] Enrolled),
    /// Each session of the change, in its order: the epoch, or why not.
    #[n(3)]
    Sessions(#[n(0)] Vec<SessionAnswer>),
    /// For each agent of the change: done, or why not.
    #[n(4)]
    Agents(#[n(0)] PerAgent),
    /// For each group of the change: done, or why not.
    #[n(5)]
    Groups(#[n(0)] PerGroup),
    /// The command is in the log.
    #[n(6)]
    Issued(#[n(0)] Issued),
    /// Each enrollment of the change, in its order: the agent, or why not.
    #[n(7)]
    Enrollments(#[n(0)] Vec<EnrollmentAnswer>),
}

/// An agent was registered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Enrolled {
    /// Its id.
    #[n(0)]
    pub agent: AgentId,
    /// The agents that gave way and were removed.
    #[n(1)]
    pub replaced: Vec<AgentId>,
}

/// One enrollment: the agent, or why it was not registered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum EnrollmentAnswer {
    /// It is registered.
    #[n(0)]
    Enrolled(#[n(0)] Enrolled),
    /// It is not.
    #[n(1)]
    Refused(#[n(0)] Refusal),
}

/// One session: its epoch, or why it was not opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SessionAnswer {
    /// It is open.
    #[n(0)]
    Opened(#[n(0)] Epoch),
    /// It is not.
    #[n(1)]
    Refused(#[n(0)] Refusal),
}

/// What was done agent by agent; both lists in order of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PerAgent {
    /// Those it was done for. Batches of a node's statements leave this empty: what is not refused was done.
    #[n(0)]
    pub done: Vec<AgentId>,
    /// Those it was refused for.
    #[n(1)]
    pub refused: Vec<RefusedAgent>,
    /// Of those it was done for: the agents that left their last group by it, and are in the default one now.
    #[cbor(n(2), default)]
    pub fell_back: Vec<AgentId>,
}

/// One agent something was refused for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefusedAgent {
    /// The agent.
    #[n(0)]
    pub agent: AgentId,
    /// Why.
    #[n(1)]
    pub refusal: Refusal,
}

/// What was done group by group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PerGroup {
    /// Those it was done for, in the order they were asked for.
    #[n(0)]
    pub done: Vec<GroupName>,
    /// Those it was refused for.
    #[n(1)]
    pub refused: Vec<RefusedGroup>,
}

/// One group something was refused for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefusedGroup {
    /// The group.
    #[n(0)]
    pub group: GroupName,
    /// Why.
    #[n(1)]
    pub refusal: Refusal,
}

/// A command was issued.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Issued {
    /// Its id.
    #[n(0)]
    pub command: CommandId,
    /// The agents it will be delivered to, in order of ids.
    #[n(1)]
    pub targets: Vec<AgentId>,
    /// The agents of an explicit list it will not be delivered to, in order of ids.
    #[n(2)]
    pub refused: Vec<RefusedAgent>,
}

/// An understood no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, thiserror::Error)]
pub enum Refusal {
    /// No agent has this id.
    #[n(0)]
    #[error("unknown agent")]
    UnknownAgent,
    /// The statement belongs to a session that is over.
    #[n(1)]
    #[error("stale epoch")]
    StaleEpoch,
    /// The node's lease has lapsed.
    #[n(2)]
    #[error("the node holds no lease")]
    NoLease,
    /// The statement is of an earlier incarnation of the node.
    #[n(3)]
    #[error("stale generation")]
    StaleGeneration,
    /// No group has this name.
    #[n(4)]
    #[error("unknown group")]
    UnknownGroup,
    /// No node has this name.
    #[n(5)]
    #[error("unknown node")]
    UnknownNode,
    /// No user has this name.
    #[n(6)]
    #[error("unknown user")]
    UnknownUser,
    /// Another agent has this name.
    #[n(7)]
    #[error("agent {0} has this name")]
    DuplicateName(#[n(0)] AgentId),
    /// Another agent is registered with this address.
    #[n(8)]
    #[error("agent {0} has this address")]
    DuplicateAddress(#[n(0)] AgentId),
    /// The name is that of a node.
    #[n(9)]
    #[error("a node has this name")]
    NameOfNode,
    /// All agent ids are used up.
    #[n(10)]
    #[error("agent ids are used up")]
    IdsExhausted,
    /// It is the manager itself.
    #[n(11)]
    #[error("not possible for the manager itself")]
    Manager,
    /// The agent is not active.
    #[n(12)]
    #[error("the agent is not active")]
    NotActive,
    /// The agent does not meet the conditions of the change.
    #[n(13)]
    #[error("the agent does not meet the conditions")]
    NotEligible,
    /// The group exists already.
    #[n(14)]
    #[error("the group exists")]
    GroupExists,
    /// The group cannot be removed.
    #[n(15)]
    #[error("the group is needed")]
    GroupReserved,
    /// The agent is in the group already.
    #[n(16)]
    #[error("the agent is in the group")]
    AlreadyMember,
    /// The agent is not in the group.
    #[n(17)]
    #[error("the agent is not in the group")]
    NotMember,
    /// The agent is in no group but the default one, which it cannot leave.
    #[n(18)]
    #[error("the agent is in the default group only")]
    OnlyDefault,
    /// The agent would be in too many groups.
    #[n(19)]
    #[error("at most 128 groups an agent")]
    TooManyGroups,
    /// The change id was used before, for another change.
    #[n(20)]
    #[error("the change id was used for another change")]
    ChangeIdReused,
    /// The cluster has its users already.
    #[n(21)]
    #[error("the cluster is founded already")]
    AlreadyFounded,
    /// The delivery is not waiting to be sent in this session.
    #[n(22)]
    #[error("the delivery is not waiting to be sent")]
    NotQueued,
    /// Nothing is under way that the evidence could be for.
    #[n(23)]
    #[error("no delivery is under way for this evidence")]
    NothingUnderWay,
    /// A user of this name is listed twice.
    #[n(24)]
    #[error("the user exists")]
    UserExists,
    /// Another node has this name.
    #[n(25)]
    #[error("node name is taken")]
    NodeNameTaken,
    /// So many deliveries are open that no more are taken.
    #[n(26)]
    #[error("too many deliveries are open")]
    TooManyDeliveries,
    /// The author of the change is no user, or its tokens were revoked.
    #[n(27)]
    #[error("the token is not valid")]
    InvalidToken,
    /// Another agent has this id, or the same one with another name, key or address.
    #[n(28)]
    #[error("an agent with this id and another name, key or address is registered")]
    IdTaken,
    /// The id was given to an agent that was removed since.
    #[n(29)]
    #[error("the id was given before, to an agent that was removed")]
    IdUsedUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_from_before_it_told_who_fell_back_keeps_its_meaning() {
        let before = [0x82, 0x04, 0x81, 0x82, 0x81, 0x07, 0x80];
        let outcome = Outcome::from_bytes(&before).expect("it decodes for ever");
        assert_eq!(outcome, Outcome::Agents(PerAgent { done: vec![AgentId::new(7)], ..PerAgent::default() }));
    }
}
