//! What managers say (4.1). Trailing spaces are part of the messages.

use std::borrow::Cow;

use serde::Deserialize;

use super::from_agent::{CONTROL, REQUEST, REQUEST_ACK, numbered, split_number};
use super::number::RequestNumber;

const ACK: &[u8] = b"#!-agent ack ";
const FORCE_RECONNECT: &[u8] = b"#!-force_reconnect";
const REFUSED: &[u8] = b"#!-err ";
const EXECD: &[u8] = b"#!-execd ";
const FILE_OPEN: &[u8] = b"#!-up file ";
const FILE_CLOSE: &[u8] = b"#!-close file ";

/// A message to an agent, borrowed from its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAgent<'a> {
    /// Answer to startup and keepalive; the first frame of every connection, or the agent gives it up.
    Ack,
    /// A question or an order with an answer.
    Request {
        /// Echoed in the answer.
        number: RequestNumber<'a>,
        /// The part of the agent that answers; from [`Component`] unless somebody else wrote it.
        component: &'a str,
        /// At least one word, or the agent drops the request without a trace.
        command: &'a [u8],
    },
    /// UDP only: the answer arrived.
    RequestAck(RequestNumber<'a>),
    /// Close, connect and start up again, at once.
    ForceReconnect,
    /// Instead of an ack: the startup is refused. The agent logs the text and tries again.
    Refused {
        /// The reason, for the agent's log.
        message: Cow<'a, str>,
    },
    /// A command for the agent's active response, without an answer.
    Execd(&'a [u8]),
    /// A shared file follows as [`ToAgent::Content`].
    FileOpen {
        /// MD5 of exactly the bytes that follow, lower-case hex.
        md5: &'a str,
        /// Its name, `merged.mg` in practice.
        name: &'a str,
    },
    /// The shared file is complete.
    FileClose,
    /// A piece of a shared file: anything that is not control.
    Content(&'a [u8]),
    /// Control of another form, such as database synchronisation.
    Other(&'a [u8]),
}

/// Parts of an agent that answer requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The agent daemon itself.
    Agent,
    /// The daemon for commands; knows `restart`.
    Com,
    /// Log collection.
    Logcollector,
    /// File integrity.
    Syscheck,
    /// Modules.
    Wmodules,
    /// Upgrade.
    Upgrade,
}

impl Component {
    /// Its word in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Com => "com",
            Self::Logcollector => "logcollector",
            Self::Syscheck => "syscheck",
            Self::Wmodules => "wmodules",
            Self::Upgrade => "upgrade",
        }
    }
}

impl<'a> ToAgent<'a> {
    /// Restart of agents from 4.2 on by active response, if `ar.conf` is on the agent: form R1 of 4.7.
    pub const EXECD_RESTART: Self = Self::Execd(
        br#"{"version": 1, "origin": {"module": "framework"}, "command": "restart-wazuh0", "parameters": {"extra_args": [], "alert": {}}} - null (from_the_server) (no_rule_id)"#,
    );

    /// The same for agents before 4.2: form R2 of 4.7.
    pub const EXECD_RESTART_OLD: Self = Self::Execd(b"restart-ossec0 - null (from_the_server) (no_rule_id)");

    /// A request to one of the known components.
    pub fn request(number: RequestNumber<'a>, component: Component, command: &'a [u8]) -> Self {
        Self::Request { number, component: component.as_str(), command }
    }

    /// Restart of any 4.x agent, with an answer: form R5 of 4.7. Each one received is a restart of its own.
    pub fn restart(number: RequestNumber<'a>) -> Self {
        Self::request(number, Component::Com, b"restart")
    }

    /// The question whether this is a new process; [`AgentState`](super::AgentState) reads the answer.
    pub fn state_query(number: RequestNumber<'a>) -> Self {
        Self::request(number, Component::Agent, b"getstate")
    }

    /// Refusal of an agent of a newer line than the manager.
    pub fn refused_as_too_new() -> Self {
        Self::Refused { message: "Agent version must be lower or equal to manager version".into() }
    }

    /// Refusal of a startup whose version can not be read.
    pub fn refused_as_unreadable() -> Self {
        Self::Refused { message: "Couldn't retrieve version".into() }
    }

