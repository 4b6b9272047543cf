//! In which order a list is answered (REST contract, section 1.6).

use std::cmp::Ordering;

use crate::code::Code;
use crate::format;
use crate::problem::Problem;
use crate::query::Query;

/// Fields to compare by, the first one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sort<F> {
    /// What is compared.
    pub(crate) fields: Vec<F>,
    /// Whether the greatest comes first; one direction for all fields.
    pub(crate) descending: bool,
}

impl<F: Copy> Sort<F> {
    /// Takes `sort`: an optional sign and names of fields, separated by commas.
    ///
    /// # Errors
    /// When the text breaks the format, or names a field that `field` does not know.
    pub(crate) fn take(query: &mut Query, field: impl Fn(&str) -> Option<F>) -> Result<Option<Self>, Problem> {
        let Some(text) = query.text("sort", format::SORT)? else { return Ok(None) };
        let (descending, names) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, &text[..]),
        };
        let known = |name| {
            field(name).ok_or_else(|| {
                Problem::refused_for(Code::SortField, format!("{}: '{name}'", Code::SortField.message()))
            })
        };
        let fields = names.split(',').map(known).collect::<Result<Vec<F>, Problem>>()?;
        Ok(Some(Self { fields, descending }))
    }
}

/// The first `count` of `items` in order, without sorting what comes after them.
///
/// `order` has to be total (no two items equal), so that pages of one list neither overlap nor miss anything. Keeps
/// at most twice `count` items at a time: the cost is linear in the items and does not grow with their number
/// squared or their memory.
pub(crate) fn first_in_order<T>(
    items: impl Iterator<Item = T>,
    count: usize,
    order: impl Fn(&T, &T) -> Ordering,
) -> (Vec<T>, usize) {
    let mut kept: Vec<T> = Vec::new();
    let mut full = false;
    let mut total = 0;
    if count == 0 {
        return (kept, items.count());
    }
    for item in items {
        total += 1;
        // Once `count` items are known to come before, an item after the last of them is on no page.
        if full && order(&item, &kept[count - 1]) != Ordering::Less {
            continue;
        }
        kept.push(item);
        if kept.len() >= count.saturating_mul(2) {
            kept.select_nth_unstable_by(count - 1, &order);
            kept.truncate(count);
            full = true;
        }
    }
    if kept.len() > count {
        kept.select_nth_unstable_by(count - 1, &order);
        kept.truncate(count);
    }
    kept.sort_unstable_by(&order);
    (kept, total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sort(raw: &str) -> Result<Option<Sort<u8>>, Problem> {
        let field = |name: &str| ["id", "name", "os.version"].iter().position(|known| *known == name).map(|n| n as u8);
        Sort::take(&mut Query::parse(Some(raw)).unwrap(), field)
    }

    #[test]
    fn one_leading_sign_counts_for_all_fields() {
        assert_eq!(sort("sort=-name,id").unwrap(), Some(Sort { fields: vec![1, 0], descending: true }));
        assert_eq!(sort("sort=%2Bos.version").unwrap(), Some(Sort { fields: vec![2], descending: false }));
        assert_eq!(sort("").unwrap(), None);
    }

    #[test]
    fn unknown_fields_later_signs_and_bare_plus_are_refused() {
        for raw in ["sort=nope", "sort=name,-id", "sort=+name", "sort=name,", "sort=-", "sort="] {
            assert!(sort(raw).is_err(), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn partial_selection_agrees_with_a_full_sort(items in prop::collection::vec(0..50u8, 0..200), count in 0..80usize) {
            let items: Vec<(u8, usize)> = items.into_iter().enumerate().map(|(n, item)| (item, n)).collect();
            let (first, total) = first_in_order(items.iter().copied(), count, Ord::cmp);
            let mut sorted = items.clone();
            sorted.sort();
            sorted.truncate(count);
            prop_assert_eq!(first, sorted);
            prop_assert_eq!(total, items.len());
        }
    }
}
