//! The numbered errors clients key on (REST contract, section 4), with the words that go with them.

use muster_control::Refusal;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $message:literal $(, $remediation:literal)?;)*) => {
        /// One numbered error. The order of the variants is that of their numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// The number clients key on.
            pub(crate) const fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            /// What is wrong, for a person.
            pub(crate) const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }

            /// What to do about it, for a person.
            pub(crate) const fn remediation(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => codes!(@remediation $($remediation)?),)*
                }
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
    (@remediation) => { None };
    (@remediation $text:literal) => { Some($text) };
}

codes! {
    /// Something that should not happen.
    Internal = 1000, "Internal error", "Look into the log of the node that answered";
    /// The cluster cannot answer now.
    NotReady = 1017, "The cluster is not ready to answer", "Try again after the time told in Retry-After";
    /// The field to sort by does not exist.
    SortField = 1403, "Cannot sort by this field", "Use a field of the listed objects, with a leading + or - for all of them";
    /// The query language is not available.
    Query = 1407, "The query is not understood";
    /// No agent has this id.
    UnknownAgent = 1701, "Agent does not exist", "List the agents with GET /agents";
    /// Agent 000 stands for the manager.
    Manager = 1703, "Not possible for agent 000, which stands for the manager", "Choose another agent";
    /// The name belongs to another agent or to a node.
    NameTaken = 1705, "The name is already used", "Choose another name";
    /// The address is malformed or belongs to another agent.
    Address = 1706, "The address is invalid or already used", "Use any, an IPv4 or IPv6 address, or a network without host bits";
    /// Only active agents take commands.
    NotActive = 1707, "Agent is not active", "Wait until the agent is connected";
    /// The id belongs, or belonged, to another agent.
    IdTaken = 1708, "The id is already used", "Choose another id";
    /// No group has this name.
    UnknownGroup = 1710, "The group does not exist", "List the groups with GET /groups";
    /// The group exists.
    GroupExists = 1711, "The group already exists", "Choose another name";
    /// The default group stays.
    DefaultGroup = 1712, "The default group cannot be deleted", "Leave it out";
    /// The name collides with a file of the server.
    GroupNameReserved = 1713, "The group name is reserved", "Choose another name";
    /// The field to select does not exist.
    SelectField = 1724, "Cannot select this field", "Use fields of the listed objects; of nested objects their leaves";
    /// An agent cannot be registered.
    Registration = 1725, "The agent cannot be registered";
    /// Nodes are masters or workers.
    NodeType = 1728, "The node type is invalid", "Use master or worker";
    /// No node has this name.
    UnknownNode = 1730, "The node does not exist", "List the nodes with GET /cluster/nodes";
    /// The agent does not meet the filters of the request.
    NotEligible = 1731, "The agent does not meet the filters of the request", "Look at older_than, status and the other filters";
    /// The agent is not a member.
    NotMember = 1734, "The agent is not in this group", "Look at the groups of the agent";
    /// An agent is in at most 128 groups.
    TooManyGroups = 1737, "The agent is in the maximum number of groups", "Remove it from another group first";
    /// Names of agents are bounded.
    NameTooLong = 1738, "The name of the agent is too long", "Use at most 128 characters";
    /// An agent without another group stays in the default one.
    OnlyDefault = 1745, "The agent is in the default group only and cannot leave it";
    /// The agent is a member.
    AlreadyMember = 1751, "The agent is already in this group", "Leave it out";
    /// The offset is beyond every list.
    Offset = 2003, "The offset is out of range", "Use an offset that fits 63 bits";
    /// The cluster did not answer in time.
    TimedOut = 3021, "The request timed out";
    /// The permission is missing.
    Denied = 4000, "Permission denied", "Ask an administrator for the permission";
    /// No user has this name.
    UnknownUser = 5001, "The user does not exist";
    /// The address of the client is blocked.
    Blocked = 6000, "Too many failed logins from this address; it is blocked for a while";
    /// The rate limit is reached.
    RateLimit = 6001, "Too many requests", "Ask again after the time told in Retry-After";
}

impl From<Refusal> for Code {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownAgent => Self::UnknownAgent,
            Refusal::UnknownGroup => Self::UnknownGroup,
            Refusal::UnknownNode => Self::UnknownNode,
            Refusal::UnknownUser => Self::UnknownUser,
            Refusal::DuplicateName(_) | Refusal::NameOfNode => Self::NameTaken,
            Refusal::DuplicateAddress(_) => Self::Address,
            Refusal::IdTaken | Refusal::IdUsedUp => Self::IdTaken,
            Refusal::IdsExhausted => Self::Registration,
            Refusal::Manager => Self::Manager,
            Refusal::NotActive => Self::NotActive,
            Refusal::NotEligible => Self::NotEligible,
            Refusal::GroupExists => Self::GroupExists,
            Refusal::GroupReserved => Self::DefaultGroup,
            Refusal::AlreadyMember => Self::AlreadyMember,
            Refusal::NotMember => Self::NotMember,
            Refusal::OnlyDefault => Self::OnlyDefault,
            Refusal::TooManyGroups => Self::TooManyGroups,
            Refusal::TooManyDeliveries => Self::NotReady,
            // Answers to statements of nodes, which no client makes.
            Refusal::StaleEpoch
            | Refusal::NoLease
            | Refusal::StaleGeneration
            | Refusal::ChangeIdReused
            | Refusal::AlreadyFounded
            | Refusal::NotQueued
            | Refusal::NothingUnderWay
            | Refusal::UserExists
            | Refusal::NodeNameTaken => Self::Internal,
            Refusal::InvalidToken => Self::Denied, // of one item; a whole request is answered without a code
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_sort_by_their_numbers() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0] < pair[1] && pair[0].number() < pair[1].number()));
    }
}
