//! `DELETE /agents`

use std::sync::Arc;

use axum::extract::State;
use muster_control::{AgentId, AgentSet, Change, Millis, RemoveAgents, Status};

use crate::agent::{self, Filter, STATUSES};
use crate::app::App;
use crate::body::NoBody;
use crate::caller::Permission;
use crate::code::Code;
use crate::envelope::{Failures, Ids, Items, Words};
use crate::list::refuse_query_language;
use crate::params::{AgentList, FromQuery, Params};
use crate::problem::Problem;
use crate::query::{Query, required};
use crate::reply::Reply;
use crate::writer::Writer;

/// Agents that were heard of within this span are not removed, unless the request says another.
const DEFAULT_AGE: Millis = Millis::from_secs(7 * 86_400);

/// What is hidden when the agents were not listed one by one.
const SUPPRESSED: [Code; 3] = [Code::UnknownAgent, Code::Manager, Code::NotEligible];

const WORDS: Words = Words {
    all: "All selected agents were deleted",
    some: "Some agents were not deleted",
    none: "No agents were deleted",
};

pub(super) struct RemoveParams {
    /// These; `None`: all.
    agents: Option<AgentList>,
    filter: Filter,
    statuses: Option<Vec<Status>>,
    older_than: Millis,
}

impl FromQuery for RemoveParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        // An id is never given again, so that there is no tombstone whose keeping could be chosen.
        query.flag("purge")?;
        refuse_query_language(query)?;
        let agents = required("agents_list", AgentList::take_or_all(query, "agents_list")?)?;
        let words = STATUSES.map(|(word, status)| (word, Some(status)));
        let words: Vec<_> = words.into_iter().chain([("all", None)]).collect();
        let statuses = required("status", query.words("status", &words)?)?;
        Ok(Self {
            agents,
            filter: Filter::take(query)?,
            statuses: statuses.into_iter().collect(),
            older_than: query.timeframe("older_than")?.map_or(DEFAULT_AGE, Millis::from_secs),
        })
    }
}

/// Removes agents.
///
/// Status and age are judged when the change is applied. The other conditions are about what an agent was told or
/// tells itself; they are judged before, on a linearizable read.
pub(super) async fn remove(
    writer: Writer,
    State(app): State<Arc<App>>,
    Params(params): Params<RemoveParams>,
    _: NoBody,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::AgentDelete)?;
    let RemoveParams { agents, filter, statuses, older_than } = params;
    let is_implicit = agents.is_none();
    let mut failures = Failures::default();
    for id in agents.iter().flat_map(|list| &list.beyond) {
        failures.add(Code::UnknownAgent, id);
    }
    let listed = agents.map(|list| list.ids);
    let (set, unmet) = if filter.has_texts() {
        let view = writer.read(&app).await?;
        let cost = view.control.agents().len();
        app.scan(view, cost, move |view| Ok(narrowed(view, listed, &filter))).await?
    } else {
        (listed.map_or(AgentSet::All, AgentSet::Only), Vec::new())
    };
    unmet.iter().for_each(|id| failures.add(Code::NotEligible, id));
    let change = Change::RemoveAgents(RemoveAgents { agents: set, statuses, older_than });
    let (index, outcome) = app.propose_for_agents(&writer, change).await?;
    failures.add_agents(&outcome.refused);
    let removed = outcome.done;
    if is_implicit {
        failures.suppress(&SUPPRESSED);
    }
    Reply::json(index, &Items::new(Ids(&removed), removed.len(), &failures, WORDS))
}

/// Those of the agents that meet the filter, with those that do not exist; and those that do not meet it.
fn narrowed(view: &muster_raft::View, listed: Option<Vec<AgentId>>, filter: &Filter) -> (AgentSet, Vec<AgentId>) {
    let control = &view.control;
    let agents = control.agents();
    let Some(listed) = listed else {
        let (met, unmet) = agent::split(control, agents.iter().map(|agent| &**agent), filter);
        return (AgentSet::Only(met), unmet);
    };
    let known = listed.iter().filter_map(|id| agents.get(*id)).map(|agent| &**agent);
    let (mut met, unmet) = agent::split(control, known, filter);
    met.extend(listed.iter().filter(|id| agents.get(**id).is_none()));
    (AgentSet::Only(met), unmet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::parse;

    #[test]
    fn agents_and_status_are_required_and_the_age_is_seven_days_by_default() {
        for raw in ["agents_list=001", "status=all", "agents_list=001&status=gone", "agents_list=001&status=all&q=id=1"]
        {
            assert!(parse::<RemoveParams>(Some(raw)).is_err(), "{raw}");
        }
        let params: RemoveParams = parse(Some("agents_list=001&status=all&purge=true")).unwrap();
        assert_eq!((params.older_than, params.statuses), (DEFAULT_AGE, None));
        let params: RemoveParams = parse(Some("agents_list=all&status=active&older_than=0s")).unwrap();
        assert_eq!((params.older_than, params.agents), (Millis::new(0), None));
        assert_eq!(params.statuses, Some(vec![Status::Active]));
    }
}
