//! What supervisors and monitoring ask, without a token.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::metrics::render;
use crate::problem::Problem;
use crate::reply::Reply;

#[derive(Serialize)]
struct Verdict {
    status: &'static str,
}

/// Whether this process is worth keeping: it is, unless its disk or its consensus failed for good.
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Result<Reply, Problem> {
    match app.replica().status().fatal {
        None => Reply::plain_json(&Verdict { status: "ok" }),
        Some(cause) => Err(Problem::unavailable(format!("this node has failed: {cause}"))),
    }
}

/// Whether this node should get requests.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Reply, Problem> {
    let status = app.replica().status();
    if status.is_ready() {
        return Reply::json(status.applied, &Verdict { status: "ready" });
    }
    let reasons: Vec<String> = status.not_ready.iter().map(ToString::to_string).collect();
    Err(Problem::unavailable(format!("not ready: {}", reasons.join(", "))))
}

/// All metrics of this process.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Reply, Problem> {
    let text = render(&app.registry).map_err(|error| Problem::internal(&error))?;
    Ok(Reply::text(None, "application/openmetrics-text; version=1.0.0; charset=utf-8", text))
}
