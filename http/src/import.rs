//! What `POST /v1/import/agents` takes and answers. `muster import` is its client and speaks through these types.

use muster_control::{
    AgentId, ImportAgents, ImportedAgent, InvalidText, Label, OperatingSystem, Past, Report, Shared, Stamp, StatusCode,
};
use serde::{Deserialize, Serialize};

use crate::address;

/// Most agents, groups or removed ids of one request: an entry of that size is applied in some milliseconds.
pub const IMPORT_LIMIT: usize = 2_000;

/// Agents take ids of at most eight digits (agent protocol, section 1.6).
const LAST_ID: u32 = 99_999_999;

/// One batch of an import, see [`ImportAgents`]. Ids are texts (`001`), moments are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportBatch {
    /// The highest id of the whole import, removed agents included.
    pub through: String,
    /// Groups to create if they are not there.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Agents to register.
    #[serde(default)]
    pub agents: Vec<ImportAgent>,
    /// Ids that are used up.
    #[serde(default)]
    pub removed: Vec<String>,
    /// Whether to register the other agents of the batch although some cannot be.
    #[serde(default)]
    pub skip_conflicts: bool,
    /// Only tells what would become of each agent.
    #[serde(default)]
    pub dry_run: bool,
}

/// One agent as the other manager had it, see [`ImportedAgent`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportAgent {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it may come from.
    pub address: String,
    /// The secret of its channel.
    pub key: String,
    /// Its groups in order of priority.
    #[serde(default)]
    pub groups: Vec<String>,
    /// When it was registered.
    pub registered_at: Option<u64>,
    /// Missing if it never connected.
    pub past: Option<ImportPast>,
    /// What it told about itself.
    #[serde(default)]
    pub report: ImportReport,
}

/// What the other manager knew of an agent's connection, see [`Past`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportPast {
    /// When it last sent a keepalive.
    pub last_keepalive: Option<u64>,
    /// When its last connection ended.
    pub disconnected_at: Option<u64>,
    /// Why it ended: 0, 3, 4 or 5 (REST contract, section 3.2).
    pub status_code: u8,
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<String>,)*
        }
    };
}

texts! {
    /// What an agent told about itself, see [`Report`] and [`OperatingSystem`].
    ImportReport {
        /// `Wazuh vX.Y.Z`.
        version,
        /// Sum of its configuration.
        config_sum,
        /// Sum of the group files it holds.
        merged_sum,
        /// Its address as it sees it.
        ip,
        /// The uname line.
        os_uname,
        /// Such as `Debian GNU/Linux`.
        os_name,
        /// Such as `12`.
        os_version,
        /// Leading number of the version.
        os_major,
        /// Second number of the version.
        os_minor,
        /// Such as `bookworm`.
        os_codename,
        /// Build number, on Windows.
        os_build,
        /// Such as `debian`.
        os_platform,
        /// Such as `x86_64`.
        os_arch,
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportAnswer {
    /// Whether anything was written: not for a dry run, nor with conflicts that are not to be skipped.
    pub written: bool,
    /// Ids of the agents that were registered; of a dry run, that would be.
    pub added: Vec<String>,
    /// How many were registered already and stay as they are.
    pub unchanged: usize,
    /// Those that cannot be registered.
    pub conflicts: Vec<ImportConflict>,
}

/// Why one agent cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportConflict {
    /// The agent.
    pub id: String,
    /// In words.
    pub reason: String,
}

impl ImportBatch {
    /// The change that this stands for.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn to_change(&self) -> Result<ImportAgents, String> {
        for (what, count) in
            [("agents", self.agents.len()), ("groups", self.groups.len()), ("removed", self.removed.len())]
        {
            if count > IMPORT_LIMIT {
                return Err(format!("{what}: at most {IMPORT_LIMIT} in one request, not {count}"));
            }
        }
        let agent = |(place, agent): (usize, &ImportAgent)| {
            agent.to_change().map_err(|error| format!("agents[{place}]: {error}"))
        };
        Ok(ImportAgents {
            through: id(&self.through).map_err(|error| format!("through: {error}"))?,
            groups: all(&self.groups).map_err(|error| format!("groups: {error}"))?,
            agents: self.agents.iter().enumerate().map(agent).collect::<Result<_, _>>()?,
            removed: self.removed.iter().map(|text| id(text)).collect::<Result<_, _>>()?,
            skip_conflicts: self.skip_conflicts,
        })
    }
}

