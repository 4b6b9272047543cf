//! What agents say (4.1).

use std::borrow::Cow;

use serde::Deserialize;

use super::event::Event;
use super::number::RequestNumber;

/// What all control messages begin with, in both directions.
pub(super) const CONTROL: &[u8] = b"#!-";

const STARTUP: &[u8] = b"#!-agent startup ";
const SHUTDOWN: &[u8] = b"#!-agent shutdown ";
pub(super) const REQUEST: &[u8] = b"#!-req ";
pub(super) const REQUEST_ACK: &[u8] = b"ack";

/// A message of an agent, borrowed from its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromAgent<'a> {
    /// First message of every connection. To be answered by an ack before anything else, or by a refusal.
    Startup(Startup<'a>),
    /// Periodic report, the text behind `#!-`; [`Keepalive::parse`](super::Keepalive::parse) reads it. Wants an ack.
    Keepalive(&'a [u8]),
    /// The agent's process ends in an orderly way. Wants no ack.
    Shutdown,
    /// Answer to a request. Match it by number and agent: it may come on a later connection, even before the ack.
    Answer {
        /// Number of the request.
        number: RequestNumber<'a>,
        /// `ok ...`, `err ...` or JSON.
        body: &'a [u8],
    },
    /// UDP only: the agent has the request.
    RequestAck(RequestNumber<'a>),
    /// Anything that is not control.
    Event(Event<'a>),
    /// Fits no form: dropped by the reference, no reason to close.
    Other(&'a [u8]),
}

/// What a startup tells of the agent's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup<'a> {
    /// Nothing: an agent before 4.6. Always accepted.
    Silent,
    /// The version, such as `v4.14.9`, as the agent wrote it.
    Version(Cow<'a, str>),
    /// JSON without a string `version`: to be refused.
    Unreadable,
}

impl<'a> FromAgent<'a> {
    /// Reads a payload. Total: whatever an agent sends is one of the variants.
    pub fn decode(payload: &'a [u8]) -> Self {
        if let Some(rest) = payload.strip_prefix(STARTUP) {
            return Self::Startup(Startup::decode(rest));
        }
        if payload.starts_with(SHUTDOWN) {
            return Self::Shutdown;
        }
        if let Some(rest) = payload.strip_prefix(REQUEST) {
            return match split_number(rest) {
                Some((number, REQUEST_ACK)) => Self::RequestAck(number),
                Some((number, body)) => Self::Answer { number, body },
                None => Self::Other(payload),
            };
        }
        if let Some(body) = payload.strip_prefix(CONTROL) {
            return Self::Keepalive(body);
        }
        Event::parse(payload).map_or(Self::Other(payload), Self::Event)
    }

    /// Writes the payload, as an agent would.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Startup(startup) => startup.encode(),
            Self::Keepalive(body) => [CONTROL, body].concat(),
            Self::Shutdown => SHUTDOWN.to_vec(),
            Self::Answer { number, body } => numbered(*number, body),
            Self::RequestAck(number) => numbered(*number, REQUEST_ACK),
            Self::Event(event) => event.encode(),
            Self::Other(payload) => payload.to_vec(),
        }
    }

    /// Whether the manager answers it with an ack, provided it is valid.
    pub fn wants_ack(&self) -> bool {
        matches!(self, Self::Startup(_) | Self::Keepalive(_))
    }
}

impl<'a> Startup<'a> {
    fn decode(rest: &'a [u8]) -> Self {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            version: Cow<'a, str>,
        }
        if !rest.trim_ascii_start().starts_with(b"{") {
            return Self::Silent;
        }
        serde_json::from_slice(rest).map_or(Self::Unreadable, |body: Body<'_>| Self::Version(body.version))
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Silent => STARTUP.to_vec(),
            Self::Version(version) => {
                [STARTUP, serde_json::json!({ "version": version }).to_string().as_bytes()].concat()
            }
            Self::Unreadable => [STARTUP, b"{}"].concat(),
        }
    }
}

/// Cuts `N REST` at the first space.
pub(super) fn split_number(bytes: &[u8]) -> Option<(RequestNumber<'_>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    Some((RequestNumber::from_bytes(&bytes[..space])?, &bytes[space + 1..]))
}

/// The payload `#!-req N REST`.
pub(super) fn numbered(number: RequestNumber<'_>, rest: &[u8]) -> Vec<u8> {
    [REQUEST, number.as_str().as_bytes(), b" ", rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_startup_tells_a_version_nothing_or_nonsense() {
        let startup = |payload: &'static [u8]| match FromAgent::decode(payload) {
            FromAgent::Startup(startup) => startup,
            other => panic!("{other:?}"),
        };
        assert_eq!(startup(b"#!-agent startup "), Startup::Silent);
        assert_eq!(startup(br#"#!-agent startup {"version":"v4.14.9"}"#), Startup::Version("v4.14.9".into()));
        assert_eq!(startup(br#"#!-agent startup {"version":"a\"b","x":[1]}"#), Startup::Version("a\"b".into()));
        for bad in [&br#"#!-agent startup {}"#[..], br#"#!-agent startup {"version":4}"#, b"#!-agent startup {"] {
            assert_eq!(startup(bad), Startup::Unreadable);
        }
    }

    #[test]
    fn json_nested_too_deep_is_unreadable() {
        let payload = [STARTUP, br#"{"version":"v4.1.0","x":"#, &[b'['; 50_000][..]].concat();
        assert_eq!(FromAgent::decode(&payload), FromAgent::Startup(Startup::Unreadable));
    }

    #[test]
    fn control_text_of_no_other_form_is_a_keepalive() {
        assert_eq!(FromAgent::decode(b"#!-Linux |x\n"), FromAgent::Keepalive(b"Linux |x\n"));
        assert_eq!(FromAgent::decode(b"#!-agent startup"), FromAgent::Keepalive(b"agent startup"));
    }

    #[test]
    fn answers_and_acks_carry_the_number_of_their_request() {
        let number = RequestNumber::new("5f3a9c01").unwrap();
        assert_eq!(FromAgent::decode(b"#!-req 5f3a9c01 ok "), FromAgent::Answer { number, body: b"ok " });
        assert_eq!(FromAgent::decode(b"#!-req 5f3a9c01 ack"), FromAgent::RequestAck(number));
        for odd in [&b"#!-req "[..], b"#!-req x", b"#!-req  ok", b"hello", b""] {
            assert_eq!(FromAgent::decode(odd), FromAgent::Other(odd));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_decode_and_come_back(
            prefix in proptest::sample::select(vec!["", "#!-", "#!-req ", "#!-agent shutdown ", "1:"]),
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let payload = [prefix.as_bytes(), &bytes].concat();
            let message = FromAgent::decode(&payload);
            if !matches!(message, FromAgent::Shutdown | FromAgent::Startup(_)) {
                prop_assert_eq!(message.encode(), payload);
            }
        }

        #[test]
        fn any_version_survives_a_startup(version in ".{0,40}") {
            let startup = FromAgent::Startup(Startup::Version(version.into()));
            let payload = startup.encode();
            prop_assert_eq!(FromAgent::decode(&payload), startup);
        }
    }
}
