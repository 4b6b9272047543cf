//! Every answer that is not a success. The only file that knows status codes.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use muster_control::{LogIndex, Refusal};
use muster_raft::{NotApplied, ProposeError, ReadError};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::code::Code;

/// Why a request was not answered with a success.
///
/// It becomes bytes at the border of the crate ([`Problem::render`]), which alone knows who asked for what.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    code: Option<Code>,
    detail: String,
    retry_after: Option<Duration>,
    index: Option<LogIndex>,
}

/// The classes of problems: each has one status, one title and one stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request violates the schema of the operation.
    Schema,
    /// A JSON body is nested deeper than anything the operation takes.
    TooDeep,
    /// The request is well-formed and cannot be met.
    Refused,
    /// The caller is not known.
    Unauthorized,
    /// The caller is known and may not.
    Denied,
    /// No such path.
    NoRoute,
    /// The thing the request is about does not exist.
    NotFound,
    /// The path does not take this method.
    Method,
    /// The body is too large.
    TooLarge,
    /// The body is of a type the operation does not take.
    MediaType,
    /// An expectation that cannot be met.
    Expectation,
    /// The rate limit is reached.
    TooMany,
    /// A fault of this program.
    Internal,
    /// No linearizable read is possible now.
    Unavailable,
    /// The change was certainly not applied.
    NotApplied,
    /// The change may be applied or not.
    OutcomeUnknown,
}

impl Kind {
    const fn status(self) -> StatusCode {
        match self {
            Self::Schema | Self::TooDeep | Self::Refused => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::NoRoute | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::NotApplied => StatusCode::SERVICE_UNAVAILABLE,
            Self::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Schema | Self::Refused => "Bad Request",
            Self::TooDeep => "JSON nested too deep",
            Self::Unauthorized => "Unauthorized",
            Self::Denied => "Permission Denied",
            Self::NoRoute => "Not Found",
            Self::NotFound => "Resource Not Found",
            Self::Method => "Method Not Allowed",
            Self::TooLarge => "Content size exceeded.",
            Self::MediaType => "Unsupported Media Type",
            Self::Expectation => "Expectation failed",
            Self::TooMany => "Too Many Requests",
            Self::Internal => "Wazuh Internal Error",
            Self::Unavailable => "Cluster Unavailable",
            Self::NotApplied => "Change Not Applied",
            Self::OutcomeUnknown => "Outcome Unknown",
        }
    }

    /// The stable `type` of the problem: a relative reference, the same in every version.
    const fn name(self) -> &'static str {
        match self {
            Self::Schema => "/problems/schema",
            Self::TooDeep => "/problems/too-deep",
            Self::Refused => "/problems/refused",
            Self::Unauthorized => "/problems/unauthorized",
            Self::Denied => "/problems/denied",
            Self::NoRoute => "/problems/no-route",
            Self::NotFound => "/problems/not-found",
            Self::Method => "/problems/method",
            Self::TooLarge => "/problems/too-large",
            Self::MediaType => "/problems/media-type",
            Self::Expectation => "/problems/expectation",
            Self::TooMany => "/problems/too-many-requests",
            Self::Internal => "/problems/internal",
            Self::Unavailable => "/problems/unavailable",
            Self::NotApplied => "/problems/not-applied",
            Self::OutcomeUnknown => "/problems/outcome-unknown",
        }
    }

    /// What a client may do: `later` repeats nothing, `unknown` may have been done already.
    const fn retry(self) -> &'static str {
        match self {
            Self::TooMany | Self::Unavailable | Self::NotApplied => "later",
            Self::OutcomeUnknown => "unknown",
            Self::Schema
            | Self::TooDeep
            | Self::Refused
            | Self::Unauthorized
            | Self::Denied
            | Self::NoRoute
            | Self::NotFound
            | Self::Method
            | Self::TooLarge
            | Self::MediaType
            | Self::Expectation
            | Self::Internal => "no",
        }
    }

    /// Whether the reference has no such problem, so that its `type` is told on every path.
    const fn is_own(self) -> bool {
        matches!(self, Self::Unavailable | Self::NotApplied | Self::OutcomeUnknown)
    }
}

/// What the border knows of the request a problem answers.
pub(crate) struct Asked<'a> {
    /// The request is for a path under `/v1`, where problems have the form of RFC 9457 in full.
    pub(crate) native: bool,
    /// The node that answers.
    pub(crate) node: &'a str,
    /// Names the request in the log.
    pub(crate) request_id: u64,
}