impl ImportAgent {
    fn to_change(&self) -> Result<ImportedAgent, String> {
        let text = |error: InvalidText| error.to_string();
        Ok(ImportedAgent {
            id: id(&self.id)?,
            name: self.name.parse().map_err(text)?,
            key: self.key.parse().map_err(text)?,
            address: address::imported(&self.address).ok_or("neither 'any' nor an address nor a network")?,
            groups: all(&self.groups).map_err(text)?,
            registered_at: self.registered_at.map(stamp),
            past: self.past.as_ref().map(ImportPast::to_change).transpose()?,
            report: self.report.to_change(),
        })
    }
}

impl ImportPast {
    fn to_change(&self) -> Result<Past, String> {
        let codes = [StatusCode::None, StatusCode::Shutdown, StatusCode::Silent, StatusCode::NodeLost];
        let status_code = codes.into_iter().find(|code| code.number() == self.status_code);
        Ok(Past {
            last_keepalive: self.last_keepalive.map(stamp),
            disconnected_at: self.disconnected_at.map(stamp),
            status_code: status_code.ok_or("status_code has to be 0, 3, 4 or 5")?,
        })
    }
}

impl ImportReport {
    fn to_change(&self) -> Report {
        let label = |text: &Option<String>| text.as_deref().map(Label::truncated);
        Report {
            version: label(&self.version),
            os: Shared::new(OperatingSystem {
                name: label(&self.os_name),
                version: label(&self.os_version),
                major: label(&self.os_major),
                minor: label(&self.os_minor),
                codename: label(&self.os_codename),
                build: label(&self.os_build),
                platform: label(&self.os_platform),
                arch: label(&self.os_arch),
            }),
            config_sum: label(&self.config_sum),
            merged_sum: label(&self.merged_sum),
            address: label(&self.ip),
            labels: None,
            uname: label(&self.os_uname),
        }
    }
}

fn id(text: &str) -> Result<AgentId, String> {
    match text.parse::<AgentId>() {
        Ok(id) if id.get() <= LAST_ID => Ok(id),
        _ => Err(format!("'{text}' is no id of at most eight digits")),
    }
}

fn all<T: std::str::FromStr>(texts: &[String]) -> Result<Vec<T>, T::Err> {
    texts.iter().map(|text| text.parse()).collect()
}

/// A moment that no clock shows is cut to the last one that a state can hold; the state cuts it to its own.
fn stamp(secs: u64) -> Stamp {
    Stamp::from_millis(secs.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> ImportAgent {
        let [id, name, address, key] = ["001", "web-01", "10.0.0.0/8", "k1"].map(str::to_owned);
        ImportAgent { id, name, address, key, ..ImportAgent::default() }
    }

    fn refused(change: impl FnOnce(&mut ImportBatch)) -> String {
        let mut batch = ImportBatch { through: "001".into(), agents: vec![agent()], ..ImportBatch::default() };
        assert!(batch.to_change().is_ok());
        change(&mut batch);
        batch.to_change().expect_err("it was spoiled")
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_the_key() {
        let past = ImportPast { status_code: 9, ..ImportPast::default() };
        assert_eq!(
            refused(|batch| batch.through = "100000000".into()),
            "through: '100000000' is no id of at most eight digits"
        );
        assert!(refused(|batch| batch.groups.push("a b".into())).starts_with("groups: not a valid group name"));
        assert!(refused(|batch| batch.agents[0].name = "a b".into()).starts_with("agents[0]: not a valid agent name"));
        assert!(refused(|batch| batch.agents[0].address = "nowhere".into()).contains("neither 'any'"));
        assert!(refused(|batch| batch.agents[0].past = Some(past)).contains("status_code"));
        assert!(!refused(|batch| batch.agents[0].key = "SECRET+".into()).contains("SECRET"));
        let many = |batch: &mut ImportBatch| batch.agents.extend(std::iter::repeat_n(agent(), IMPORT_LIMIT));
        assert_eq!(refused(many), "agents: at most 2000 in one request, not 2001");
    }
}
