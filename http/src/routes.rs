//! Which operation answers which request. One file for each subject; an operation states its parameters, its
//! permission and its result.

mod agents;
mod cluster;
mod commands;
mod enrollment;
mod groups;
mod membership;
mod native;
mod probes;
mod removal;
mod root;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{delete, get, post, put};

use crate::app::App;
use crate::border;

/// All operations. A path that does not exist and a method that a path does not take are told before the token is
/// looked at.
pub(crate) fn router(app: Arc<App>) -> Router {
    let compatible = Router::new()
        .route("/", get(root::info))
        .route(
            "/security/user/authenticate",
            post(session::log_in).get(session::log_in_deprecated).delete(session::log_out),
        )
        .route("/agents", get(agents::list).post(enrollment::create).delete(removal::remove))
        .route("/agents/{agent_id}/key", get(agents::key))
        .route("/agents/summary/status", get(agents::summary_status))
        .route("/agents/restart", put(commands::restart))
        .route("/agents/{agent_id}/restart", put(commands::restart_one))
        .route("/agents/group/{group_id}/restart", put(commands::restart_group))
        .route("/agents/node/{node_id}/restart", put(commands::restart_node))
        .route("/agents/reconnect", put(commands::reconnect))
        .route("/agents/group", put(membership::assign).delete(membership::unassign))
        .route("/agents/{agent_id}/group", delete(membership::leave))
        .route("/agents/{agent_id}/group/{group_id}", put(membership::assign_one).delete(membership::unassign_one))
        .route("/groups", get(groups::list).post(groups::create).delete(groups::remove))
        .route("/groups/{group_id}/agents", get(groups::agents))
        .route("/cluster/status", get(cluster::status))
        .route("/cluster/nodes", get(cluster::nodes))
        .route("/cluster/healthcheck", get(cluster::healthcheck))
        .route("/cluster/local/info", get(cluster::local_info));
    let own = Router::new()
        .route("/v1/commands", get(native::commands))
        .route("/v1/commands/{command_id}", get(native::command))
        .route("/v1/cluster", get(native::cluster))
        .route("/v1/cluster/state", get(native::state))
        .route("/v1/import/agents", post(native::import))
        .route("/v1/export/client-keys", get(native::client_keys));
    let probes = Router::new()
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics));
    compatible
        .merge(own)
        .merge(probes)
        .method_not_allowed_fallback(border::no_method)
        .fallback(border::no_route)
        .layer(middleware::from_fn_with_state(app.clone(), border::cross))
        .with_state(app)
}
