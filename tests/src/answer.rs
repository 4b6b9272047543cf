//! What a client is told.

use serde_json::Value;

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body.
    pub media_type: String,
    /// The body; `null` if it is not JSON.
    pub body: Value,
    /// The log index it rests on.
    pub index: Option<u64>,
    /// The command the request issued.
    pub command: Option<u64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There was no connection: nothing was asked.
    NotAsked(String),
    /// The connection ended, or time was up: the request may have been heard.
    Unknown(String),
}

impl Answer {
    /// Its body.
    ///
    /// # Panics
    /// When it is not a success.
    pub fn success(self) -> Value {
        assert!(self.is_success(), "{self:?}");
        self.body
    }

    /// Whether everything that was asked for was done.
    pub fn is_success(&self) -> bool {
        self.status == 200 && self.body["error"].as_u64().unwrap_or(0) == 0
    }

    /// Whether it is a problem with this status and this `type`, in the form of RFC 9457.
    pub fn is_problem(&self, status: u16, kind: &str) -> bool {
        self.status == status && self.body["type"] == kind && self.media_type.starts_with("application/problem+json")
    }

    /// The items of a list.
    ///
    /// # Panics
    /// When it is not a success with a list.
    pub fn items(self) -> Vec<Value> {
        let Value::Array(items) = self.success()["data"]["affected_items"].take() else { panic!("no list") };
        items
    }
}
