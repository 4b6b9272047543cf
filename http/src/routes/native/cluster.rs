//! `GET /v1/cluster`

use std::sync::Arc;

use axum::extract::State;
use muster_control::{LogIndex, Node};
use muster_raft::Role;
use serde::Serialize;

use crate::app::App;
use crate::caller::{Caller, Permission};
use crate::moment::Moment;
use crate::params::{NoParams, Params};
use crate::problem::Problem;
use crate::reply::Reply;

/// The Raft group as the answering node sees it. Ids, terms and indexes are numbers; spans are in milliseconds.
#[derive(Serialize)]
struct Cluster<'a> {
    name: &'a str,
    /// The index the records of the nodes were read at.
    index: u64,
    clock: Moment,
    leader: Option<u64>,
    term: u64,
    /// The node that answers.
    local: Local,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Local {
    node_id: u64,
    generation: u64,
    role: &'static str,
    last_log_index: u64,
    committed_index: u64,
    applied_index: u64,
    snapshot_index: u64,
    purged_index: u64,
    ready: bool,
    not_ready: Vec<String>,
}

#[derive(Serialize)]
struct Member<'a> {
    node_id: u64,
    /// Where its peers reach it.
    peer_address: &'a str,
    voter: bool,
    leader: bool,
    /// Last entry known to be on its disk; only the leader knows.
    matched_index: Option<u64>,
    /// Entries it is behind the leader; only the leader knows.
    lag: Option<u64>,
    last_contact_ms: Option<u64>,
    /// What the state knows of it, once it has registered.
    #[serde(flatten)]
    registered: Option<Registered<'a>>,
}

#[derive(Serialize)]
struct Registered<'a> {
    name: &'a str,
    address: &'a str,
    version: &'a str,
    generation: u64,
    started_at: Moment,
    /// Its sessions end when the clock passes this; `null` while it has no lease.
    lease_until: Option<Moment>,
    active_agents: u32,
}

fn registered(node: &Node, active_agents: u32) -> Registered<'_> {
    Registered {
        name: node.name.as_str(),
        address: node.address.as_str(),
        version: node.version.as_str(),
        generation: node.generation.get(),
        started_at: Moment::millis(node.started_at),
        lease_until: node.lease_until.map(Moment::millis),
        active_agents,
    }
}

/// Members, leader, term, indexes, lags.
pub(in crate::routes) async fn cluster(
    caller: Caller,
    State(app): State<Arc<App>>,
    _: Params<NoParams>,
) -> Result<Reply, Problem> {
    caller.authorize(Permission::ClusterRead)?;
    let control = &caller.view.control;
    let status = app.replica().status();
    let members = status.members.iter().map(|member| Member {
        node_id: member.node_id.get(),
        peer_address: &member.address,
        voter: member.is_voter,
        leader: status.leader == Some(member.node_id),
        matched_index: member.matched.map(LogIndex::get),
        lag: member.lag,
        last_contact_ms: member.last_contact.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        registered: control
            .node(member.node_id)
            .map(|node| registered(node, control.agents().counters().active_on(node.id))),
    });
    let body = Cluster {
        name: &app.config().cluster_name,
        index: caller.view.index.get(),
        clock: Moment::millis(control.clock()),
        leader: status.leader.map(|leader| leader.get()),
        term: status.term,
        local: Local {
            node_id: status.node_id.get(),
            generation: status.generation.get(),
            role: role(status.role),
            last_log_index: status.last_log.get(),
            committed_index: status.committed.get(),
            applied_index: status.applied.get(),
            snapshot_index: status.snapshot.get(),
            purged_index: status.purged.get(),
            ready: status.is_ready(),
            not_ready: status.not_ready.iter().map(ToString::to_string).collect(),
        },
        members: members.collect(),
    };
    Reply::json(caller.view.index, &body)
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    }
}
