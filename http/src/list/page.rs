//! Which part of a list is answered (REST contract, section 1.5).

use crate::code::Code;
use crate::format;
use crate::problem::Problem;
use crate::query::Query;

/// So many items at most in one answer.
const MAX_LIMIT: usize = 100_000;

/// So many items if the request does not say.
const DEFAULT_LIMIT: usize = 500;

/// A window on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// So many items are left out in front.
    pub(crate) offset: usize,
    /// So many items at most are answered.
    pub(crate) limit: usize,
}

/// What an offset beyond 64 bits is answered with.
#[derive(Clone, Copy)]
pub(crate) enum Overflow {
    /// A refusal with a code: lists of agents.
    Refused,
    /// An empty page: all other lists.
    Empty,
}

impl Page {
    /// Takes `offset` and `limit`.
    ///
    /// # Errors
    /// When one is not a number of its range.
    pub(crate) fn take(query: &mut Query, overflow: Overflow) -> Result<Self, Problem> {
        let offset = match query.text("offset", format::NUMBER)? {
            None => 0,
            Some(text) => match (text.parse::<i64>(), overflow) {
                (Ok(offset), _) => usize::try_from(offset).unwrap_or(usize::MAX),
                (Err(_), Overflow::Empty) => usize::MAX,
                (Err(_), Overflow::Refused) => return Err(Problem::refused(Code::Offset)),
            },
        };
        let limit = match query.text("limit", format::NUMBER)? {
            None => DEFAULT_LIMIT,
            Some(text) => match text.parse() {
                Ok(limit @ 1..=MAX_LIMIT) => limit,
                _ => return Err(Problem::schema(format!("query parameter 'limit' is not 1 to {MAX_LIMIT}"))),
            },
        };
        Ok(Self { offset, limit })
    }

    /// The items of the page out of all of them.
    pub(crate) fn of<I: Iterator>(self, items: I) -> std::iter::Take<std::iter::Skip<I>> {
        items.skip(self.offset).take(self.limit)
    }

    /// How many items at the front of the list decide what is on the page.
    pub(crate) fn end(self) -> usize {
        self.offset.saturating_add(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(raw: &str, overflow: Overflow) -> Result<Page, Problem> {
        Page::take(&mut Query::parse(Some(raw)).unwrap(), overflow)
    }

    #[test]
    fn without_parameters_the_first_500_are_answered() {
        assert_eq!(page("", Overflow::Refused).unwrap(), Page { offset: 0, limit: 500 });
    }

    #[test]
    fn limits_outside_their_range_are_refused() {
        for raw in ["limit=0", "limit=-1", "limit=100001", "limit=x", "limit=", "offset=-1", "offset=1.5"] {
            assert!(page(raw, Overflow::Empty).is_err(), "{raw}");
        }
        assert_eq!(page("limit=100000", Overflow::Empty).unwrap().limit, 100_000);
    }

    #[test]
    fn an_offset_beyond_64_bits_is_refused_or_empty_as_the_list_says() {
        let raw = "offset=99999999999999999999";
        assert!(page(raw, Overflow::Refused).is_err());
        assert_eq!(page(raw, Overflow::Empty).unwrap().of(0..9).count(), 0);
    }
}
