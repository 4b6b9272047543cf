//! The answer to `agent getstate` (4.6): what tells a new agent process from an old one.

use serde::{Deserialize, Serialize};

/// State of an agent's daemon as it reports it; its counters start from zero in a new process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentState {
    /// `connected` in any answer that arrives.
    #[serde(default)]
    pub status: String,
    /// Local time of the last keepalive, `YYYY-MM-DD HH:MM:SS`; empty until the process has sent its first.
    pub last_keepalive: String,
    /// Local time of the last ack, in the same form.
    #[serde(default)]
    pub last_ack: String,
    /// Events collected.
    #[serde(default)]
    pub msg_count: u64,
    /// Messages sent, control included.
    pub msg_sent: u64,
    /// Events waiting in the buffer.
    #[serde(default)]
    pub msg_buffer: u64,
    /// Whether there is a buffer.
    #[serde(default)]
    pub buffer_enabled: bool,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    error: u32,
    data: AgentState,
}

impl AgentState {
    /// Reads the body of an answer; `None` if it is an error or something else.
    pub fn from_answer(body: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(body).ok()?;
        (answer.error == 0).then_some(answer.data)
    }

    /// Writes the body of an answer, as an agent would.
    pub fn to_answer(&self) -> Vec<u8> {
        serde_json::to_vec(&Answer { error: 0, data: self.clone() }).expect("numbers and strings are always valid JSON")
    }

    /// Whether this process has sent a keepalive: a process younger than one period has not.
    pub fn has_sent_keepalive(&self) -> bool {
        !self.last_keepalive.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &[u8] = br#"{"error":0,"data":{"status":"connected","last_keepalive":"2026-11-22 08:29:34","last_ack":"2026-11-22 08:29:35","msg_count":0,"msg_sent":5,"msg_buffer":0,"buffer_enabled":true}}"#;

    #[test]
    fn the_answer_of_a_real_agent_reads_and_comes_back() {
        let state = AgentState::from_answer(REAL).unwrap();
        assert_eq!((state.msg_sent, state.has_sent_keepalive()), (5, true));
        assert_eq!(state.to_answer(), REAL);
    }

    #[test]
    fn errors_and_other_answers_are_no_state() {
        for body in [&br#"{"error":1,"data":{},"message":"Statistics unavailable"}"#[..], b"err x", b"ok {}", b""] {
            assert_eq!(AgentState::from_answer(body), None);
        }
    }
}
