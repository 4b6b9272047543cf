//! The replicated state machine of muster: pure data in, pure data out.
//!
//! [`Control`] is the state, [`Control::apply`] the one function that changes it. It takes a committed [`Entry`] and
//! returns the outcome for the proposer and the events for whoever lives from them. Nothing here does IO, reads a
//! clock, draws a random number or waits: three replicas, a replay from disk and a simulation agree to the last byte.
//!
//! Start reading at [`Change`] (what may happen), go on with [`Control`], then with the `apply` modules by subject.

mod agent;
mod agents;
mod answers;
mod apply;
mod author;
mod change;
mod command;
mod control;
mod counters;
mod entry;
mod event;
mod free_ids;
mod group;
mod history;
mod ids;
mod import;
mod lane;
mod node;
mod outcome;
mod pool;
mod record;
mod report;
mod selector;
mod shared;
mod stamp;
#[cfg(test)]
mod testing;
mod text;
mod timer;
mod user;

pub use agent::{Agent, Session, Status, StatusCode};
pub use agents::Agents;
pub use answers::Answer;
pub use author::{Author, Authored};
pub use change::{
    AssignGroup, Change, CloseCause, CloseSession, CloseSessions, EnrollAgent, EnrollAgents, Evidence, Force,
    FoundCluster, IssueCommand, LeaveGroups, MarkSent, NewUser, OpenSession, OpenSessions, ProcessState, Receipt,
    Receipts, RefusedStartup, ReleaseLease, RemoveAgents, RemoveGroups, RenewLease, Seen, Send, Sighting,
    UnassignGroup,
};
pub use command::{Command, CommandHead, CommandKind, Delivery, Reason, Stage};
pub use control::Control;
pub use counters::Counters;
pub use entry::{Applied, Entry};
pub use event::{Dispatch, EndCause, Event};
pub use group::Group;
pub use history::{History, Transition};
pub use ids::{AgentId, ChangeId, CommandId, Epoch, Generation, LogIndex, NodeId, NotAnAgentId, UserId};
pub use import::{ImportAgents, ImportVerdict, ImportedAgent, Past};
pub use lane::{Lane, LaneItem, Sending, Sent};
pub use node::Node;
pub use outcome::{
    Enrolled, EnrollmentAnswer, Issued, Outcome, PerAgent, PerGroup, Refusal, RefusedAgent, RefusedGroup, SessionAnswer,
};
pub use record::{DeliveryRecord, FreeIdsRecord, Head, LaneRecord, Record, Restore, RestoreError};
pub use report::{OperatingSystem, Report};
pub use selector::{AgentSet, Selector};
pub use shared::Shared;
pub use stamp::{Millis, Stamp};
pub use text::{AgentName, ClientKey, GroupName, InvalidText, Label, NodeName, RegisteredAddress, UserName};
pub use user::{SigningKey, User};
