//! Who asks for something to read, what they may, and the state their request rests on.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_raft::View;

use crate::app::{App, Consistency};
use crate::moment;
use crate::problem::Problem;
use crate::token::{ADMINISTRATOR, Claims};

/// Header by which a client asks for `stale` reads; `linearizable` is the default. No query parameter, since those
/// are validated by the compatible operations, which do not know it.
pub(crate) const CONSISTENCY: HeaderName = HeaderName::from_static("muster-consistency");

/// A known caller of an operation that changes nothing; of others, see [`Writer`](crate::writer::Writer).
///
/// Extracting it checks the token first (its signature costs nothing but time), then reads the state, then checks the
/// token against that state: a revocation holds from the moment it is acknowledged, on every node.
pub(crate) struct Caller {
    /// The state the request rests on.
    pub(crate) view: View,
    claims: Arc<Claims>,
}

/// What an operation needs (REST contract, section 1.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// `agent:read`
    AgentRead,
    /// `agent:create`
    AgentCreate,
    /// `agent:delete`
    AgentDelete,
    /// `agent:restart`
    AgentRestart,
    /// `agent:reconnect`
    AgentReconnect,
    /// `agent:modify_group`
    AgentModifyGroup,
    /// `agent:import`; not of the reference
    AgentImport,
    /// `agent:export`; not of the reference: reads the keys of all agents
    AgentExport,
    /// `group:read`
    GroupRead,
    /// `group:create`
    GroupCreate,
    /// `group:delete`
    GroupDelete,
    /// `group:modify_assignments`
    GroupModifyAssignments,
    /// `cluster:read`
    ClusterRead,
    /// `cluster:status`
    ClusterStatus,
}

impl Permission {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AgentRead => "agent:read",
            Self::AgentCreate => "agent:create",
            Self::AgentDelete => "agent:delete",
            Self::AgentRestart => "agent:restart",
            Self::AgentReconnect => "agent:reconnect",
            Self::AgentModifyGroup => "agent:modify_group",
            Self::AgentImport => "agent:import",
            Self::AgentExport => "agent:export",
            Self::GroupRead => "group:read",
            Self::GroupCreate => "group:create",
            Self::GroupDelete => "group:delete",
            Self::GroupModifyAssignments => "group:modify_assignments",
            Self::ClusterRead => "cluster:read",
            Self::ClusterStatus => "cluster:status",
        }
    }
}

impl Caller {
    /// Lets the operation go on if the caller may do it.
    ///
    /// # Errors
    /// When the caller may not.
    pub(crate) fn authorize(&self, permission: Permission) -> Result<(), Problem> {
        authorize(&self.claims, permission).map_err(|problem| problem.at(self.view.index))
    }

    async fn admit(parts: &Parts, app: &App) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let known = app.replica().view();
        let claims = known.control.signing_key().map(|key| app.tokens.verify(key, token, now())).transpose()?;
        let view = app.read(consistency(&parts.headers, &parts.method)?).await?;
        let admit = |claims: Arc<Claims>| {
            app.tokens.admit(&claims, view.control.user(&claims.user()?))?;
            Ok(claims)
        };
        let claims = match (claims, view.control.signing_key()) {
            (Some(claims), _) => Ok(claims),
            // This node had not heard yet that the cluster was founded.
            (None, Some(key)) => app.tokens.verify(key, token, now()),
            (None, None) => Err(Problem::unfounded()),
        };
        let claims = claims.and_then(admit).map_err(|problem: Problem| problem.at(view.index))?;
        Ok(Self { view, claims })
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        Self::admit(parts, app).await
    }
}

/// Roles are carried by the token; so far only that of the administrator exists, who may do everything.
///
/// # Errors
/// When the caller may not.
pub(crate) fn authorize(claims: &Claims, permission: Permission) -> Result<(), Problem> {
    if claims.rbac_roles.contains(&ADMINISTRATOR) { Ok(()) } else { Err(Problem::denied(permission.as_str())) }
}

/// How fresh the state has to be that the answer rests on.
///
/// # Errors
/// When the header says something else, or asks for a change that rests on a stale state.
pub(crate) fn consistency(headers: &HeaderMap, method: &Method) -> Result<Consistency, Problem> {
    match headers.get(CONSISTENCY).map(|value| value.as_bytes()) {
        None | Some(b"linearizable") => Ok(Consistency::Linearizable),
        Some(b"stale") if is_read(method) => Ok(Consistency::Stale),
        Some(b"stale") => Err(Problem::schema("only reads can be stale")),
        Some(_) => Err(Problem::schema("header 'muster-consistency' is neither linearizable nor stale")),
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The token of a request.
///
/// # Errors
/// When there is none, or something else.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let no_token = || Problem::unauthorized("No authorization token provided");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(no_token)?;
    let value = value.to_str().map_err(|_| Problem::unauthorized("Invalid authorization header"))?;
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(no_token());
    }
    let token = token.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(Problem::unauthorized("Invalid authorization header"));
    }
    Ok(token)
}

/// Name and password of a login; `None` if the header is missing or is something else.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// The second it is by the clock of this node.
pub(crate) fn now() -> u64 {
    moment::now().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
    }

    #[test]
    fn bearer_values_that_are_no_token_are_refused() {
        for value in ["Bearer", "Bearer ", "Bearer a b", "Basic abc", "abc"] {
            assert!(bearer(&headers(value)).is_err(), "{value}");
        }
        assert_eq!(bearer(&headers("bearer abc")).unwrap(), "abc");
        assert!(bearer(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_password_may_contain_colons() {
        let value = format!("Basic {}", STANDARD.encode("wazuh:a:b"));
        assert_eq!(basic(&headers(&value)), Some(("wazuh".into(), "a:b".into())));
        for value in ["Basic !", "Basic d2F6dWg=", "Bearer abc", "Basic"] {
            assert_eq!(basic(&headers(value)), None, "{value}");
        }
    }

    #[test]
    fn only_reads_can_be_stale() {
        let stale = HeaderMap::from_iter([(CONSISTENCY, "stale".parse().unwrap())]);
        assert_eq!(consistency(&stale, &Method::GET).unwrap(), Consistency::Stale);
        assert!(consistency(&stale, &Method::PUT).is_err());
        let other = HeaderMap::from_iter([(CONSISTENCY, "Stale".parse().unwrap())]);
        assert!(consistency(&other, &Method::GET).is_err());
        assert_eq!(consistency(&HeaderMap::new(), &Method::PUT).unwrap(), Consistency::Linearizable);
    }
}
