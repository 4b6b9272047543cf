//! One agent as it is listed: the values of its fields, borrowed from the state.

use muster_control::{Agent, AgentId, Control, GroupName, Label, NodeName, Stamp, Status};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::field::{Field, Fields};
use crate::moment::Moment;

/// Version of the Wazuh API and manager that clients are shown: the level this program is compatible with.
pub(crate) const REFERENCE_VERSION: &str = "4.14.9";

/// Last keepalive of agent 000, as clients expect it.
const NEVER_LATE: Stamp = Stamp::from_millis(253_402_300_799_000);

/// Agent 000, which stands for the manager. It is stored nowhere: each node makes the same one from the record of
/// the node with the lowest id.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    /// Name of that node.
    pub(crate) name: NodeName,
    since: Stamp,
}

impl Manager {
    /// The manager of this state; none before the first node has registered.
    pub(crate) fn of(control: &Control) -> Option<Self> {
        control.nodes().next().map(|node| Self { name: node.name.clone(), since: node.started_at })
    }
}

/// One agent to be listed.
#[derive(Clone, Copy)]
pub(crate) enum Row<'a> {
    /// A registered agent, and the state that knows the names of nodes.
    Agent(&'a Agent, &'a Control),
    /// Agent 000.
    Manager(&'a Manager),
}

/// Value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// There is none.
    Missing,
    /// An agent id.
    Id(AgentId),
    /// A small number.
    Number(u8),
    /// A moment.
    At(Stamp),
    /// A text.
    Text(&'a str),
    /// Names of groups in order of priority; at least one.
    Groups(&'a [GroupName]),
}

impl<'a> Row<'a> {
    /// The id of the agent.
    pub(crate) fn id(&self) -> AgentId {
        match self {
            Self::Agent(agent, _) => agent.id,
            Self::Manager(_) => AgentId::MANAGER,
        }
    }

    /// The value of a field.
    pub(crate) fn value(&self, field: Field) -> Value<'a> {
        match self {
            Self::Agent(agent, control) => agent_value(agent, control, field),
            Self::Manager(manager) => manager_value(manager, field),
        }
    }

    /// Reads a little of each part of the record, so that it is in a cache when it is needed. What comes back means
    /// nothing.
    pub(crate) fn touch(&self) -> u64 {
        match self {
            Self::Agent(agent, _) => {
                let name = agent.name.as_str().len() as u64;
                name ^ agent.revision.get() ^ agent.last_keepalive.map_or(0, Stamp::as_secs)
            }
            Self::Manager(_) => 0,
        }
    }

    /// The text of a field, if it has one.
    pub(crate) fn text(&self, field: Field) -> Option<&'a str> {
        match self.value(field) {
            Value::Text(text) => Some(text),
            Value::Missing | Value::Id(_) | Value::Number(_) | Value::At(_) | Value::Groups(_) => None,
        }
    }
}

impl Value<'_> {
    /// Reads the beginning of a text; as [`Row::touch`].
    pub(crate) fn touch(&self) -> u8 {
        let text = match self {
            Self::Text(text) => text.as_bytes(),
            Self::Groups(names) => names.first().map_or(&[][..], |name| name.as_str().as_bytes()),
            Self::Missing | Self::Id(_) | Self::Number(_) | Self::At(_) => &[],
        };
        text.first().copied().unwrap_or(0)
    }
}

fn manager_value<'a>(manager: &'a Manager, field: Field) -> Value<'a> {
    match field {
        Field::Id => Value::Id(AgentId::MANAGER),
        Field::Name | Field::Manager | Field::NodeName => Value::Text(manager.name.as_str()),
        Field::Ip | Field::RegisterIp => Value::Text("127.0.0.1"),
        Field::Status => Value::Text(Status::Active.as_str()),
        Field::StatusCode => Value::Number(0),
        Field::GroupConfigStatus => Value::Text(SYNCED),
        Field::Version => Value::Text(MANAGER_VERSION),
        Field::DateAdd => Value::At(manager.since),
        Field::LastKeepAlive => Value::At(NEVER_LATE),
        Field::OsArch
        | Field::OsBuild
        | Field::OsCodename
        | Field::OsMajor
        | Field::OsMinor
        | Field::OsName
        | Field::OsPlatform
        | Field::OsUname
        | Field::OsVersion
        | Field::Group
        | Field::ConfigSum
        | Field::MergedSum
        | Field::DisconnectionTime => Value::Missing,
    }
}

/// [`REFERENCE_VERSION`] as agents tell theirs.
const MANAGER_VERSION: &str = "Wazuh v4.14.9";

const SYNCED: &str = "synced";
const NOT_SYNCED: &str = "not synced";

