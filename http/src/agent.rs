//! Agents as clients see them (REST contract, section 3).

mod field;
mod filter;
mod listing;
mod row;

pub(crate) use filter::{Filter, STATUSES};
pub(crate) use listing::{AgentParams, Source, list, split};
pub(crate) use row::{Manager, REFERENCE_VERSION, is_synced};
