//! The clients' side of muster: the Wazuh 4.x REST API, our own `/v1` API, probes and metrics.
//!
//! [`Api`] serves them over TLS. A request crosses the border (`border.rs`: limits, headers, the form of every
//! answer), meets its operation (`routes.rs`), which states its parameters, its permission and its result, and goes
//! to the cluster in one of two ways: it reads a version of the state, or it proposes a change (`app.rs`).
//!
//! What the compatible API does not have travels in headers, since its query parameters are validated strictly:
//!
//! | header | of | tells |
//! | --- | --- | --- |
//! | `Muster-Consistency` | request | `linearizable` (default) or `stale`: how fresh a read has to be; writes refuse `stale` |
//! | `Muster-Index` | answer | the log index it rests on: read at, or applied at |
//! | `Muster-Command` | answer | the command that the request issued, to be followed at `/v1/commands/{id}` |
//!
//! A problem whose `type` is `/problems/not-applied` changed nothing, one of `/problems/outcome-unknown` may have.
//!
//! Each convention of the compatible API has one place: `code.rs` and `problem.rs` what can be wrong, `envelope.rs`
//! the forms of success, `query.rs` and `format.rs` parameters, `list.rs` what can be asked of every list.

mod address;
mod agent;
mod api;
mod app;
mod body;
mod border;
mod caller;
mod code;
mod config;
mod connections;
mod envelope;
mod format;
mod import;
mod list;
mod metrics;
mod moment;
mod params;
mod password;
mod pretty;
mod problem;
mod query;
mod rate;
mod reply;
mod routes;
mod throttle;
mod tls;
mod token;
mod writer;

pub use api::{Api, StartError};
pub use config::ApiConfig;
pub use import::{IMPORT_LIMIT, ImportAgent, ImportAnswer, ImportBatch, ImportConflict, ImportPast, ImportReport};
pub use password::{HashError, hash_password};
pub use tls::{TlsError, TlsIdentity};
pub use token::{SigningKeyError, generate_signing_key};