fn agent_value<'a>(agent: &'a Agent, control: &'a Control, field: Field) -> Value<'a> {
    match field {
        Field::Id => Value::Id(agent.id),
        Field::Name => Value::Text(agent.name.as_str()),
        Field::Ip => Value::Text(address(agent)),
        Field::RegisterIp => Value::Text(agent.address.as_str()),
        Field::Status => Value::Text(agent.status.as_str()),
        Field::StatusCode => Value::Number(agent.status_code.number()),
        Field::GroupConfigStatus => Value::Text(if is_synced(agent.status) { SYNCED } else { NOT_SYNCED }),
        Field::DateAdd => Value::At(agent.registered_at),
        Field::NodeName => Value::Text(owner(agent, control).unwrap_or("unknown")),
        Field::Group if agent.groups.is_empty() => Value::Missing,
        Field::Group => Value::Groups(&agent.groups),
        Field::LastKeepAlive => agent.last_keepalive.map_or(Value::Missing, Value::At),
        Field::DisconnectionTime => agent.disconnected_at().map_or(Value::Missing, Value::At),
        // The node an agent reports to is the one that owns it; clients expect it once there was a report.
        Field::Manager if agent.report.version.is_none() => Value::Missing,
        Field::Manager => owner(agent, control).map_or(Value::Missing, Value::Text),
        // Only here: the way to the report is two more reads of memory that no cache holds, for each row of a list.
        Field::Version => told(&agent.report.version),
        Field::ConfigSum => told(&agent.report.config_sum),
        Field::MergedSum => told(&agent.report.merged_sum),
        Field::OsUname => told(&agent.report.uname),
        Field::OsArch => told(&agent.report.os.arch),
        Field::OsBuild => told(&agent.report.os.build),
        Field::OsCodename => told(&agent.report.os.codename),
        Field::OsMajor => told(&agent.report.os.major),
        Field::OsMinor => told(&agent.report.os.minor),
        Field::OsName => told(&agent.report.os.name),
        Field::OsPlatform => told(&agent.report.os.platform),
        Field::OsVersion => told(&agent.report.os.version),
    }
}

fn owner<'a>(agent: &Agent, control: &'a Control) -> Option<&'a str> {
    agent.owner.and_then(|owner| control.node(owner)).map(|node| node.name.as_str())
}

/// Whether an agent of this status holds the files of its groups. Groups have no files yet, so that whoever was in
/// contact has nothing left to fetch.
pub(crate) const fn is_synced(status: Status) -> bool {
    !matches!(status, Status::NeverConnected)
}

/// The agent's own address as it told it, else the one it came from, else the one it was registered with.
fn address(agent: &Agent) -> &str {
    if let Some(address) = &agent.report.address {
        return address.as_str();
    }
    match &agent.session {
        Some(session) => host(session.peer.as_str()),
        None => agent.address.as_str(),
    }
}

/// The address in `address:port` or `[address]:port`.
fn host(peer: &str) -> &str {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn told(label: &Option<Label>) -> Value<'_> {
    match label {
        Some(text) if !text.as_str().is_empty() => Value::Text(text.as_str()),
        _ => Value::Missing,
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing => serializer.serialize_none(),
            Self::Id(id) => serializer.collect_str(id),
            Self::Number(number) => serializer.serialize_u8(*number),
            Self::At(stamp) => serializer.collect_str(&Moment::offset(*stamp)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Groups(names) => serializer.collect_seq(names.iter().map(GroupName::as_str)),
        }
    }
}

/// An agent object with some of its fields. Fields without a value are left out.
pub(crate) struct Item<'a> {
    /// The agent.
    pub(crate) row: Row<'a>,
    /// The fields.
    pub(crate) fields: Fields,
}

impl Item<'_> {
    fn values(&self) -> impl Iterator<Item = (Field, Value<'_>)> {
        let wanted = Field::ALL.iter().copied().filter(|field| self.fields.contains(*field));
        wanted.map(|field| (field, self.row.value(field))).filter(|(_, value)| *value != Value::Missing)
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut values = self.values().peekable();
        if values.peek().is_some_and(|(field, _)| field.os_leaf().is_some()) {
            map.serialize_entry("os", &Os(self))?;
        }
        for (field, value) in values.filter(|(field, _)| field.os_leaf().is_none()) {
            map.serialize_entry(field.name(), &value)?;
        }
        map.end()
    }
}

/// The nested object of the leaves of `os`.
struct Os<'a>(&'a Item<'a>);

impl Serialize for Os<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let leaves = self.0.values().map_while(|(field, value)| field.os_leaf().map(|leaf| (leaf, value)));
        serializer.collect_map(leaves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_peer_is_without_port_and_brackets() {
        assert_eq!(host("10.0.0.5:40112"), "10.0.0.5");
        assert_eq!(host("[2001:db8::1]:40112"), "2001:db8::1");
    }

    #[test]
    fn agent_000_is_written_as_clients_know_it() {
        let manager = Manager { name: "node-1".parse().unwrap(), since: Stamp::from_millis(1_709_994_123_000) };
        let item = Item { row: Row::Manager(&manager), fields: Fields::ALL };
        let expected = serde_json::json!({
            "id": "000", "name": "node-1", "manager": "node-1", "node_name": "node-1", "ip": "127.0.0.1",
            "registerIP": "127.0.0.1", "status": "active", "status_code": 0, "group_config_status": "synced",
            "version": format!("Wazuh v{REFERENCE_VERSION}"), "dateAdd": "2024-03-09T14:22:03+00:00",
            "lastKeepAlive": "9999-12-31T23:59:59+00:00",
        });
        assert_eq!(serde_json::to_value(&item).unwrap(), expected);
    }

    #[test]
    fn only_selected_fields_are_written() {
        let manager = Manager { name: "node-1".parse().unwrap(), since: Stamp::default() };
        let item = Item { row: Row::Manager(&manager), fields: Fields::of(&[Field::Id, Field::OsName, Field::Name]) };
        assert_eq!(serde_json::to_string(&item).unwrap(), r#"{"id":"000","name":"node-1"}"#);
    }
}
