//! A successful answer, before it becomes bytes on a connection.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use muster_control::{CommandId, LogIndex};
use serde::Serialize;

use crate::problem::Problem;

/// Header with the log index an answer rests on: read at, or applied at.
pub(crate) const INDEX: HeaderName = HeaderName::from_static("muster-index");

/// Header with the id of the command a request issued.
pub(crate) const COMMAND: HeaderName = HeaderName::from_static("muster-command");

/// A successful answer.
pub(crate) struct Reply {
    body: Vec<u8>,
    media_type: &'static str,
    index: Option<LogIndex>,
    command: Option<CommandId>,
    successor: Option<&'static str>,
}

impl Reply {
    /// An answer in JSON that rests on the state at `index`.
    pub(crate) fn json(index: LogIndex, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { index: Some(index), ..Self::plain_json(body)? })
    }

    /// An answer in JSON that rests on no state.
    pub(crate) fn plain_json(body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
        Ok(Self { body, media_type: "application/json", index: None, command: None, successor: None })
    }

    /// An answer in text.
    pub(crate) fn text(index: Option<LogIndex>, media_type: &'static str, body: String) -> Self {
        Self { body: body.into_bytes(), media_type, index, command: None, successor: None }
    }

    /// Tells the command that the request issued.
    pub(crate) fn with_command(self, command: CommandId) -> Self {
        Self { command: Some(command), ..self }
    }

    /// Tells that the operation is deprecated, and what to use instead.
    pub(crate) fn deprecated(self, successor: &'static str) -> Self {
        Self { successor: Some(successor), ..self }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if let Some(index) = self.index {
            headers.insert(INDEX, HeaderValue::from(index.get()));
        }
        if let Some(command) = self.command {
            headers.insert(COMMAND, HeaderValue::from(command.get()));
        }
        if let Some(successor) = self.successor {
            headers.insert(HeaderName::from_static("deprecated"), HeaderValue::from_static("true"));
            headers.insert(header::LINK, HeaderValue::from_static(successor));
        }
        response
    }
}