    /// Reads a payload. Total: whatever a manager sends is one of the variants.
    pub fn decode(payload: &'a [u8]) -> Self {
        if !payload.starts_with(CONTROL) {
            return Self::Content(payload);
        }
        if payload == ACK {
            return Self::Ack;
        }
        let known = match payload {
            _ if payload.starts_with(REQUEST) => decode_request(&payload[REQUEST.len()..]),
            _ if payload.starts_with(FORCE_RECONNECT) => Some(Self::ForceReconnect),
            _ if payload.starts_with(EXECD) => Some(Self::Execd(&payload[EXECD.len()..])),
            _ if payload.starts_with(REFUSED) => decode_refusal(&payload[REFUSED.len()..]),
            _ if payload.starts_with(FILE_OPEN) => decode_file_open(&payload[FILE_OPEN.len()..]),
            _ if payload.starts_with(FILE_CLOSE) => Some(Self::FileClose),
            _ => None,
        };
        known.unwrap_or(Self::Other(payload))
    }

    /// Writes the payload.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ack => ACK.to_vec(),
            Self::Request { number, component, command } => {
                numbered(*number, &[component.as_bytes(), b" ", command].concat())
            }
            Self::RequestAck(number) => numbered(*number, REQUEST_ACK),
            Self::ForceReconnect => FORCE_RECONNECT.to_vec(),
            Self::Refused { message } => {
                [REFUSED, serde_json::json!({ "message": message }).to_string().as_bytes()].concat()
            }
            Self::Execd(command) => [EXECD, command].concat(),
            Self::FileOpen { md5, name } => [FILE_OPEN, md5.as_bytes(), b" ", name.as_bytes(), b"\n"].concat(),
            Self::FileClose => FILE_CLOSE.to_vec(),
            Self::Content(bytes) | Self::Other(bytes) => bytes.to_vec(),
        }
    }
}

fn decode_request(rest: &[u8]) -> Option<ToAgent<'_>> {
    let (number, rest) = split_number(rest)?;
    if rest == REQUEST_ACK {
        return Some(ToAgent::RequestAck(number));
    }
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let component = str::from_utf8(&rest[..space]).ok()?;
    Some(ToAgent::Request { number, component, command: &rest[space + 1..] })
}

fn decode_refusal(rest: &[u8]) -> Option<ToAgent<'_>> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    serde_json::from_slice(rest).ok().map(|body: Body<'_>| ToAgent::Refused { message: body.message })
}

fn decode_file_open(rest: &[u8]) -> Option<ToAgent<'_>> {
    let line = str::from_utf8(rest.strip_suffix(b"\n")?).ok()?;
    let (md5, name) = line.split_once(' ')?;
    Some(ToAgent::FileOpen { md5, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ack_without_its_trailing_space_is_none() {
        assert_eq!(ToAgent::decode(b"#!-agent ack "), ToAgent::Ack);
        assert_eq!(ToAgent::decode(b"#!-agent ack"), ToAgent::Other(b"#!-agent ack"));
    }

    #[test]
    fn every_message_reads_as_it_was_written() {
        let number = RequestNumber::new("5f3a9c01").unwrap();
        for message in [
            ToAgent::Ack,
            ToAgent::restart(number),
            ToAgent::state_query(number),
            ToAgent::RequestAck(number),
            ToAgent::ForceReconnect,
            ToAgent::refused_as_too_new(),
            ToAgent::refused_as_unreadable(),
            ToAgent::EXECD_RESTART,
            ToAgent::EXECD_RESTART_OLD,
            ToAgent::FileOpen { md5: "16d3368e15a603204f3b098733e1326a", name: "merged.mg" },
            ToAgent::Content(b"#default\n!228 ar.conf\n"),
            ToAgent::FileClose,
            ToAgent::Other(b"#!-syscheck x"),
        ] {
            assert_eq!(ToAgent::decode(&message.encode()), message);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_never_panic(
            prefix in proptest::sample::select(vec!["", "#!-", "#!-req ", "#!-err ", "#!-up file ", "#!-execd "]),
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = ToAgent::decode(&[prefix.as_bytes(), &bytes].concat());
        }
    }
}
