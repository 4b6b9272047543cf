//! How an operation gets its parameters: from the query string and from the path, both strictly.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use muster_control::{AgentId, CommandId, GroupName};

use crate::app::App;
use crate::format::{self, Format};
use crate::problem::Problem;
use crate::query::Query;

/// The query parameters of an operation.
pub(crate) trait FromQuery: Sized {
    /// Parameters that the operation takes besides its own.
    const COMMON: Common = Common::Both;

    /// Takes the operation's own parameters out of the query.
    ///
    /// # Errors
    /// When one is missing or refused.
    fn take(query: &mut Query) -> Result<Self, Problem>;
}

/// Parameters that nearly all operations take (REST contract, section 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Common {
    /// `pretty` and `wait_for_complete`. The latter lifts the reference's time-out; here every wait is bounded, so
    /// it is taken and changes nothing.
    Both,
    /// `pretty`
    Pretty,
    /// Neither.
    None,
}

/// Extracts the query parameters `T`; anything else in the query string is refused.
pub(crate) struct Params<T>(pub(crate) T);

/// No parameters of its own.
pub(crate) struct NoParams;

impl FromQuery for NoParams {
    fn take(_: &mut Query) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// Reads all query parameters of an operation.
///
/// # Errors
/// When one is missing, refused or unknown.
pub(crate) fn parse<T: FromQuery>(raw: Option<&str>) -> Result<T, Problem> {
    let mut query = Query::parse(raw)?;
    if T::COMMON != Common::None {
        query.flag("pretty")?;
    }
    if T::COMMON == Common::Both {
        query.flag("wait_for_complete")?;
    }
    let params = T::take(&mut query)?;
    query.finish()?;
    Ok(params)
}

impl<T: FromQuery> FromRequestParts<Arc<App>> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        parse(parts.uri.query()).map(Self)
    }
}

/// Something written in one segment of a path.
pub(crate) trait Segment: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// When it breaks its format.
    fn parse(text: &str) -> Result<Self, Problem>;
}

/// The variable segments of a path: one [`Segment`], or two.
pub(crate) trait Segments: Sized {
    /// Reads them.
    ///
    /// # Errors
    /// When one breaks its format.
    fn parse_all(texts: &[&str]) -> Result<Self, Problem>;
}

impl<A: Segment> Segments for A {
    fn parse_all(texts: &[&str]) -> Result<Self, Problem> {
        A::parse(texts.first().copied().unwrap_or_default())
    }
}

impl<A: Segment, B: Segment> Segments for (A, B) {
    fn parse_all(texts: &[&str]) -> Result<Self, Problem> {
        let mut texts = texts.iter().copied();
        Ok((A::parse(texts.next().unwrap_or_default())?, B::parse(texts.next().unwrap_or_default())?))
    }
}

/// Extracts what is written in the variable segments of the path.
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: Segments> FromRequestParts<Arc<App>> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, app).await;
        let raw = raw.map_err(|_| Problem::schema("the path is not UTF-8"))?;
        let texts: Vec<&str> = raw.iter().map(|(_, text)| text).collect();
        T::parse_all(&texts).map(Self)
    }
}

/// An agent as a client names it. Ids beyond 32 bits are well-formed and name nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AgentRef {
    /// An id.
    Id(AgentId),
    /// An id that no agent can have.
    Beyond(String),
}

impl AgentRef {
    fn new(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Beyond(text.to_owned()), Self::Id)
    }
}

impl Segment for AgentRef {
    fn parse(text: &str) -> Result<Self, Problem> {
        in_format(text, format::AGENT_ID).map(|()| Self::new(text))
    }
}

impl Segment for GroupName {
    fn parse(text: &str) -> Result<Self, Problem> {
        group_name(text)
    }
}

/// The name of a node as a client writes it; it may name nobody.
pub(crate) struct NodeRef(pub(crate) String);

impl Segment for NodeRef {
    fn parse(text: &str) -> Result<Self, Problem> {
        in_format(text, format::NAMES).map(|()| Self(text.to_owned()))
    }
}

impl Segment for CommandId {
    fn parse(text: &str) -> Result<Self, Problem> {
        in_format(text, format::NUMBER)?;
        text.parse().map_err(|_| Problem::schema("the command id has more than 64 bits"))
    }
}

fn in_format(text: &str, format: Format) -> Result<(), Problem> {
    if !text.is_empty() && (format.accepts)(text) {
        Ok(())
    } else {
        Err(Problem::schema(format!("'{text}' in the path is not a valid {}", format.name)))
    }
}

/// Reads the name of a group.
///
/// # Errors
/// When it is not one.
pub(crate) fn group_name(text: &str) -> Result<GroupName, Problem> {
    text.parse().map_err(|error: muster_control::InvalidText| Problem::schema(error.to_string()))
}

/// Agents that a client lists by their ids, in order of ids and each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentList {
    /// Those with an id that an agent can have.
    pub(crate) ids: Vec<AgentId>,
    /// The others.
    pub(crate) beyond: Vec<String>,
}

impl AgentList {
    /// Sorts what a client lists.
    pub(crate) fn new(refs: impl IntoIterator<Item = AgentRef>) -> Self {
        let mut list = Self::default();
        for agent in refs {
            match agent {
                AgentRef::Id(id) => list.ids.push(id),
                AgentRef::Beyond(text) => list.beyond.push(text),
            }
        }
        list.ids.sort_unstable();
        list.ids.dedup();
        list
    }

    /// Takes the list of agents that a parameter names; `None` if it is not there.
    ///
    /// # Errors
    /// When one is not an agent id.
    pub(crate) fn take(query: &mut Query, name: &str) -> Result<Option<Self>, Problem> {
        let ids = query.list(name, format::AGENT_ID)?;
        Ok(ids.map(|ids| Self::new(ids.iter().map(|id| AgentRef::new(id)))))
    }

    /// Like [`AgentList::take`] for a parameter that may say `all`: `None` in the inner place if it does.
    ///
    /// # Errors
    /// When one is neither an agent id nor `all`.
    pub(crate) fn take_or_all(query: &mut Query, name: &str) -> Result<Option<Option<Self>>, Problem> {
        let Some(ids) = query.list(name, format::AGENT_ID_OR_ALL)? else { return Ok(None) };
        if ids.iter().any(|id| id == "all") {
            return Ok(Some(None));
        }
        Ok(Some(Some(Self::new(ids.iter().map(|id| AgentRef::new(id))))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_agents_are_in_order_and_each_once() {
        let mut query = Query::parse(Some("l=1000,002,0002&l=99999999999")).unwrap();
        let list = AgentList::take(&mut query, "l").unwrap().unwrap();
        assert_eq!(list.ids, [AgentId::new(2), AgentId::new(1000)]);
        assert_eq!(list.beyond, ["99999999999"]);
    }

    #[test]
    fn all_anywhere_in_a_list_means_all() {
        let take = |raw| AgentList::take_or_all(&mut Query::parse(Some(raw)).unwrap(), "l").unwrap();
        assert_eq!(take("l=001,all"), Some(None));
        assert_eq!(take(""), None);
        assert_eq!(take("l=001").unwrap().unwrap().ids, [AgentId::new(1)]);
    }

    #[test]
    fn pretty_and_wait_for_complete_are_taken_where_the_contract_says() {
        assert!(parse::<NoParams>(Some("pretty=true&wait_for_complete=false")).is_ok());
        for raw in ["pretty=1", "pretty=", "nope=1", "agents_list=001"] {
            assert!(parse::<NoParams>(Some(raw)).is_err(), "{raw}");
        }
    }
}
