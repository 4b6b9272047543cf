//! Sessions of this node's agents: what was heard becomes statements in the log, what was committed becomes bytes.
//!
//! [`Desk`](desk::Desk) holds all of it and is pure: inputs go in, batches to propose come out. [`task`] drives it with the
//! replica. The order of one agent's statements is kept from the socket to the log by [`StatementQueue`](queue::StatementQueue).

mod attached;
mod desk;
mod input;
mod pulse;
mod queue;
mod request;
mod seat;
mod sink;
mod statement;
mod task;

pub use attached::Attached;
pub use input::Heard;
pub use sink::{NotTaken, Outgoing, Sink, Ticket};

pub(crate) use input::{Beginning, Connected, Input};
pub(crate) use pulse::Pulse;
#[cfg(test)]
pub(crate) use pulse::Pulses;
pub(crate) use request::{Purpose, RequestTag};
pub(crate) use sink::LineId;
pub(crate) use task::{DeskHandle, DeskTask};
