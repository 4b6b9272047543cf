//! Lists of agents: filtered, searched, sorted, cut to a page, written.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use muster_control::{Agent, AgentId, Control, GroupName};
use muster_raft::View;

use super::field::{Field, Fields};
use super::filter::Filter;
use super::row::{Item, Manager, Row, Value};
use crate::code::Code;
use crate::envelope::{Failures, Items, Sequence, Words};
use crate::list::{List, Overflow, Page, Search, Sort, first_in_order};
use crate::params::AgentList;
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;

/// What a client asks of a list of agents.
#[derive(Clone, Debug)]
pub(crate) struct AgentParams {
    /// Conditions on the agents.
    pub(crate) filter: Filter,
    /// What is common to all lists.
    pub(crate) list: List<Field>,
}

impl AgentParams {
    /// Takes the common parameters of lists of agents.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) fn take(query: &mut Query, filter: Filter) -> Result<Self, Problem> {
        Ok(Self { filter, list: List::take(query, Overflow::Refused, Field::named, Field::named)? })
    }
}

impl AgentParams {
    /// How many agents have to be looked at for the answer, at most.
    pub(crate) fn cost(&self, source: &Source, control: &Control) -> usize {
        let list = &self.list;
        let is_plain = list.sort.is_none() && list.search.is_none() && !list.distinct && self.filter.is_empty();
        match source {
            Source::All if is_plain => list.page.end().min(control.agents().len()),
            Source::All => control.agents().len(),
            Source::Listed(ids) => ids.ids.len(),
            Source::Group(name) => control.agents().group_len(name),
        }
    }
}

/// From which agents a list is made.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// All, agent 000 included.
    All,
    /// These; each one that does not exist is reported.
    Listed(AgentList),
    /// The members of a group.
    Group(GroupName),
}

const WORDS: Words = Words {
    all: "All selected agents information was returned",
    some: "Some agents information was not returned",
    none: "No agents information was returned",
};

/// Answers a list of agents.
///
/// # Errors
/// When the answer cannot be written.
pub(crate) fn list(view: &View, source: &Source, params: &AgentParams) -> Result<Reply, Problem> {
    let control = &view.control;
    let manager = Manager::of(control);
    let mut failures = Failures::default();
    let AgentParams { filter, list } = params;
    let now = control.clock();
    let takes_all = filter.is_empty() && list.search.is_none();
    let wanted = |row: &Row<'_>| {
        takes_all
            || filter.accepts(row, now) && list.search.as_ref().is_none_or(|search| search.keeps(is_found(search, row)))
    };
    let fields = match (&list.select, list.distinct) {
        (None, _) => Fields::ALL,
        (Some(fields), true) => Fields::of(fields),
        (Some(fields), false) => Fields::of(fields).with(Field::Id),
    };
    let manager_row = manager.as_ref().map(Row::Manager);
    let (rows, total) = match source {
        Source::All => {
            let all = || manager_row.into_iter().chain(control.agents().iter().map(|agent| Row::Agent(agent, control)));
            if let (None, None, false, Some(count)) = (&list.sort, &list.search, list.distinct, filter.count(control)) {
                // Nothing has to be looked at but the page.
                let has_manager = manager_row.is_some_and(|row| wanted(&row));
                let rows = if filter.has_statuses() {
                    list.page.of(all().filter(|row| wanted(row))).collect()
                } else {
                    list.page.of(all()).collect()
                };
                (rows, count + usize::from(has_manager))
            } else {
                let first = list.sort.as_ref().map(|sort| sort.fields[0]);
                select(read_ahead(all(), first).filter(|row| wanted(row)), list)
            }
        }
        Source::Listed(ids) => {
            let mut rows = Vec::with_capacity(ids.ids.len());
            for id in &ids.ids {
                match (*id == AgentId::MANAGER, control.agents().get(*id)) {
                    (true, _) => rows.extend(manager_row),
                    (false, Some(agent)) => rows.push(Row::Agent(agent, control)),
                    (false, None) => failures.add(Code::UnknownAgent, id),
                }
            }
            ids.beyond.iter().for_each(|id| failures.add(Code::UnknownAgent, id));
            select(rows.into_iter().filter(|row| wanted(row)), list)
        }
        Source::Group(name) => {
            let members = control.agents().in_group(name).filter_map(|id| control.agents().get(id));
            select(members.map(|agent| Row::Agent(agent, control)).filter(|row| wanted(row)), list)
        }
    };
    let items = Sequence(rows.iter().map(|row| Item { row: *row, fields }));
    Reply::json(view.index, &Items::new(items, total, &failures, WORDS))
}

