//! Agents into groups and out of them.

use std::sync::Arc;

use axum::extract::State;
use muster_control::{AgentId, AgentSet, AssignGroup, Change, GroupName, LeaveGroups, RefusedAgent, UnassignGroup};

use crate::app::App;
use crate::body::NoBody;
use crate::caller::Permission;
use crate::code::Code;
use crate::envelope::{Confirmation, Failures, Ids, Items, Sequence, Words};
use crate::format;
use crate::params::{AgentList, AgentRef, FromQuery, InPath, NoParams, Params, group_name};
use crate::problem::Problem;
use crate::query::{Query, required};
use crate::reply::Reply;
use crate::writer::Writer;

const ASSIGN: Words = Words {
    all: "All selected agents were assigned to the group",
    some: "Some agents were not assigned to the group",
    none: "No agents were assigned to the group",
};

const UNASSIGN: Words = Words {
    all: "All selected agents were removed from the group",
    some: "Some agents were not removed from the group",
    none: "No agents were removed from the group",
};

const LEAVE: Words = Words {
    all: "Specified agent was removed from all selected groups",
    some: "Specified agent was not removed from some groups",
    none: "Specified agent was removed from no group",
};

fn authorize(writer: &Writer) -> Result<(), Problem> {
    writer.authorize(Permission::AgentModifyGroup)?;
    writer.authorize(Permission::GroupModifyAssignments)
}

pub(super) struct AssignParams {
    group: GroupName,
    agents: Option<AgentList>,
    replace: bool,
}

impl FromQuery for AssignParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let group = required("group_id", query.text("group_id", format::GROUP_NAME)?)?;
        Ok(Self {
            group: group_name(&group)?,
            agents: AgentList::take(query, "agents_list")?,
            replace: query.flag("force_single_group")?,
        })
    }
}

/// Adds listed agents, or all, to a group.
pub(super) async fn assign(
    writer: Writer,
    State(app): State<Arc<App>>,
    Params(params): Params<AssignParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    authorize(&writer)?;
    let AssignParams { group, agents, replace } = params;
    let hidden: &[Code] = match agents {
        None => &[Code::UnknownAgent, Code::Manager, Code::AlreadyMember],
        Some(_) => &[],
    };
    let change = |agents| Change::AssignGroup(AssignGroup { agents, group, replace });
    for_agents(&app, &writer, agents, change, hidden, ASSIGN).await
}

pub(super) struct AssignOneParams {
    replace: bool,
}

impl FromQuery for AssignOneParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        Ok(Self { replace: query.flag("force_single_group")? })
    }
}

/// Adds one agent to a group.
pub(super) async fn assign_one(
    writer: Writer,
    State(app): State<Arc<App>>,
    InPath((agent, group)): InPath<(AgentRef, GroupName)>,
    Params(AssignOneParams { replace }): Params<AssignOneParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    authorize(&writer)?;
    let change = |agents| Change::AssignGroup(AssignGroup { agents, group, replace });
    for_agents(&app, &writer, Some(AgentList::new([agent])), change, &[], ASSIGN).await
}

pub(super) struct UnassignParams {
    group: GroupName,
    agents: Option<AgentList>,
}

impl FromQuery for UnassignParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let group = required("group_id", query.text("group_id", format::GROUP_NAME)?)?;
        let agents = required("agents_list", AgentList::take_or_all(query, "agents_list")?)?;
        Ok(Self { group: group_name(&group)?, agents })
    }
}

/// Takes listed agents, or all, out of a group.
pub(super) async fn unassign(
    writer: Writer,
    State(app): State<Arc<App>>,
    Params(UnassignParams { group, agents }): Params<UnassignParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    authorize(&writer)?;
    let hidden: &[Code] = match agents {
        None => &[Code::UnknownAgent, Code::Manager, Code::NotMember],
        Some(_) => &[],
    };
    let change = |agents| Change::UnassignGroup(UnassignGroup { agents, group });
    for_agents(&app, &writer, agents, change, hidden, UNASSIGN).await
}

