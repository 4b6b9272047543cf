//! Lists of few objects with few fields: groups, nodes. Strings are compared without regard to case.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde::ser::{Serialize, Serializer};

use super::{List, Overflow};
use crate::problem::Problem;
use crate::query::Query;

/// Value of one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    /// There is none.
    Missing,
    /// A number.
    Number(usize),
    /// A text.
    Text(String),
}

/// An object: one cell for each field of its kind.
pub(crate) type Record<const N: usize> = [Cell; N];

/// The names of the fields of one kind of object; the first is always answered.
pub(crate) struct Table<const N: usize>(pub(crate) [&'static str; N]);

/// One page of a list.
pub(crate) struct Listed<'a, const N: usize> {
    /// The objects, as they are to be written.
    pub(crate) items: Vec<Object<'a, N>>,
    /// How many there are on all pages.
    pub(crate) total: usize,
}

/// An object as it is written: fields without a value are left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object<'a, const N: usize> {
    cells: Vec<(&'a str, Cell)>,
}

impl<const N: usize> Table<N> {
    /// Takes the parameters of a list of these objects.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) fn take(&self, query: &mut Query) -> Result<List<usize>, Problem> {
        let field = |name: &str| self.0.iter().position(|field| *field == name);
        List::take(query, Overflow::Empty, field, field)
    }

    /// Searches, sorts and cuts; without an order of the request, objects stay in the order they come in.
    pub(crate) fn list(&self, records: impl Iterator<Item = Record<N>>, list: &List<usize>) -> Listed<'_, N> {
        let found =
            |record: &Record<N>| record.iter().any(|cell| cell.text().is_some_and(|text| contains(list, &text)));
        let mut records: Vec<Record<N>> =
            records.filter(|record| list.search.as_ref().is_none_or(|search| search.keeps(found(record)))).collect();
        if let Some(sort) = &list.sort {
            records.sort_by(|left, right| {
                let orders = sort.fields.iter().map(|field| left[*field].compare(&right[*field]));
                let order = orders.fold(Ordering::Equal, Ordering::then);
                if sort.descending { order.reverse() } else { order }
            });
        }
        let mut objects: Vec<Object<'_, N>> = records.into_iter().map(|record| self.object(record, list)).collect();
        if list.distinct {
            let mut known = BTreeSet::new();
            objects.retain(|object| known.insert(object.clone()));
        }
        let total = objects.len();
        Listed { items: list.page.of(objects.into_iter()).collect(), total }
    }

    fn object(&self, record: Record<N>, list: &List<usize>) -> Object<'_, N> {
        let wanted = |index: usize| {
            list.select.as_ref().is_none_or(|fields| fields.contains(&index) || (index == 0 && !list.distinct))
        };
        let cells = self.0.iter().zip(record).enumerate().filter(|(index, _)| wanted(*index));
        Object { cells: cells.map(|(_, (name, cell))| (*name, cell)).collect() }
    }
}

impl Cell {
    fn text(&self) -> Option<String> {
        match self {
            Self::Missing => None,
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => {
                left.to_lowercase().cmp(&right.to_lowercase()).then_with(|| left.cmp(right))
            }
            (left, right) => left.cmp(right),
        }
    }
}

fn contains(list: &List<usize>, text: &str) -> bool {
    list.search.as_ref().is_some_and(|search| search.is_in(text))
}

impl<const N: usize> Serialize for Object<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.cells.iter().filter(|(_, cell)| *cell != Cell::Missing).map(|(name, cell)| (name, cell)))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing => serializer.serialize_none(),
            Self::Number(number) => serializer.serialize_u64(*number as u64),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table<3> = Table(["name", "count", "sum"]);

    fn listed(raw: &str) -> serde_json::Value {
        let list = TABLE.take(&mut Query::parse(Some(raw)).unwrap()).unwrap();
        let record = |(name, count): (&str, usize)| [Cell::Text(name.to_owned()), Cell::Number(count), Cell::Missing];
        let listed = TABLE.list([("b", 2), ("A", 2), ("c", 1)].into_iter().map(record), &list);
        serde_json::json!([listed.total, listed.items])
    }

    #[test]
    fn texts_are_sorted_without_regard_to_case_and_pages_keep_the_total() {
        let expected = serde_json::json!([3, [{"name": "A", "count": 2}, {"name": "b", "count": 2}]]);
        assert_eq!(listed("sort=name&limit=2"), expected);
        assert_eq!(listed("sort=-count,name&limit=1"), serde_json::json!([3, [{"name": "b", "count": 2}]]));
    }

    #[test]
    fn the_first_field_is_added_unless_distinct_is_asked_for() {
        assert_eq!(listed("select=count&limit=1"), serde_json::json!([3, [{"name": "b", "count": 2}]]));
        assert_eq!(listed("select=count&distinct=true"), serde_json::json!([2, [{"count": 2}, {"count": 1}]]));
    }

    #[test]
    fn search_looks_at_all_fields() {
        assert_eq!(listed("search=1&select=name"), serde_json::json!([1, [{"name": "c"}]]));
        assert_eq!(listed("search=-a&select=name"), serde_json::json!([2, [{"name": "b"}, {"name": "c"}]]));
    }
}
