//! `/groups`

use std::sync::Arc;

use axum::extract::State;
use muster_control::{Change, Control, Group, GroupName, RemoveGroups};
use serde::Deserialize;

use crate::agent::{self, AgentParams, Filter, Source};
use crate::app::App;
use crate::body::{Json, NoBody};
use crate::caller::{Caller, Permission};
use crate::code::Code;
use crate::envelope::{Confirmation, Failures, Items, Sequence, Words};
use crate::format;
use crate::list::List;
use crate::list::memory::{Cell, Record, Table};
use crate::params::{FromQuery, InPath, NoParams, Params, group_name};
use crate::problem::Problem;
use crate::query::{Query, required};
use crate::reply::Reply;
use crate::writer::Writer;

/// Fields of a group object. The sums appear once groups have files.
const TABLE: Table<4> = Table(["name", "count", "mergedSum", "configSum"]);

/// Sums that a client may ask for.
const HASHES: [(&str, ()); 12] = [
    ("md5", ()),
    ("sha1", ()),
    ("sha224", ()),
    ("sha256", ()),
    ("sha384", ()),
    ("sha512", ()),
    ("blake2b", ()),
    ("blake2s", ()),
    ("sha3_224", ()),
    ("sha3_256", ()),
    ("sha3_384", ()),
    ("sha3_512", ()),
];

/// Names of files beside the groups' directories, on which such a group would fall.
const RESERVED: [&str; 2] = ["ar.conf", "agent-template.conf"];

/// Longest name that can be given to a group here.
const NAME_LIMIT: usize = 128;

pub(super) struct ListParams {
    groups: Option<Vec<String>>,
    list: List<usize>,
}

impl FromQuery for ListParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        query.word("hash", &HASHES)?;
        Ok(Self { groups: query.list("groups_list", format::GROUP_NAME)?, list: TABLE.take(query)? })
    }
}

fn record(control: &Control, group: &Group) -> Record<4> {
    let count = control.agents().group_len(&group.name);
    [Cell::Text(group.name.to_string()), Cell::Number(count), Cell::Missing, Cell::Missing]
}

/// Lists groups.
pub(super) async fn list(caller: Caller, Params(params): Params<ListParams>) -> Result<Reply, Problem> {
    const WORDS: Words = Words {
        all: "All selected groups information was returned",
        some: "Some groups information was not returned",
        none: "No groups information was returned",
    };
    caller.authorize(Permission::GroupRead)?;
    let control = &caller.view.control;
    let mut failures = Failures::default();
    let mut groups: Vec<&Group> = match &params.groups {
        None => control.groups().collect(),
        Some(names) => {
            let mut found = Vec::with_capacity(names.len());
            for name in names {
                match name.parse().ok().and_then(|name: GroupName| control.group(&name)) {
                    Some(group) => found.push(group),
                    None => failures.add(Code::UnknownGroup, name),
                }
            }
            found
        }
    };
    groups.sort_by_cached_key(|group| (group.name.as_str().to_lowercase(), group.name.clone()));
    let listed = TABLE.list(groups.into_iter().map(|group| record(control, group)), &params.list);
    Reply::json(caller.view.index, &Items::new(&listed.items, listed.total, &failures, WORDS))
}

/// The body of `POST /groups`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    group_id: String,
}

/// Creates a group.
pub(super) async fn create(
    writer: Writer,
    State(app): State<Arc<App>>,
    _: Params<NoParams>,
    Json(NewGroup { group_id }): Json<NewGroup>,
) -> Result<Reply, Problem> {
    if group_id.len() > NAME_LIMIT {
        return Err(Problem::schema(format!("body: group_id: more than {NAME_LIMIT} characters")));
    }
    let name = group_name(&group_id)?;
    writer.authorize(Permission::GroupCreate)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(Problem::refused(Code::GroupNameReserved));
    }
    let index = app.propose_whole(&writer, Change::CreateGroup(name)).await?;
    Reply::json(index, &Confirmation::new(format!("Group '{group_id}' created.")))
}

/// The groups to remove; `None`: all but the default one.
pub(super) struct RemoveParams(Option<Vec<GroupName>>);

impl FromQuery for RemoveParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let names = required("groups_list", query.list("groups_list", format::GROUP_NAME_OR_ALL)?)?;
        if names.iter().any(|name| name == "all") {
            return Ok(Self(None));
        }
        names.iter().map(|name| group_name(name)).collect::<Result<_, _>>().map(|names| Self(Some(names)))
    }
}

/// Removes groups; their members leave them.
pub(super) async fn remove(
    writer: Writer,
    State(app): State<Arc<App>>,
    Params(RemoveParams(groups)): Params<RemoveParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    const WORDS: Words = Words {
        all: "All selected groups were deleted",
        some: "Some groups were not deleted",
        none: "No group was deleted",
    };
    writer.authorize(Permission::GroupDelete)?;
    let is_implicit = groups.is_none();
    let (index, outcome) = app.propose_for_groups(&writer, Change::RemoveGroups(RemoveGroups { groups })).await?;
    let mut failures = Failures::default();
    outcome.refused.iter().for_each(|refused| failures.add(Code::from(refused.refusal), &refused.group));
    if is_implicit {
        failures.suppress(&[Code::UnknownGroup, Code::DefaultGroup]);
    }
    let names = Sequence(outcome.done.iter().map(GroupName::as_str));
    Reply::json(index, &Items::new(names, outcome.done.len(), &failures, WORDS))
}

pub(super) struct MembersParams(AgentParams);

impl FromQuery for MembersParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let filter = Filter::take_statuses(query)?;
        AgentParams::take(query, filter).map(Self)
    }
}

/// Lists the members of a group.
pub(super) async fn agents(
    caller: Caller,
    State(app): State<Arc<App>>,
    InPath(group): InPath<GroupName>,
    Params(MembersParams(params)): Params<MembersParams>,
) -> Result<Reply, Problem> {
    caller.authorize(Permission::GroupRead)?;
    caller.authorize(Permission::AgentRead)?;
    if caller.view.control.group(&group).is_none() {
        let problem = Problem::not_found(Some(Code::UnknownGroup), Code::UnknownGroup.message());
        return Err(problem.at(caller.view.index));
    }
    let source = Source::Group(group);
    let cost = params.cost(&source, &caller.view.control);
    app.scan(caller.view, cost, move |view| agent::list(view, &source, &params)).await
}
