//! Events (4.9): what agents report, and how it is handed to the analysis side.

/// Longest datagram the analysis side takes, in bytes.
const MAX_DATAGRAM: usize = 65_535;

/// What the message of a new agent process begins with, whatever its location (4.2, 10).
const STARTED: &[u8] = b"ossec: Agent started: '";

/// One event: `Q:location:message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The kind of source, one byte: `1` for a log line, `d` for inventory, ...
    pub queue: u8,
    /// Everything behind `Q:`.
    pub text: &'a [u8],
}

impl<'a> Event<'a> {
    /// Takes a payload as an event; one without `:` as its second byte is none.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        match payload {
            [queue, b':', text @ ..] => Some(Self { queue: *queue, text }),
            _ => None,
        }
    }

    /// The payload that carries it.
    pub fn encode(&self) -> Vec<u8> {
        [&[self.queue, b':'], self.text].concat()
    }

    /// The payload by which a new agent process says that it runs; `address` is the registered one without mask.
    pub fn started_payload(name: &str, address: &str) -> Vec<u8> {
        format!("1:wazuh-agent:ossec: Agent started: '{name}->{address}'.").into_bytes()
    }

    /// Whether a new process of the agent says here that it runs: the proof of a restart.
    ///
    /// The location moved with 4.4.0, so any is taken but a path: a log file that quotes such a line proves nothing.
    pub fn is_agent_started(&self) -> bool {
        let Some(end) = self.text.iter().position(|byte| *byte == b':') else {
            return false;
        };
        let (location, message) = (&self.text[..end], &self.text[end + 1..]);
        self.queue == b'1' && message.starts_with(STARTED) && !location.iter().any(|byte| b"/\\".contains(byte))
    }

    /// The datagram for the analysis side, or `None` for what is dropped: internal keepalive marks.
    ///
    /// What exceeds the longest datagram is cut off.
    pub fn to_datagram(&self, source: &EventSource) -> Option<Vec<u8>> {
        if self.text.starts_with(b"keepalive") {
            return None;
        }
        let mut datagram = [&[self.queue, b':'], &*source.0, self.text].concat();
        datagram.truncate(MAX_DATAGRAM);
        Some(datagram)
    }
}

/// Which agent an event is from, as the analysis side reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource(Box<[u8]>);

impl EventSource {
    /// Of the agent with this id, name and registered address, the latter without mask.
    pub fn new(id: &str, name: &str, address: &str) -> Self {
        let mut text = Vec::with_capacity(id.len() + name.len() + address.len() + 16);
        for byte in format!("[{id}] ({name}) {address}").bytes() {
            if matches!(byte, b':' | b'|') {
                text.push(b'|');
            }
            text.push(byte);
        }
        text.extend_from_slice(b"->");
        Self(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_started(payload: &str) -> bool {
        Event::parse(payload.as_bytes()).is_some_and(|event| event.is_agent_started())
    }

    #[test]
    fn agent_started_is_known_in_old_and_new_locations() {
        assert!(is_started("1:wazuh-agent:ossec: Agent started: 'web-01->any'."));
        assert!(is_started("1:ossec:ossec: Agent started: 'web-01->any'."));
        assert!(is_started(&String::from_utf8(Event::started_payload("web-01", "any")).unwrap()));
    }

    #[test]
    fn a_log_line_that_quotes_agent_started_is_no_proof() {
        for payload in [
            "1:/var/log/x:ossec: Agent started: 'web-01->any'.",
            "1:wazuh-agent:seen: ossec: Agent started: 'web-01->any'.",
            "2:wazuh-agent:ossec: Agent started: 'web-01->any'.",
            "1:wazuh-agent:ossec: Agent stopped: 'web-01->any'.",
            "1:ossec",
        ] {
            assert!(!is_started(payload), "{payload}");
        }
    }

    #[test]
    fn a_datagram_is_cut_at_what_the_socket_takes() {
        let text = vec![b'x'; 65_530];
        let event = Event { queue: b'1', text: &text };
        assert_eq!(
            event.to_datagram(&EventSource::new("001", "web-01", "any")).map(|datagram| datagram.len()),
            Some(65_535)
        );
    }
}
