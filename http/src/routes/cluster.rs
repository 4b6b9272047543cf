//! `/cluster`: the cluster as clients of the reference know it. The leader is its master, everybody else a worker.

use std::sync::Arc;

use axum::extract::State;
use muster_control::{Control, Node, NodeId, NodeName};
use serde::Serialize;

use crate::agent::REFERENCE_VERSION;
use crate::app::App;
use crate::caller::{Caller, Permission};
use crate::code::Code;
use crate::envelope::{Failures, Items, Object, Words};
use crate::format::{self, Format};
use crate::list::List;
use crate::list::memory::{Cell, Table};
use crate::moment::Moment;
use crate::params::{FromQuery, NoParams, Params};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;

const TABLE: Table<4> = Table(["name", "type", "version", "ip"]);

const NODES: Words = Words {
    all: "All selected nodes information was returned",
    some: "Some nodes information was not returned",
    none: "No nodes information was returned",
};

/// What a node is to clients of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum NodeType {
    Master,
    Worker,
}

impl NodeType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Worker => "worker",
        }
    }

    fn of(node: NodeId, leader: Option<NodeId>) -> Self {
        if leader == Some(node) { Self::Master } else { Self::Worker }
    }
}

/// The nodes with their types: the leader first, then in order of ids.
fn nodes_of(control: &Control, leader: Option<NodeId>) -> Vec<(&Node, NodeType)> {
    let mut nodes: Vec<_> = control.nodes().map(|node| (node, NodeType::of(node.id, leader))).collect();
    nodes.sort_by_key(|(_, kind)| *kind != NodeType::Master);
    nodes
}

/// The address of a node, without a port.
fn host(node: &Node) -> &str {
    let address = node.address.as_str();
    match address.parse::<std::net::IpAddr>() {
        Ok(_) => address,
        Err(_) => {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
        }
    }
}

/// Whether the cluster works. It does, or this would not be answered.
pub(super) async fn status(caller: Caller, _: Params<NoParams>) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct ClusterStatus {
        enabled: &'static str,
        running: &'static str,
    }
    caller.authorize(Permission::ClusterStatus)?;
    Reply::json(caller.view.index, &Object::new(ClusterStatus { enabled: "yes", running: "yes" }))
}

pub(super) struct NodesParams {
    names: Option<Vec<String>>,
    kind: Option<NodeType>,
    list: List<usize>,
}

const NODE_TYPE: Format = Format {
    name: "node type",
    accepts: |text| ["worker", "master"].iter().any(|word| word.eq_ignore_ascii_case(text)),
};

impl FromQuery for NodesParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        let kind = match query.text("type", NODE_TYPE)?.as_deref() {
            None => None,
            Some("worker") => Some(NodeType::Worker),
            Some("master") => Some(NodeType::Master),
            Some(_) => return Err(Problem::refused(Code::NodeType)), // the right word in another case
        };
        Ok(Self { names: query.list("nodes_list", format::NAMES)?, kind, list: TABLE.take(query)? })
    }
}

/// Lists the nodes.
pub(super) async fn nodes(
    caller: Caller,
    State(app): State<Arc<App>>,
    Params(NodesParams { names, kind, list }): Params<NodesParams>,
) -> Result<Reply, Problem> {
    caller.authorize(Permission::ClusterRead)?;
    let control = &caller.view.control;
    let mut failures = Failures::default();
    for name in names.iter().flatten() {
        if name.parse::<NodeName>().ok().and_then(|name| control.node_named(&name)).is_none() {
            failures.add(Code::UnknownNode, name);
        }
    }
    let wanted = |node: &Node, of: NodeType| {
        kind.is_none_or(|kind| kind == of)
            && names.as_ref().is_none_or(|names| names.iter().any(|name| name == node.name.as_str()))
    };
    let nodes = nodes_of(control, app.replica().status().leader).into_iter().filter(|(node, of)| wanted(node, *of));
    let records = nodes.map(|(node, kind)| {
        [node.name.as_str(), kind.as_str(), REFERENCE_VERSION, host(node)].map(|text| Cell::Text(text.to_owned()))
    });
    let listed = TABLE.list(records, &list);
    Reply::json(caller.view.index, &Items::new(&listed.items, listed.total, &failures, NODES))
}

pub(super) struct HealthParams(Option<Vec<String>>);

