//! `GET /v1/commands`, `GET /v1/commands/{id}`

use std::sync::Arc;

use axum::extract::State;
use muster_control::{AgentId, Command, CommandId, CommandKind, Delivery, Reason, Selector, Stage};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::app::App;
use crate::caller::{Caller, Permission};
use crate::envelope::{Id, Sequence};
use crate::list::{Overflow, Page};
use crate::moment::Moment;
use crate::params::{FromQuery, InPath, Params};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;

/// One command, without its deliveries.
struct Head<'a>(&'a Command);

impl Serialize for Head<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = &self.0.head;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &head.id.get())?;
        map.serialize_entry("kind", head.kind.as_str())?;
        map.serialize_entry("selector", &Selected(&head.selector))?;
        map.serialize_entry("issuer", &head.issuer.as_ref().map(|user| user.as_str()))?;
        map.serialize_entry("issued_at", &Moment::millis(head.issued_at))?;
        map.serialize_entry("send_before", &Moment::millis(head.send_before))?;
        map.serialize_entry("revision", &head.revision.get())?;
        map.serialize_entry("finished", &self.0.is_finished())?;
        map.serialize_entry("deliveries", &self.0.deliveries.len())?;
        map.serialize_entry("stages", &Stages(self.0))?;
        map.end()
    }
}

/// How many deliveries are in each stage.
struct Stages<'a>(&'a Command);

impl Serialize for Stages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Stage::ALL.iter().map(|stage| (stage.as_str(), self.0.count(*stage))))
    }
}

/// To which agents a command went; a list of agents is told by its length, since the deliveries name them.
struct Selected<'a>(&'a Selector);

impl Serialize for Selected<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.0 {
            Selector::All => map.serialize_entry("all", &true)?,
            Selector::Agents(ids) => map.serialize_entry("agents", &ids.len())?,
            Selector::Group(name) => map.serialize_entry("group", name.as_str())?,
            Selector::Node(name) => map.serialize_entry("node", name.as_str())?,
        }
        map.end()
    }
}

/// The life of a command for one agent.
struct Life<'a>(AgentId, &'a Delivery);

impl Serialize for Life<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(agent, delivery) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("agent", &Id(*agent))?;
        map.serialize_entry("stage", delivery.stage.as_str())?;
        if let Some(reason) = &delivery.reason {
            map.serialize_entry("reason", word(reason))?;
            if let Reason::Refused(text) = reason {
                map.serialize_entry("answer", text.as_str())?;
            }
        }
        if let Some(carrier) = delivery.shares {
            map.serialize_entry("shares", &carrier.get())?;
        }
        if let Some(epoch) = delivery.epoch {
            map.serialize_entry("epoch", &epoch.get())?;
        }
        if let Some(sent_at) = delivery.sent_at {
            map.serialize_entry("sent_at", &Moment::millis(sent_at))?;
        }
        map.serialize_entry("attempts", &delivery.attempts)?;
        map.serialize_entry("since", &Moment::millis(delivery.since))?;
        map.serialize_entry("revision", &delivery.revision.get())?;
        map.end()
    }
}

const fn word(reason: &Reason) -> &'static str {
    match reason {
        Reason::Started => "started",
        Reason::ShutdownThenStartup => "shutdown_then_startup",
        Reason::NewProcess => "new_process",
        Reason::Reconnected => "reconnected",
        Reason::Refused(_) => "refused",
        Reason::Unwritten => "unwritten",
        Reason::NoEvidence => "no_evidence",
        Reason::NotSentInTime => "not_sent_in_time",
        Reason::AgentRemoved => "agent_removed",
    }
}

pub(in crate::routes) struct CommandsParams {
    kind: Option<CommandKind>,
    finished: Option<bool>,
    page: Page,
}

impl FromQuery for CommandsParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let kinds = [CommandKind::Restart, CommandKind::Reconnect].map(|kind| (kind.as_str(), kind));
        Ok(Self {
            kind: query.word("kind", &kinds)?,
            finished: query.word("finished", &[("true", true), ("false", false)])?,
            page: Page::take(query, Overflow::Empty)?,
        })
    }
}

/// The commands that are not forgotten yet, newest first.
pub(in crate::routes) async fn commands(
    caller: Caller,
    Params(params): Params<CommandsParams>,
) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Body<C> {
        commands: C,
        total: usize,
        index: u64,
    }
    caller.authorize(Permission::AgentRead)?;
    let wanted = |command: &&Command| {
        params.kind.is_none_or(|kind| command.head.kind == kind)
            && params.finished.is_none_or(|finished| command.is_finished() == finished)
    };
    let found: Vec<&Command> = caller.view.control.commands().rev().map(|command| &**command).filter(wanted).collect();
    let commands = Sequence(params.page.of(found.iter()).map(|command| Head(command)));
    Reply::json(caller.view.index, &Body { commands, total: found.len(), index: caller.view.index.get() })
}

pub(in crate::routes) struct CommandParams {
    stages: Option<Vec<Stage>>,
    page: Page,
}

impl FromQuery for CommandParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let stages = query.words("stage", &Stage::ALL.map(|stage| (stage.as_str(), stage)))?;
        Ok(Self { stages, page: Page::take(query, Overflow::Empty)? })
    }
}

/// One command with its deliveries, in order of agents.
pub(in crate::routes) async fn command(
    caller: Caller,
    State(app): State<Arc<App>>,
    InPath(id): InPath<CommandId>,
    Params(CommandParams { stages, page }): Params<CommandParams>,
) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct Body<'a, D> {
        command: Head<'a>,
        deliveries: D,
        total: usize,
        index: u64,
    }
    caller.authorize(Permission::AgentRead)?;
    let unknown = Problem::not_found(None, "no command has this id, or it is forgotten").at(caller.view.index);
    let cost = caller.view.control.command(id).ok_or(unknown)?.deliveries.len();
    app.scan(caller.view, cost, move |view| {
        let Some(command) = view.control.command(id) else { return Err(Problem::internal(&"a view has changed")) };
        let wanted = |delivery: &Delivery| stages.as_ref().is_none_or(|stages| stages.contains(&delivery.stage));
        let total = match &stages {
            None => command.deliveries.len(),
            Some(stages) => {
                let counts = Stage::ALL.into_iter().filter(|stage| stages.contains(stage));
                counts.map(|stage| command.count(stage) as usize).sum()
            }
        };
        let found = command.deliveries.iter().filter(|(_, delivery)| wanted(delivery));
        let deliveries: Vec<Life<'_>> = page.of(found).map(|(agent, delivery)| Life(*agent, delivery)).collect();
        Reply::json(view.index, &Body { command: Head(command), deliveries, total, index: view.index.get() })
    })
    .await
}