impl Problem {
    fn new(kind: Kind, code: Option<Code>, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), retry_after: None, index: None }
    }

    /// The request violates the schema of the operation.
    pub(crate) fn schema(detail: impl Into<String>) -> Self {
        Self::new(Kind::Schema, None, detail)
    }

    /// A JSON body is nested too deep.
    pub(crate) fn too_deep(limit: usize) -> Self {
        Self::new(Kind::TooDeep, None, format!("the body is nested deeper than {limit} levels"))
    }

    /// A well-formed request that cannot be met.
    pub(crate) fn refused(code: Code) -> Self {
        Self::new(Kind::Refused, Some(code), code.message())
    }

    /// Like [`Problem::refused`], with the particular case in words.
    pub(crate) fn refused_for(code: Code, detail: impl Into<String>) -> Self {
        Self::new(Kind::Refused, Some(code), detail)
    }

    /// The caller is not known.
    pub(crate) fn unauthorized(detail: &'static str) -> Self {
        Self::new(Kind::Unauthorized, None, detail)
    }

    /// The token is not ours, or is dead.
    pub(crate) fn invalid_token() -> Self {
        Self::unauthorized("Invalid token")
    }

    /// The caller may not do this.
    pub(crate) fn denied(permission: &str) -> Self {
        Self::new(Kind::Denied, Some(Code::Denied), format!("{}: {permission}", Code::Denied.message()))
    }

    /// The client's address is blocked.
    pub(crate) fn blocked() -> Self {
        Self::new(Kind::Denied, Some(Code::Blocked), Code::Blocked.message())
    }

    /// No such path.
    pub(crate) fn no_route() -> Self {
        Self::new(Kind::NoRoute, None, "no such path")
    }

    /// The path does not take this method.
    pub(crate) fn method() -> Self {
        Self::new(Kind::Method, None, "the path does not take this method")
    }

    /// The thing the request is about does not exist.
    pub(crate) fn not_found(code: Option<Code>, detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, code, detail)
    }

    /// The body is larger than `limit` bytes.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(Kind::TooLarge, None, format!("the body is larger than {limit} bytes"))
    }

    /// The body's type is not `expected`.
    pub(crate) fn media_type(expected: &str) -> Self {
        Self::new(Kind::MediaType, None, format!("the body has to be {expected}"))
    }

    /// An expectation that cannot be met.
    pub(crate) fn expectation(detail: &'static str) -> Self {
        Self::new(Kind::Expectation, None, detail)
    }

    /// The rate limit is reached.
    pub(crate) fn too_many(retry_after: Duration) -> Self {
        let problem = Self::new(Kind::TooMany, Some(Code::RateLimit), Code::RateLimit.message());
        Self { retry_after: Some(retry_after), ..problem }
    }

    /// A fault of this program; the cause is logged here and not told.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(Kind::Internal, Some(Code::Internal), Code::Internal.message())
    }

    /// No linearizable read is possible now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(Kind::Unavailable, Some(Code::NotReady), detail);
        Self { retry_after: Some(Duration::from_secs(1)), ..problem }
    }

    /// Nobody can be known before the cluster has users.
    pub(crate) fn unfounded() -> Self {
        Self::unavailable("the cluster has no users yet")
    }

    /// The same problem of a request for a change: what could not even be read was certainly not changed.
    pub(crate) fn before_change(self) -> Self {
        if self.kind == Kind::Unavailable { Self { kind: Kind::NotApplied, ..self } } else { self }
    }

    /// The change was certainly not applied.
    fn not_applied(detail: impl Into<String>) -> Self {
        let problem = Self::new(Kind::NotApplied, Some(Code::NotReady), detail);
        Self { retry_after: Some(Duration::from_secs(1)), ..problem }
    }

    /// The change may be applied or not.
    fn outcome_unknown() -> Self {
        let detail = "no answer within the request time-out: the change may be applied already, or later, or never";
        Self::new(Kind::OutcomeUnknown, Some(Code::TimedOut), detail)
    }

    /// The whole request was refused when it was applied.
    pub(crate) fn from_refusal(refusal: Refusal, index: LogIndex) -> Self {
        let code = Code::from(refusal);
        let kind = match refusal {
            Refusal::UnknownAgent | Refusal::UnknownGroup | Refusal::UnknownUser => Kind::NotFound,
            Refusal::UnknownNode
            | Refusal::DuplicateName(_)
            | Refusal::DuplicateAddress(_)
            | Refusal::NameOfNode
            | Refusal::IdTaken
            | Refusal::IdUsedUp
            | Refusal::Manager
            | Refusal::NotActive
            | Refusal::NotEligible
            | Refusal::GroupExists
            | Refusal::GroupReserved
            | Refusal::AlreadyMember
            | Refusal::NotMember
            | Refusal::OnlyDefault
            | Refusal::TooManyGroups => Kind::Refused,
            Refusal::TooManyDeliveries => Kind::NotApplied,
            Refusal::InvalidToken => return Self::invalid_token().at(index),
            Refusal::IdsExhausted
            | Refusal::StaleEpoch
            | Refusal::NoLease
            | Refusal::StaleGeneration
            | Refusal::ChangeIdReused
            | Refusal::AlreadyFounded
            | Refusal::NotQueued
            | Refusal::NothingUnderWay
            | Refusal::UserExists
            | Refusal::NodeNameTaken => Kind::Internal,
        };
        let retry_after = (kind == Kind::NotApplied).then_some(Duration::from_secs(1));
        Self { retry_after, ..Self::new(kind, Some(code), refusal.to_string()) }.at(index)
    }

    /// Tells the index the answer rests on.
    pub(crate) fn at(self, index: LogIndex) -> Self {
        Self { index: Some(index), ..self }
    }

    /// The index the answer rests on, if the state was looked at.
    pub(crate) fn index(&self) -> Option<LogIndex> {
        self.index
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The finished answer.
    pub(crate) fn render(&self, asked: &Asked<'_>) -> Response {
        let body = serde_json::to_vec(&Body { problem: self, asked }).expect("a problem has no key that is not text");
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json; charset=utf-8"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<ProposeError> for Problem {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotApplied(NotApplied::TooLarge) => {
                Self::schema("nothing was changed: the request is too large to be replicated")
            }
            ProposeError::NotApplied(
                reason @ (NotApplied::NoLeader | NotApplied::Overloaded | NotApplied::DiskFull | NotApplied::Stopping),
            ) => Self::not_applied(format!("nothing was changed: {reason}")),
            ProposeError::OutcomeUnknown | ProposeError::Stopped => Self::outcome_unknown(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoQuorum => {
                Self::unavailable("no quorum within the request time-out; nothing was read or changed")
            }
            ReadError::Stopped => Self::unavailable("this node stops; nothing was read or changed"),
        }
    }
}