impl FromQuery for HealthParams {
    fn take(query: &mut Query) -> Result<Self, Problem> {
        query.list("nodes_list", format::NAMES).map(Self)
    }
}

#[derive(Serialize)]
struct Health<'a> {
    info: HealthInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<SyncStatus>,
}

#[derive(Serialize)]
struct HealthInfo<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: NodeType,
    version: &'static str,
    ip: &'a str,
    n_active_agents: u32,
}

/// What the reference tells of its file synchronisation. Here one log is replicated: all dates are that of the last
/// entry, nothing is ever missing or left over.
#[derive(Serialize)]
struct SyncStatus {
    sync_integrity_free: bool,
    last_check_integrity: MasterSpan,
    last_sync_integrity: FileSync,
    sync_agent_info_free: bool,
    last_sync_agentinfo: ChunkSync,
    last_sync_agentgroup: GroupSync,
    last_sync_full_agentgroup: GroupSync,
    last_keep_alive: Moment,
}

#[derive(Clone, Copy, Serialize)]
struct MasterSpan {
    date_start_master: Moment,
    date_end_master: Moment,
}

#[derive(Serialize)]
struct FileSync {
    #[serde(flatten)]
    span: MasterSpan,
    total_extra_valid: u32,
    total_files: FileCounts,
}

#[derive(Serialize)]
struct FileCounts {
    missing: u32,
    extra: u32,
    shared: u32,
}

#[derive(Serialize)]
struct ChunkSync {
    #[serde(flatten)]
    span: MasterSpan,
    n_synced_chunks: u32,
}

#[derive(Clone, Copy, Serialize)]
struct GroupSync {
    date_start: Moment,
    date_end: Moment,
    n_synced_chunks: u32,
}

impl SyncStatus {
    fn at(moment: Moment) -> Self {
        let span = MasterSpan { date_start_master: moment, date_end_master: moment };
        let groups = GroupSync { date_start: moment, date_end: moment, n_synced_chunks: 0 };
        Self {
            sync_integrity_free: true,
            last_check_integrity: span,
            last_sync_integrity: FileSync {
                span,
                total_extra_valid: 0,
                total_files: FileCounts { missing: 0, extra: 0, shared: 0 },
            },
            sync_agent_info_free: true,
            last_sync_agentinfo: ChunkSync { span, n_synced_chunks: 0 },
            last_sync_agentgroup: groups,
            last_sync_full_agentgroup: groups,
            last_keep_alive: moment,
        }
    }
}

/// Tells how the nodes are; names that belong to none are left out.
pub(super) async fn healthcheck(
    caller: Caller,
    State(app): State<Arc<App>>,
    Params(HealthParams(names)): Params<HealthParams>,
) -> Result<Reply, Problem> {
    caller.authorize(Permission::ClusterRead)?;
    let control = &caller.view.control;
    let now = Moment::micros(control.clock());
    let wanted = |node: &Node| names.as_ref().is_none_or(|names| names.iter().any(|name| name == node.name.as_str()));
    let mut nodes = nodes_of(control, app.replica().status().leader);
    nodes.retain(|(node, _)| wanted(node));
    nodes.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
    let health: Vec<Health<'_>> = nodes
        .into_iter()
        .map(|(node, kind)| Health {
            info: HealthInfo {
                name: node.name.as_str(),
                kind,
                version: REFERENCE_VERSION,
                ip: host(node),
                n_active_agents: control.agents().counters().active_on(node.id),
            },
            status: (kind == NodeType::Worker).then(|| SyncStatus::at(now)),
        })
        .collect();
    let total = health.len();
    Reply::json(caller.view.index, &Items::new(health, total, &Failures::default(), NODES))
}

/// Tells which node answers.
pub(super) async fn local_info(
    caller: Caller,
    State(app): State<Arc<App>>,
    _: Params<NoParams>,
) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct LocalInfo<'a> {
        node: &'a str,
        cluster: &'a str,
        #[serde(rename = "type")]
        kind: NodeType,
    }
    caller.authorize(Permission::ClusterRead)?;
    let config = app.config();
    let kind = NodeType::of(app.replica().node_id(), app.replica().status().leader);
    let info = [LocalInfo { node: config.node_name.as_str(), cluster: &config.cluster_name, kind }];
    Reply::json(caller.view.index, &Items::new(info, 1, &Failures::default(), NODES))
}
