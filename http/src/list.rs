//! What clients may ask of every list: a page of it, in some order, of some fields, with some text in it.

pub(crate) mod memory;
pub(crate) mod page;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod sort;

pub(crate) use page::{Overflow, Page};
pub(crate) use search::Search;
pub(crate) use sort::{Sort, first_in_order};

use crate::code::Code;
use crate::problem::Problem;
use crate::query::Query;

/// The parameters that all lists have in common, over fields `F` to sort by and fields `S` to select.
#[derive(Clone, Debug)]
pub(crate) struct List<F, S = F> {
    /// Which part is answered.
    pub(crate) page: Page,
    /// In which order; the list has one of its own.
    pub(crate) sort: Option<Sort<F>>,
    /// Which text has to be, or not to be, in an item.
    pub(crate) search: Option<Search>,
    /// Which fields are answered; all without it.
    pub(crate) select: Option<Vec<S>>,
    /// Whether equal items are answered once.
    pub(crate) distinct: bool,
}

impl<F: Copy, S> List<F, S> {
    /// Takes the common parameters.
    ///
    /// # Errors
    /// When one of them is refused. The query language is not there yet and is refused, since a list without the
    /// filter that was asked for would be taken for a filtered one.
    pub(crate) fn take(
        query: &mut Query,
        overflow: Overflow,
        sortable: impl Fn(&str) -> Option<F>,
        selectable: impl Fn(&str) -> Option<S>,
    ) -> Result<Self, Problem> {
        refuse_query_language(query)?;
        Ok(Self {
            sort: Sort::take(query, sortable)?,
            search: Search::take(query)?,
            select: select::take(query, selectable)?,
            distinct: query.flag("distinct")?,
            page: Page::take(query, overflow)?,
        })
    }
}

/// Refuses `q`.
///
/// # Errors
/// When there is one that is not empty.
pub(crate) fn refuse_query_language(query: &mut Query) -> Result<(), Problem> {
    query.refuse("q", || {
        Problem::refused_for(Code::Query, "this version does not know the query language; use the filters")
    })
}