/// Rows that are read together.
const AHEAD: usize = 64;

/// The same rows, read from memory a block at a time, with the field they are sorted by.
///
/// Each agent is a record of its own, and of many agents most are in no cache. Reading one after the other waits for
/// memory each time; reads that do not depend on each other wait together. The text of a field depends on the record,
/// so it has its own turn.
fn read_ahead<'a>(mut rows: impl Iterator<Item = Row<'a>>, field: Option<Field>) -> impl Iterator<Item = Row<'a>> {
    let blocks = std::iter::from_fn(move || {
        let block: Vec<Row<'a>> = rows.by_ref().take(AHEAD).collect();
        std::hint::black_box(block.iter().fold(0, |seen, row| seen ^ row.touch()));
        if let Some(field) = field {
            std::hint::black_box(block.iter().fold(0, |seen, row| seen ^ row.value(field).touch()));
        }
        (!block.is_empty()).then_some(block)
    });
    blocks.flatten()
}

/// The rows of the page, and how many there are in all.
fn select<'a>(rows: impl Iterator<Item = Row<'a>>, list: &List<Field>) -> (Vec<Row<'a>>, usize) {
    if list.distinct {
        return distinct(rows, list);
    }
    let Some(sort) = &list.sort else {
        return page_of(rows, list.page);
    };
    let (ordered, total) = in_order(rows, sort, list.page.end());
    (list.page.of(ordered.into_iter()).collect(), total)
}

/// Cuts a page out of rows that are in order, and counts them all.
fn page_of<'a>(rows: impl Iterator<Item = Row<'a>>, page: Page) -> (Vec<Row<'a>>, usize) {
    let (mut kept, mut total) = (Vec::new(), 0);
    for row in rows {
        if total >= page.offset && kept.len() < page.limit {
            kept.push(row);
        }
        total += 1;
    }
    (kept, total)
}

/// The first `count` rows in the order asked for, and how many there are in all.
fn in_order<'a>(rows: impl Iterator<Item = Row<'a>>, sort: &Sort<Field>, count: usize) -> (Vec<Row<'a>>, usize) {
    let (first, others) = (sort.fields[0], &sort.fields[1..]);
    // Most rows are told apart by their ranks alone, without following a reference; and where many have the same value,
    // as with versions, no key is made a second time.
    let keyed = rows.map(|row| {
        let key = Key::of(&row, first);
        (key.rank(), key, row)
    });
    let (ordered, total) =
        first_in_order(keyed, count, |(left_rank, left_key, left), (right_rank, right_key, right)| {
            let by = |field: &Field| Key::of(left, *field).cmp(&Key::of(right, *field));
            let by_others = || others.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
            let order = left_rank.cmp(right_rank).then_with(|| left_key.cmp(right_key)).then_with(by_others);
            let order = if sort.descending { order.reverse() } else { order };
            order.then_with(|| left.id().cmp(&right.id()))
        });
    (ordered.into_iter().map(|(_, _, row)| row).collect(), total)
}

/// One row for each combination of the selected fields that has no gap, and how many combinations there are.
fn distinct<'a>(rows: impl Iterator<Item = Row<'a>>, list: &List<Field>) -> (Vec<Row<'a>>, usize) {
    let fields: &[Field] = list.select.as_deref().unwrap_or(Field::ALL);
    let (ordered, _) = match &list.sort {
        Some(sort) => in_order(rows, sort, usize::MAX / 2),
        None => page_of(rows, Page { offset: 0, limit: usize::MAX }),
    };
    let mut known = BTreeSet::new();
    let unlike = ordered.into_iter().filter(|row| {
        let keys: Vec<Key<'a>> = fields.iter().map(|field| Key::exact(row.value(*field))).collect();
        !keys.contains(&Key::Missing) && known.insert(keys)
    });
    page_of(unlike, list.page)
}

