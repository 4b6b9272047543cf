//! Restart and reconnect. Each is a change that resolves its targets when it is applied; none waits for the agents.

use std::sync::Arc;

use axum::extract::State;
use muster_control::{Change, CommandKind, GroupName, IssueCommand, Issued, Outcome, Refusal, Selector};
use muster_raft::Proposed;

use crate::app::{App, unexpected};
use crate::body::NoBody;
use crate::caller::Permission;
use crate::code::Code;
use crate::envelope::{Failures, Ids, Items, Words};
use crate::params::{AgentList, AgentRef, FromQuery, InPath, NoParams, NodeRef, Params};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::writer::Writer;

const RESTART: Words = Words {
    all: "Restart command was sent to all agents",
    some: "Restart command was not sent to some agents",
    none: "Restart command was not sent to any agent",
};

const RECONNECT: Words = Words {
    all: "Force reconnect command was sent to all agents",
    some: "Force reconnect command was not sent to some agents",
    none: "Force reconnect command was not sent to any agent",
};

/// The agents that a command is for: listed, or all without a list.
pub(super) struct Targets(Option<AgentList>);

impl FromQuery for Targets {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        AgentList::take(query, "agents_list").map(Self)
    }
}

/// Restarts listed agents, or all active ones.
pub(super) async fn restart(
    writer: Writer,
    State(app): State<Arc<App>>,
    Params(Targets(list)): Params<Targets>,
    _: NoBody,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::AgentRestart)?;
    to_agents(&app, &writer, CommandKind::Restart, list).await
}

/// Restarts one agent.
pub(super) async fn restart_one(
    writer: Writer,
    State(app): State<Arc<App>>,
    InPath(agent): InPath<AgentRef>,
    _: Params<NoParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::AgentRestart)?;
    to_agents(&app, &writer, CommandKind::Restart, Some(AgentList::new([agent]))).await
}

/// Restarts the active members of a group.
pub(super) async fn restart_group(
    writer: Writer,
    State(app): State<Arc<App>>,
    InPath(group): InPath<GroupName>,
    _: Params<NoParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::GroupRead)?;
    writer.authorize(Permission::AgentRead)?;
    writer.authorize(Permission::AgentRestart)?;
    let Proposed { index, outcome } = issue(&app, &writer, CommandKind::Restart, Selector::Group(group)).await?;
    match outcome {
        Outcome::Issued(issued) => answer(index, &issued, &Failures::default(), RESTART),
        other => Err(unexpected(other, index)),
    }
}

/// Restarts the active agents of a node.
pub(super) async fn restart_node(
    writer: Writer,
    State(app): State<Arc<App>>,
    InPath(NodeRef(name)): InPath<NodeRef>,
    _: Params<NoParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::ClusterRead)?;
    writer.authorize(Permission::AgentRestart)?;
    let unknown = |index| {
        let mut failures = Failures::default();
        failures.add(Code::UnknownNode, &name);
        Reply::json(index, &Items::new(Ids(&[]), 0, &failures, RESTART))
    };
    let Ok(node) = name.parse() else { return unknown(writer.read(&app).await?.index) };
    let Proposed { index, outcome } = issue(&app, &writer, CommandKind::Restart, Selector::Node(node)).await?;
    match outcome {
        Outcome::Issued(issued) => answer(index, &issued, &Failures::default(), RESTART),
        Outcome::Refused(Refusal::UnknownNode) => unknown(index),
        other => Err(unexpected(other, index)),
    }
}

/// Makes listed agents, or all active ones, drop their connection and connect again.
pub(super) async fn reconnect(
    writer: Writer,
    State(app): State<Arc<App>>,
    Params(Targets(list)): Params<Targets>,
    _: NoBody,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::AgentReconnect)?;
    to_agents(&app, &writer, CommandKind::Reconnect, list).await
}

async fn to_agents(app: &App, writer: &Writer, kind: CommandKind, list: Option<AgentList>) -> Result<Reply, Problem> {
    let words = match kind {
        CommandKind::Restart => RESTART,
        CommandKind::Reconnect => RECONNECT,
    };
    let mut failures = Failures::default();
    let selector = match list {
        None => Selector::All,
        Some(list) => {
            list.beyond.iter().for_each(|id| failures.add(Code::UnknownAgent, id));
            Selector::Agents(list.ids)
        }
    };
    if selector == Selector::Agents(Vec::new()) {
        let index = writer.read(app).await?.index;
        return Reply::json(index, &Items::new(Ids(&[]), 0, &failures, words));
    }
    let Proposed { index, outcome } = issue(app, writer, kind, selector).await?;
    let Outcome::Issued(issued) = outcome else { return Err(unexpected(outcome, index)) };
    failures.add_agents(&issued.refused);
    answer(index, &issued, &failures, words)
}

async fn issue(app: &App, writer: &Writer, kind: CommandKind, selector: Selector) -> Result<Proposed, Problem> {
    let issuer = Some(writer.user().clone());
    let send_within = app.config().send_within.into();
    app.propose(writer, Change::IssueCommand(IssueCommand { kind, selector, issuer, send_within })).await
}

fn answer(
    index: muster_control::LogIndex,
    issued: &Issued,
    failures: &Failures,
    words: Words,
) -> Result<Reply, Problem> {
    let body = Items::new(Ids(&issued.targets), issued.targets.len(), failures, words);
    Ok(Reply::json(index, &body)?.with_command(issued.command))
}
