//! The border between HTTP and the operations: what holds for every request and every answer.

use std::sync::Arc;
use std::time::Instant;

use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use crate::app::App;
use crate::format;
use crate::metrics::UnderWay;
use crate::pretty::pretty;
use crate::problem::{Asked, Problem};
use crate::query::Query;
use crate::reply::INDEX;

/// Paths that probes ask without a token, and that count for no limit.
pub(crate) const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Headers of every answer (REST contract, section 1.1).
const FIXED: [(HeaderName, HeaderValue); 8] = [
    (header::SERVER, HeaderValue::from_static("Wazuh")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("none")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("deny")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_XSS_PROTECTION, HeaderValue::from_static("0")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer, strict-origin-when-cross-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Lets a request in, and its answer out.
pub(crate) async fn cross(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let request_id: u64 = rand::random();
    let _under_way = UnderWay::new(&app.metrics.in_flight);
    let path = request.uri().path();
    let is_probe = PROBES.contains(&path);
    let is_native = is_probe || path == "/v1" || path.starts_with("/v1/");
    let is_pretty = wants_pretty(request.uri().query());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let span = tracing::debug_span!("request", request_id = format_args!("{request_id:016x}"), %method, path);

    let answered = async {
        let admitted = if is_probe { Ok(()) } else { app.rate.count(start) };
        match admitted.and_then(|()| check_expectation(request.headers(), app.config().max_body_bytes)) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let mut response = answered.instrument(span.clone()).await;

    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let asked = Asked { native: is_native, node: app.config().node_name.as_str(), request_id };
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.render(&asked);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(index) = problem.index() {
            response.headers_mut().insert(INDEX, HeaderValue::from(index.get()));
        }
    }
    if is_pretty {
        response = laid_out(response).await;
    }
    response.headers_mut().extend(FIXED);
    let (status, elapsed) = (response.status().as_u16(), start.elapsed());
    app.metrics.answered(method.as_str(), route.as_ref().map(MatchedPath::as_str), status, elapsed);
    span.in_scope(|| tracing::debug!(status, elapsed_ms = elapsed.as_millis(), "answered"));
    response
}

/// Answers a path that does not exist.
pub(crate) async fn no_route() -> Problem {
    Problem::no_route()
}

/// Answers a method that a path does not take.
pub(crate) async fn no_method() -> Problem {
    Problem::method()
}

/// Only `100-continue` can be expected, and only for a body that will be taken.
fn check_expectation(headers: &HeaderMap, max_body_bytes: usize) -> Result<(), Problem> {
    let Some(expected) = headers.get(header::EXPECT) else { return Ok(()) };
    if !expected.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(Problem::expectation("only 100-continue can be expected"));
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if max_body_bytes != 0 && declared.is_some_and(|length| length > max_body_bytes as u64) {
        return Err(Problem::expectation("the declared body is larger than any that is taken"));
    }
    Ok(())
}

/// Whether the answer is for a person. A query string that cannot be read is refused by the operation, in one line.
fn wants_pretty(query: Option<&str>) -> bool {
    if !query.is_some_and(|query| query.contains("pretty")) {
        return false;
    }
    let asked = Query::parse(query).and_then(|mut query| query.text("pretty", format::BOOLEAN));
    asked.ok().flatten().as_deref().and_then(format::boolean).unwrap_or(false)
}

async fn laid_out(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let is_json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|media_type| {
        [&b"application/json"[..], b"application/problem+json"]
            .iter()
            .any(|json| media_type.as_bytes().starts_with(json))
    });
    if !is_json {
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, usize::MAX).await {
        Ok(json) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, pretty(&json).into())
        }
        Err(error) => Problem::internal(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_continue_can_be_expected_and_only_for_bodies_that_are_taken() {
        let headers = |expect: &str, length: &str| {
            let pairs = [(header::EXPECT, expect.parse().unwrap()), (header::CONTENT_LENGTH, length.parse().unwrap())];
            HeaderMap::from_iter(pairs)
        };
        assert!(check_expectation(&HeaderMap::new(), 10).is_ok());
        assert!(check_expectation(&headers("100-Continue", "10"), 10).is_ok());
        assert!(check_expectation(&headers("100-continue", "11"), 10).is_err());
        assert!(check_expectation(&headers("nonsense", "1"), 10).is_err());
    }

    #[test]
    fn pretty_is_read_even_where_the_operation_refuses_the_rest() {
        assert!(wants_pretty(Some("nope=1&pretty=true")));
        for query in [None, Some("pretty=false"), Some("pretty=1"), Some("x=pretty")] {
            assert!(!wants_pretty(query), "{query:?}");
        }
    }
}
