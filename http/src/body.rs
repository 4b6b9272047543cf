//! Request bodies: bounded, typed, and refused where an operation takes none.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// Deepest nesting of a JSON body; no operation needs more than four levels.
const MAX_DEPTH: usize = 64;

/// So many times the limit is read and thrown away, so that a client that sends too much hears why.
const DISCARD: usize = 4;

/// For so long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The body of a request in JSON. Unknown fields are refused by the types that are read into.
pub(crate) struct Json<T>(pub(crate) T);

/// The request has no body, or one that says nothing: `{}`, as clients send it that send a body with everything.
///
/// Operations on "all unless a list is given" take this one: a list in a body, where nobody looks for it, must not turn
/// into everything.
pub(crate) struct NoBody;

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        check_type(request.headers())?;
        let bytes = read(request, app.config().max_body_bytes).await?;
        if bytes.is_empty() {
            return Err(Problem::schema("the request needs a body"));
        }
        if is_deeper_than(&bytes, MAX_DEPTH) {
            return Err(Problem::too_deep(MAX_DEPTH));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::schema(format!("body: {error}")))
    }
}

impl FromRequest<Arc<App>> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let bytes = read(request, app.config().max_body_bytes).await?;
        if bytes.is_empty() || is_empty_object(&bytes) {
            Ok(Self)
        } else {
            Err(Problem::schema("this operation takes no body; its parameters belong into the query string"))
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Problem::media_type("application/json")) }
}

/// Reads at most `limit` bytes; zero means no limit.
async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    match tokio::time::timeout(PATIENCE, collect(request.into_body(), limit)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::schema("the body did not arrive in time")),
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let (mut kept, mut received) = (BytesMut::new(), 0_usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Problem::schema("the body ended before its end"))?;
        let Ok(chunk) = frame.into_data() else { continue };
        received = received.saturating_add(chunk.len());
        if received <= limit {
            kept.extend_from_slice(&chunk);
        } else if received > limit.saturating_mul(DISCARD) {
            break;
        }
    }
    if received > limit { Err(Problem::too_large(limit)) } else { Ok(kept.freeze()) }
}

fn is_empty_object(json: &[u8]) -> bool {
    let inside = json.trim_ascii().strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Whether brackets are open more than `limit` deep anywhere, whatever else is wrong with the text.
fn is_deeper_than(json: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, b'"') if !escaped => in_string = false,
            (true, byte) => escaped = !escaped && *byte == b'\\',
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_brackets_outside_of_strings() {
        assert!(!is_deeper_than(br#"{"a": "[[[[[[", "b\"[[[[": []}"#, 2));
        assert!(is_deeper_than("[".repeat(65).as_bytes(), 64));
        assert!(!is_deeper_than("[]".repeat(1000).as_bytes(), 1));
    }

    #[test]
    fn only_an_empty_object_says_nothing() {
        for nothing in ["{}", " {\n}\r\n"] {
            assert!(is_empty_object(nothing.as_bytes()), "{nothing}");
        }
        for something in ["", " ", "[]", "\"\"", "null", "{", "}", "{{}}", "{}{}", "{\"a\":1}", "{} x"] {
            assert!(!is_empty_object(something.as_bytes()), "{something}");
        }
    }

    #[test]
    fn a_body_without_type_or_with_parameters_of_its_type_is_taken() {
        let mut headers = HeaderMap::new();
        assert!(check_type(&headers).is_ok());
        headers.insert(header::CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
        assert!(check_type(&headers).is_ok());
        headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        assert!(check_type(&headers).is_err());
    }
}
