//! `POST /v1/import/agents`, `GET /v1/export/client-keys`: agents on their way from another manager, or back.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use muster_control::{AgentId, Change, Control, ImportAgents, ImportVerdict, Refusal};

use crate::app::App;
use crate::body::Json;
use crate::caller::{Caller, Permission};
use crate::import::{ImportAnswer, ImportBatch, ImportConflict};
use crate::params::{NoParams, Params};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::writer::Writer;

/// Takes over one batch of agents, or tells what would become of them.
pub(in crate::routes) async fn import(
    writer: Writer,
    State(app): State<Arc<App>>,
    _: Params<NoParams>,
    Json(batch): Json<ImportBatch>,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::AgentImport)?;
    let import = batch.to_change().map_err(|error| Problem::schema(format!("body: {error}")))?;
    if batch.dry_run {
        let view = writer.read(&app).await?;
        return Reply::json(view.index, &foretold(&view.control, &import));
    }
    let agents = import.agents.len();
    let (index, result) = app.propose_for_agents(&writer, Change::ImportAgents(import)).await?;
    let mut answer = ImportAnswer {
        written: result.refused.is_empty() || batch.skip_conflicts,
        added: result.done.iter().map(AgentId::to_string).collect(),
        unchanged: 0,
        conflicts: result.refused.iter().map(|refused| conflict(refused.agent, refused.refusal)).collect(),
    };
    if answer.written {
        answer.unchanged = agents.saturating_sub(answer.added.len() + answer.conflicts.len());
    }
    Reply::json(index, &answer)
}

fn foretold(control: &Control, import: &ImportAgents) -> ImportAnswer {
    let mut answer = ImportAnswer::default();
    for (agent, verdict) in import.agents.iter().zip(control.judge_import(import)) {
        match verdict {
            ImportVerdict::New => answer.added.push(agent.id.to_string()),
            ImportVerdict::Known => answer.unchanged += 1,
            ImportVerdict::Conflict(refusal) => answer.conflicts.push(conflict(agent.id, refusal)),
        }
    }
    answer
}

fn conflict(agent: AgentId, refusal: Refusal) -> ImportConflict {
    ImportConflict { id: agent.to_string(), reason: refusal.to_string() }
}

/// All agents with their keys, in the format of a manager's `client.keys`, as of one index.
pub(in crate::routes) async fn client_keys(
    caller: Caller,
    State(app): State<Arc<App>>,
    _: Params<NoParams>,
) -> Result<Reply, Problem> {
    caller.authorize(Permission::AgentExport)?;
    let agents = caller.view.control.agents().len();
    let write = |view: &muster_raft::View| {
        Ok(Reply::text(Some(view.index), "text/plain; charset=utf-8", key_file(&view.control)))
    };
    app.scan(caller.view, agents, write).await
}

/// A manager gives ids from the highest in its file on. If that one was removed here, a line for removed agents holds
/// its place; of other removed agents nothing is kept, and nothing is needed.
fn key_file(control: &Control) -> String {
    let mut text = String::new();
    for agent in control.agents().iter() {
        let _ = writeln!(text, "{} {} {} {}", agent.id, agent.name, agent.address, agent.key); // a String takes all
    }
    let last = control.last_agent();
    if last != AgentId::MANAGER && control.agents().get(last).is_none() {
        let _ = writeln!(text, "{last} !removed-{last} any {:064}", 0);
    }
    text
}
