//! `GET /v1/cluster/state`

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::caller::{Caller, Permission};
use crate::params::{NoParams, Params};
use crate::problem::Problem;
use crate::reply::Reply;

/// The state of the answering node in a nutshell: nodes that tell one index tell one hash.
#[derive(Serialize)]
struct StateHash {
    node_id: u64,
    /// The last entry that is in the state.
    index: u64,
    /// SHA-256 over the records of the state, in hex.
    sha256: String,
}

/// What the state of this node is, in a form that can be compared with that of others. Costs a pass over all of it.
pub(in crate::routes) async fn state(
    caller: Caller,
    State(app): State<Arc<App>>,
    _: Params<NoParams>,
) -> Result<Reply, Problem> {
    caller.authorize(Permission::ClusterRead)?;
    let (index, hash) = app.replica().state_hash().await;
    let sha256 = hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // a String takes everything
        hex
    });
    Reply::json(index, &StateHash { node_id: app.replica().node_id().get(), index: index.get(), sha256 })
}