/// Proposes a change of one group's members and answers agent by agent.
async fn for_agents(
    app: &App,
    writer: &Writer,
    agents: Option<AgentList>,
    change: impl FnOnce(AgentSet) -> Change,
    hidden: &[Code],
    words: Words,
) -> Result<Reply, Problem> {
    let mut failures = Failures::default();
    agents.iter().flat_map(|list| &list.beyond).for_each(|id| failures.add(Code::UnknownAgent, id));
    let set = agents.map_or(AgentSet::All, |list| AgentSet::Only(list.ids));
    let (index, outcome) = app.propose_for_agents(writer, change(set)).await?;
    failures.add_agents(&outcome.refused);
    failures.suppress(hidden);
    Reply::json(index, &Items::new(Ids(&outcome.done), outcome.done.len(), &failures, words))
}

pub(super) struct LeaveParams {
    groups: Option<Vec<GroupName>>,
}

impl FromQuery for LeaveParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let Some(names) = query.list("groups_list", format::GROUP_NAME)? else { return Ok(Self { groups: None }) };
        let groups = names.iter().map(|name| group_name(name)).collect::<Result<_, _>>()?;
        Ok(Self { groups: Some(groups) })
    }
}

/// Takes one agent out of listed groups, or all.
pub(super) async fn leave(
    writer: Writer,
    State(app): State<Arc<App>>,
    InPath(agent): InPath<AgentRef>,
    Params(LeaveParams { groups }): Params<LeaveParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    authorize(&writer)?;
    let agent = existing(agent)?;
    let hidden: &[Code] = match groups {
        None => &[Code::UnknownGroup, Code::NotMember, Code::OnlyDefault],
        Some(_) => &[],
    };
    let (index, outcome) = app.propose_for_groups(&writer, Change::LeaveGroups(LeaveGroups { agent, groups })).await?;
    let mut failures = Failures::default();
    outcome.refused.iter().for_each(|refused| failures.add(Code::from(refused.refusal), &refused.group));
    failures.suppress(hidden);
    let mut left: Vec<&str> = outcome.done.iter().map(GroupName::as_str).collect();
    left.sort_unstable();
    Reply::json(index, &Items::new(Sequence(left.iter()), left.len(), &failures, LEAVE))
}

/// Takes one agent out of one group.
pub(super) async fn unassign_one(
    writer: Writer,
    State(app): State<Arc<App>>,
    InPath((agent, group)): InPath<(AgentRef, GroupName)>,
    _: Params<NoParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    authorize(&writer)?;
    let agent = existing(agent)?;
    let change = UnassignGroup { agents: AgentSet::Only(vec![agent]), group: group.clone() };
    let (index, outcome) = app.propose_for_agents(&writer, Change::UnassignGroup(change)).await?;
    if let Some(RefusedAgent { refusal, .. }) = outcome.refused.first() {
        return Err(Problem::from_refusal(*refusal, index));
    }
    // Clients compare these words (REST contract, section 1.13).
    let fall_back = if outcome.fell_back.contains(&agent) { " Agent reassigned to group default." } else { "" };
    Reply::json(index, &Confirmation::new(format!("Agent '{agent}' removed from '{group}'.{fall_back}")))
}

/// The id of an agent that may be registered: where a request is about one agent, the others end it.
fn existing(agent: AgentRef) -> Result<AgentId, Problem> {
    match agent {
        AgentRef::Id(AgentId::MANAGER) => Err(Problem::refused(Code::Manager)),
        AgentRef::Id(id) => Ok(id),
        AgentRef::Beyond(_) => Err(not_found(Code::UnknownAgent)),
    }
}

fn not_found(code: Code) -> Problem {
    Problem::not_found(Some(code), code.message())
}
