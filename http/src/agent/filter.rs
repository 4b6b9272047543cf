//! Which agents are meant (REST contract, sections 2.2 and 2.4).

use muster_control::{Control, Millis, Stamp, Status};

use super::field::Field;
use super::row::{Row, Value};
use crate::format;
use crate::problem::Problem;
use crate::query::Query;

/// The words of `status`.
pub(crate) const STATUSES: [(&str, Status); 4] = [
    ("active", Status::Active),
    ("pending", Status::Pending),
    ("never_connected", Status::NeverConnected),
    ("disconnected", Status::Disconnected),
];

/// Parameters that compare a field with a text, with the format of the text.
const TEXTS: [(&str, Field, format::Format); 9] = [
    ("os.platform", Field::OsPlatform, format::ALPHANUMERIC),
    ("os.version", Field::OsVersion, format::ALPHANUMERIC),
    ("os.name", Field::OsName, format::ALPHANUMERIC),
    ("manager", Field::Manager, format::ALPHANUMERIC),
    ("version", Field::Version, format::ALPHANUMERIC),
    ("node_name", Field::NodeName, format::NAMES),
    ("name", Field::Name, format::ALPHANUMERIC),
    ("ip", Field::Ip, format::ALPHANUMERIC),
    ("registerIP", Field::RegisterIp, format::ALPHANUMERIC),
];

/// Conditions on an agent; all have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// In one of these states; `None`: in any.
    statuses: Option<Vec<Status>>,
    /// Its last sign of life is older than this; `None`: whenever that was.
    older_than: Option<Millis>,
    /// A member of this group.
    group: Option<String>,
    /// Whether it holds the files of its groups.
    synced: Option<String>,
    /// Fields with exactly this text, but for the case of ASCII letters.
    texts: Vec<(Field, String)>,
}

impl Filter {
    /// Takes the conditions that listing, counting and deleting have in common.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) fn take(query: &mut Query) -> Result<Self, Problem> {
        let mut texts = Vec::new();
        for (name, field, format) in TEXTS {
            if let Some(text) = query.text(name, format)? {
                texts.push((field, if field == Field::Version { version(&text) } else { text }));
            }
        }
        Ok(Self { group: query.text("group", format::GROUP_NAME)?, texts, ..Self::default() })
    }

    /// Takes the one condition of `GET /groups/{group_id}/agents`.
    ///
    /// # Errors
    /// When it is refused.
    pub(crate) fn take_statuses(query: &mut Query) -> Result<Self, Problem> {
        Ok(Self { statuses: query.words("status", &STATUSES)?, ..Self::default() })
    }

    /// Takes the conditions of `GET /agents`.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) fn take_for_list(query: &mut Query) -> Result<Self, Problem> {
        let synced = query.word("group_config_status", &[("synced", "synced"), ("not synced", "not synced")])?;
        Ok(Self {
            statuses: query.words("status", &STATUSES)?,
            older_than: query.timeframe("older_than")?.filter(|secs| *secs > 0).map(Millis::from_secs),
            synced: synced.map(str::to_owned),
            ..Self::take(query)?
        })
    }

    /// Whether an agent meets all conditions at the moment `now`.
    pub(crate) fn accepts(&self, row: &Row<'_>, now: Stamp) -> bool {
        self.statuses.as_ref().is_none_or(|statuses| has_status(row, statuses))
            && self.older_than.is_none_or(|span| is_older(row, span, now))
            && self.synced.as_ref().is_none_or(|wanted| row.text(Field::GroupConfigStatus) == Some(wanted))
            && self.group.as_ref().is_none_or(|group| is_member(row, group))
            && self
                .texts
                .iter()
                .all(|(field, wanted)| row.text(*field).is_some_and(|text| text.eq_ignore_ascii_case(wanted)))
    }

    /// Whether every agent meets it.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there is a condition besides status and age, which can be left to the state machine.
    pub(crate) fn has_texts(&self) -> bool {
        self.group.is_some() || self.synced.is_some() || !self.texts.is_empty()
    }

    /// Whether agents are told apart by their status.
    pub(crate) fn has_statuses(&self) -> bool {
        self.statuses.is_some()
    }

    /// How many registered agents are accepted, if that is known without looking at them. Agent 000 not counted.
    pub(crate) fn count(&self, control: &Control) -> Option<usize> {
        if self.has_texts() || self.older_than.is_some() {
            return None;
        }
        let counters = control.agents().counters();
        Some(match &self.statuses {
            None => control.agents().len(),
            Some(statuses) => {
                let wanted = Status::ALL.into_iter().filter(|status| statuses.contains(status));
                wanted.map(|status| counters.status(status) as usize).sum()
            }
        })
    }
}

fn has_status(row: &Row<'_>, statuses: &[Status]) -> bool {
    match row {
        Row::Agent(agent, _) => statuses.contains(&agent.status),
        Row::Manager(_) => statuses.contains(&Status::Active),
    }
}

/// A condition on a date never holds for agent 000.
fn is_older(row: &Row<'_>, span: Millis, now: Stamp) -> bool {
    match row {
        Row::Agent(agent, _) => {
            let sign = match agent.status {
                Status::NeverConnected => agent.registered_at,
                Status::Pending | Status::Active | Status::Disconnected => {
                    agent.last_keepalive.unwrap_or(agent.registered_at)
                }
            };
            now.since(sign) >= span
        }
        Row::Manager(_) => false,
    }
}

fn is_member(row: &Row<'_>, group: &str) -> bool {
    match row.value(Field::Group) {
        Value::Groups(names) => names.iter().any(|name| name.as_str().eq_ignore_ascii_case(group)),
        _ => false,
    }
}

/// Brings `4.9.0`, `v4.9.0`, `wazuh 4.9.0` and `Wazuh v4.9.0` to the stored form; other text stays and matches nothing.
fn version(text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.strip_prefix("wazuh ").unwrap_or(&lower);
    let number = number.strip_prefix('v').unwrap_or(number);
    if number.split('.').count() == 3 && number.split('.').all(|part| part.parse::<u32>().is_ok()) {
        format!("Wazuh v{number}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_brought_to_the_stored_form() {
        for text in ["4.9.0", "v4.9.0", "wazuh 4.9.0", "Wazuh v4.9.0"] {
            assert_eq!(version(text), "Wazuh v4.9.0", "{text}");
        }
        assert_eq!(version("latest"), "latest");
    }

    #[test]
    fn an_age_of_zero_is_no_condition() {
        let filter = Filter::take_for_list(&mut Query::parse(Some("older_than=0s")).unwrap()).unwrap();
        assert_eq!(filter, Filter::default());
    }

    #[test]
    fn statuses_are_taken_in_either_case_and_no_other_word_is() {
        let take = |raw| Filter::take_for_list(&mut Query::parse(Some(raw)).unwrap());
        assert_eq!(take("status=ACTIVE,pending").unwrap().statuses, Some(vec![Status::Active, Status::Pending]));
        for raw in ["status=gone", "status=all", "status=", "group=all", "name=a/b", "node_name=a b"] {
            assert!(take(raw).is_err(), "{raw}");
        }
    }
}