/// What rows are compared by. Rows without a value come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Missing,
    Number(u64),
    /// A version, by its numbers before its text.
    Version([u32; 3], &'a str),
    Text(&'a str),
    Groups(&'a [GroupName]),
}

impl<'a> Key<'a> {
    fn of(row: &Row<'a>, field: Field) -> Self {
        match (field, row.value(field)) {
            (Field::Version, Value::Text(text)) => Self::Version(numbers(text), text),
            (Field::OsVersion, Value::Text(text)) => {
                let [major, minor, _] = numbers(text);
                Self::Version([major, minor, 0], text)
            }
            (_, value) => Self::exact(value),
        }
    }

    /// A number in the order of the keys of one field; keys of one rank may still differ.
    fn rank(&self) -> u64 {
        match self {
            Self::Missing => 0,
            Self::Number(number) => *number,
            Self::Version([major, minor, patch], _) => {
                let part = |number: u32| u64::from(number.min(0x1f_ffff));
                part(*major) << 42 | part(*minor) << 21 | part(*patch)
            }
            Self::Text(text) => prefix(text),
            Self::Groups(names) => names.first().map_or(0, |name| prefix(name.as_str())),
        }
    }

    fn exact(value: Value<'a>) -> Self {
        match value {
            Value::Missing => Self::Missing,
            Value::Id(id) => Self::Number(id.get().into()),
            Value::Number(number) => Self::Number(number.into()),
            Value::At(stamp) => Self::Number(stamp.as_secs()),
            Value::Text(text) => Self::Text(text),
            Value::Groups(names) => Self::Groups(names),
        }
    }
}

/// The first eight bytes as a number: in the order of the texts, as far as they go.
fn prefix(text: &str) -> u64 {
    let bytes = text.as_bytes();
    match bytes.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => bytes.iter().rev().fold(0, |rank, byte| rank >> 8 | u64::from(*byte) << 56),
    }
}

/// The first three numbers in a version such as `Wazuh v4.14.7` or `18.04.6 LTS`; zero for each that is not there.
fn numbers(version: &str) -> [u32; 3] {
    // In bytes: this is most of what it costs to sort by a version.
    let bytes = version.as_bytes();
    let start = bytes.iter().position(u8::is_ascii_digit).unwrap_or(bytes.len());
    let mut parts = bytes[start..].split(|byte| *byte == b'.').map(|part| {
        let mut digits = part.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.try_fold(0_u32, |sum, digit| sum.checked_mul(10)?.checked_add(u32::from(digit - b'0')));
        number.unwrap_or(0)
    });
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// Whether any field of an agent contains the text. The secret is no field.
fn is_found(search: &Search, row: &Row<'_>) -> bool {
    Field::ALL.iter().any(|field| match row.value(*field) {
        Value::Missing => false,
        Value::Id(id) => search.number() == Some(id.get().into()),
        Value::Number(number) => search.is_numeric() && search.is_in(&number.to_string()),
        Value::At(stamp) => search.is_numeric() && search.is_in(&stamp.as_secs().to_string()),
        Value::Text(text) => search.is_in(text),
        Value::Groups(names) => search.is_in(&joined(names)),
    })
}

fn joined(names: &[GroupName]) -> String {
    names.iter().map(GroupName::as_str).collect::<Vec<_>>().join(",")
}

/// The agents among `agents` that meet the conditions, and those that do not.
pub(crate) fn split<'a>(
    control: &'a Control,
    agents: impl Iterator<Item = &'a Agent>,
    filter: &Filter,
) -> (Vec<AgentId>, Vec<AgentId>) {
    let now = control.clock();
    agents.map(|agent| (agent.id, filter.accepts(&Row::Agent(agent, control), now))).fold(
        (Vec::new(), Vec::new()),
        |(mut met, mut unmet), (id, accepted)| {
            if accepted {
                met.push(id)
            } else {
                unmet.push(id)
            }
            (met, unmet)
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        assert_eq!(numbers("Wazuh v4.14.7"), [4, 14, 7]);
        assert_eq!(numbers("18.04.6 LTS"), [18, 4, 6]);
        assert_eq!(numbers("12"), [12, 0, 0]);
        assert_eq!(numbers("rolling"), [0, 0, 0]);
        assert_eq!(numbers("v1..2-rc1.3"), [1, 0, 2]);
        assert_eq!(numbers("99999999999.1"), [0, 1, 0], "more than any version has");
    }

    proptest! {
        #[test]
        fn ranks_never_contradict_keys(left in "\\PC{0,12}", right in "\\PC{0,12}", major in 0..9u32, minor in 0..9u32) {
            for (left, right) in [
                (Key::Text(&left), Key::Text(&right)),
                (Key::Missing, Key::Text(&right)),
                (Key::Version([major, 7, 0], &left), Key::Version([minor, 2, u32::MAX], &right)),
                (Key::Number(major.into()), Key::Number(minor.into())),
            ] {
                prop_assert!(left.rank().cmp(&right.rank()).then(left.cmp(&right)) == left.cmp(&right));
            }
        }
    }
}