/// A problem travels to the border as an extension of an empty response and is rendered there.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

struct Body<'a> {
    problem: &'a Problem,
    asked: &'a Asked<'a>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Problem { kind, code, detail, .. } = self.problem;
        let mut map = serializer.serialize_map(None)?;
        let native = self.asked.native;
        if native || kind.is_own() {
            map.serialize_entry("type", kind.name())?;
        }
        map.serialize_entry("title", kind.title())?;
        if native {
            map.serialize_entry("status", &kind.status().as_u16())?;
        }
        map.serialize_entry("detail", detail)?;
        if native || kind.is_own() {
            map.serialize_entry("retry", kind.retry())?;
            map.serialize_entry("request_id", &format_args!("{:016x}", self.asked.request_id).to_string())?;
        }
        if let Some(code) = code {
            if let Some(remediation) = code.remediation() {
                map.serialize_entry("remediation", remediation)?;
            }
            if !native && names_the_node(*code) {
                map.serialize_entry("dapi_errors", &NodeErrors { node: self.asked.node, detail })?;
            }
            map.serialize_entry("error", &code.number())?;
        }
        map.end()
    }
}

/// Refusals before any node looked at the request name none (REST contract, section 1.12).
const fn names_the_node(code: Code) -> bool {
    !matches!(code, Code::Blocked | Code::RateLimit)
}

struct NodeErrors<'a> {
    node: &'a str,
    detail: &'a str,
}

impl Serialize for NodeErrors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct NodeError<'a> {
            error: &'a str,
        }
        serializer.collect_map([(self.node, NodeError { error: self.detail })])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: &Problem, native: bool) -> serde_json::Value {
        let asked = Asked { native, node: "node01", request_id: 7 };
        serde_json::to_value(Body { problem, asked: &asked }).unwrap()
    }

    #[test]
    fn a_schema_problem_has_title_and_detail_only() {
        let expected = serde_json::json!({"title": "Bad Request", "detail": "x"});
        assert_eq!(json(&Problem::schema("x"), false), expected);
    }

    #[test]
    fn a_coded_problem_names_the_node_that_answered() {
        let body = json(&Problem::refused(Code::GroupExists), false);
        assert_eq!(body["error"], 1711);
        assert_eq!(body["dapi_errors"]["node01"]["error"], Code::GroupExists.message());
        assert!(body.get("type").is_none(), "{body}");
    }

    #[test]
    fn not_applied_and_unknown_differ_in_status_and_type_everywhere() {
        for native in [false, true] {
            for reason in [NotApplied::NoLeader, NotApplied::Overloaded, NotApplied::DiskFull, NotApplied::Stopping] {
                let problem = Problem::from(ProposeError::from(reason));
                assert_eq!(json(&problem, native)["type"], "/problems/not-applied");
                assert_eq!((problem.status().as_u16(), problem.retry_after.is_some()), (503, true));
            }
            for error in [ProposeError::OutcomeUnknown, ProposeError::Stopped] {
                let problem = Problem::from(error);
                assert_eq!(json(&problem, native)["type"], "/problems/outcome-unknown");
                assert_eq!((problem.status().as_u16(), problem.retry_after), (504, None));
            }
        }
    }

    #[test]
    fn problems_of_our_own_paths_follow_rfc_9457() {
        let body = json(&Problem::not_found(None, "no such command"), true);
        assert_eq!(body["type"], "/problems/not-found");
        assert_eq!(body["status"], 404);
        assert_eq!(body["retry"], "no");
        assert_eq!(body["request_id"], "0000000000000007");
    }
}
