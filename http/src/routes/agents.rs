//! Reading agents: list, key, counts.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_control::{Agent, AgentId, Status};
use serde::Serialize;

use crate::agent::{self, AgentParams, Filter, Source, is_synced};
use crate::app::App;
use crate::caller::{Caller, Permission};
use crate::code::Code;
use crate::envelope::{Failures, Id, Items, Object, Words};
use crate::params::{AgentList, AgentRef, FromQuery, InPath, NoParams, Params};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;

pub(super) struct ListParams {
    source: Source,
    params: AgentParams,
}

impl FromQuery for ListParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let listed = AgentList::take(query, "agents_list")?;
        let filter = Filter::take_for_list(query)?;
        Ok(Self { source: listed.map_or(Source::All, Source::Listed), params: AgentParams::take(query, filter)? })
    }
}

/// Lists agents.
pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Params(ListParams { source, params }): Params<ListParams>,
) -> Result<Reply, Problem> {
    caller.authorize(Permission::AgentRead)?;
    let cost = params.cost(&source, &caller.view.control);
    app.scan(caller.view, cost, move |view| agent::list(view, &source, &params)).await
}

/// The line that an agent keeps as its key: base64 of `<id> <name> <address> <secret>`.
pub(super) fn key_line(agent: &Agent) -> String {
    STANDARD.encode(format!("{} {} {} {}", agent.id, agent.name, agent.address, agent.key))
}

/// Tells the key of one agent.
pub(super) async fn key(
    caller: Caller,
    InPath(agent): InPath<AgentRef>,
    _: Params<NoParams>,
) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Key {
        id: Id,
        key: String,
    }
    const WORDS: Words = Words {
        all: "Obtained keys for all selected agents",
        some: "Some agent keys were not obtained",
        none: "No agent keys were obtained",
    };
    caller.authorize(Permission::AgentRead)?;
    let (mut keys, mut failures) = (Vec::new(), Failures::default());
    match agent {
        AgentRef::Id(AgentId::MANAGER) => failures.add(Code::Manager, AgentId::MANAGER),
        AgentRef::Beyond(text) => failures.add(Code::UnknownAgent, text),
        AgentRef::Id(id) => match caller.view.control.agents().get(id) {
            Some(agent) => keys.push(Key { id: Id(id), key: key_line(agent) }),
            None => failures.add(Code::UnknownAgent, id),
        },
    }
    let total = keys.len();
    Reply::json(caller.view.index, &Items::new(keys, total, &failures, WORDS))
}

#[derive(Serialize)]
struct Summary {
    connection: Connection,
    configuration: Configuration,
}

#[derive(Serialize)]
struct Connection {
    active: u32,
    disconnected: u32,
    never_connected: u32,
    pending: u32,
    total: u32,
}

#[derive(Serialize)]
struct Configuration {
    synced: u32,
    not_synced: u32,
    total: u32,
}

/// Counts agents by status; agent 000 is not counted.
pub(super) async fn summary_status(caller: Caller, _: Params<NoParams>) -> Result<Reply, Problem> {
    caller.authorize(Permission::AgentRead)?;
    let counters = caller.view.control.agents().counters();
    let of = |wanted: fn(Status) -> bool| {
        Status::ALL.into_iter().filter(|status| wanted(*status)).map(|status| counters.status(status)).sum::<u32>()
    };
    let total = of(|_| true);
    let summary = Summary {
        connection: Connection {
            active: counters.status(Status::Active),
            disconnected: counters.status(Status::Disconnected),
            never_connected: counters.status(Status::NeverConnected),
            pending: counters.status(Status::Pending),
            total,
        },
        configuration: Configuration { synced: of(is_synced), not_synced: of(|status| !is_synced(status)), total },
    };
    Reply::json(caller.view.index, &Object::new(summary))
}
