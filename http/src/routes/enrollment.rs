//! `POST /agents`: registering agents by an operator.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_control::{AgentName, Change, ClientKey, EnrollAgent, Force, Millis, Outcome, RegisteredAddress};
use muster_raft::Proposed;
use serde::{Deserialize, Serialize};

use crate::address;
use crate::app::{App, unexpected};
use crate::body::Json;
use crate::caller::Permission;
use crate::code::Code;
use crate::envelope::{Id, Object};
use crate::format;
use crate::params::{NoParams, Params};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::writer::Writer;

/// Longest name of an agent, in characters.
const NAME_LIMIT: usize = 128;

/// The body of `POST /agents`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAgent {
    name: String,
    ip: Option<String>,
    force: Option<ForceBody>,
}

/// When a registered agent gives way. What is not told has the defaults of the contract; to tell anything enables it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ForceBody {
    enabled: bool,
    disconnected_time: DisconnectedTime,
    after_registration_time: Span,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DisconnectedTime {
    enabled: bool,
    value: Span,
}

/// A span of time: a number of seconds, or a text such as `1h`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "SpanBody")]
struct Span(Millis);

#[derive(Deserialize)]
#[serde(untagged)]
enum SpanBody {
    Seconds(u64),
    Text(String),
}

impl TryFrom<SpanBody> for Span {
    type Error = &'static str;

    fn try_from(body: SpanBody) -> Result<Self, Self::Error> {
        let secs = match body {
            SpanBody::Seconds(secs) => secs,
            SpanBody::Text(text) => format::timeframe(&text).ok_or("not a span of time")?,
        };
        Ok(Self(Millis::from_secs(secs)))
    }
}

impl Default for Span {
    fn default() -> Self {
        Self(Millis::from_secs(3600))
    }
}

impl Default for DisconnectedTime {
    fn default() -> Self {
        Self { enabled: true, value: Span::default() }
    }
}

impl Default for ForceBody {
    fn default() -> Self {
        Self { enabled: true, disconnected_time: DisconnectedTime::default(), after_registration_time: Span::default() }
    }
}

impl From<ForceBody> for Force {
    fn from(body: ForceBody) -> Self {
        let ForceBody { enabled, disconnected_time, after_registration_time } = body;
        Self {
            enabled,
            disconnected_for: disconnected_time.enabled.then_some(disconnected_time.value.0),
            registered_for: after_registration_time.0,
            key_mismatch: false, // an operator's request tells no key
        }
    }
}

/// Registers an agent and gives it a key.
pub(super) async fn create(
    writer: Writer,
    State(app): State<Arc<App>>,
    _: Params<NoParams>,
    Json(body): Json<NewAgent>,
) -> Result<Reply, Problem> {
    writer.authorize(Permission::AgentCreate)?;
    let name = agent_name(&body.name)?;
    let address = registered_address(body.ip.as_deref())?;
    let key = fresh_key();
    let enroll = EnrollAgent {
        address: address.clone(),
        force: body.force.map_or_else(Force::never, Force::from),
        ..EnrollAgent::new(name.clone(), key.clone())
    };
    let Proposed { index, outcome } = app.propose(&writer, Change::EnrollAgent(enroll)).await?;
    let Outcome::Enrolled(enrolled) = outcome else { return Err(unexpected(outcome, index)) };
    #[derive(Serialize)]
    struct Created {
        id: Id,
        key: String,
    }
    let line = STANDARD.encode(format!("{} {name} {address} {key}", enrolled.agent));
    Reply::json(index, &Object::new(Created { id: Id(enrolled.agent), key: line }))
}

fn agent_name(text: &str) -> Result<AgentName, Problem> {
    if text.chars().count() > NAME_LIMIT {
        return Err(Problem::refused(Code::NameTooLong));
    }
    text.parse().map_err(|error: muster_control::InvalidText| Problem::schema(format!("body: name: {error}")))
}

fn registered_address(text: Option<&str>) -> Result<RegisteredAddress, Problem> {
    match text {
        None => Ok(RegisteredAddress::any()),
        Some(text) if text.is_empty() || !(format::SYMBOLS.accepts)(text) => {
            Err(Problem::schema("body: ip: not an address"))
        }
        Some(text) => address::registered(text).ok_or_else(|| Problem::refused(Code::Address)),
    }
}

/// 32 bytes of randomness in 64 lower-case hex digits.
fn fresh_key() -> ClientKey {
    let bytes: [u8; 32] = rand::random();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("hex digits are valid in a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn force(json: serde_json::Value) -> Result<Force, serde_json::Error> {
        serde_json::from_value::<ForceBody>(json).map(Force::from)
    }

    #[test]
    fn a_partial_force_is_completed_with_the_defaults() {
        let hour = Millis::from_secs(3600);
        let default = Force { enabled: true, disconnected_for: Some(hour), registered_for: hour, key_mismatch: false };
        assert_eq!(force(serde_json::json!({})).unwrap(), default);
        let json = serde_json::json!({"disconnected_time": {"value": "2d"}, "after_registration_time": 0});
        let spans =
            Force { disconnected_for: Some(Millis::from_secs(172_800)), registered_for: Millis::new(0), ..default };
        assert_eq!(force(json).unwrap(), spans);
        let json = serde_json::json!({"enabled": false, "disconnected_time": {"enabled": false}});
        assert_eq!(force(json).unwrap(), Force { enabled: false, disconnected_for: None, ..spans_of(hour) });
    }

    fn spans_of(registered_for: Millis) -> Force {
        Force { enabled: true, disconnected_for: None, registered_for, key_mismatch: false }
    }

    #[test]
    fn a_force_with_anything_else_is_refused() {
        for json in [
            serde_json::json!({"nope": 1}),
            serde_json::json!({"enabled": "yes"}),
            serde_json::json!({"after_registration_time": "1w"}),
            serde_json::json!({"after_registration_time": -1}),
            serde_json::json!({"disconnected_time": {"value": "1h", "x": 1}}),
        ] {
            assert!(force(json.clone()).is_err(), "{json}");
        }
    }

    #[test]
    fn keys_are_64_hex_digits_and_differ() {
        let (one, other) = (fresh_key(), fresh_key());
        assert_eq!(one.as_str().len(), 64);
        assert_ne!(one, other);
    }
}
