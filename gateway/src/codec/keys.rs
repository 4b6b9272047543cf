//! A line of `client.keys` (2.1): the identity that enrollment hands out, and its hash.

use std::fmt;
use std::str::FromStr;

use muster_control::{AgentName, ClientKey};

use super::address::AddressPattern;
use super::digest::sha1_hex;

/// Identity of one agent: `ID NAME ADDRESS KEY`, single spaces, no line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKeyLine {
    /// One to eight digits, as written: `001` and `1` are different agents on the wire.
    pub id: String,
    /// Name under which the manager knows the agent.
    pub name: AgentName,
    /// Where it may come from.
    pub address: AddressPattern,
    /// The shared secret.
    pub key: ClientKey,
}

/// A line that an agent would not take as its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an agent's identity: id, name, address and key in four words")]
pub struct InvalidKeyLine;

impl ClientKeyLine {
    /// [`key_hash`] of this identity.
    pub fn hash(&self) -> String {
        key_hash(&self.id, self.name.as_str(), self.key.as_str())
    }
}

impl fmt::Display for ClientKeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, address, key } = self;
        write!(f, "{id} {name} {address} {key}")
    }
}

impl FromStr for ClientKeyLine {
    type Err = InvalidKeyLine;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let &[id, name, address, key] = words.as_slice() else {
            return Err(InvalidKeyLine);
        };
        if !(1..=8).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidKeyLine);
        }
        Ok(Self {
            id: id.to_owned(),
            name: name.parse().map_err(|_| InvalidKeyLine)?,
            address: address.parse().map_err(|_| InvalidKeyLine)?,
            key: key.parse().map_err(|_| InvalidKeyLine)?,
        })
    }
}

/// What an enrolling agent proves its present key with (1.7): SHA-1 of id, name and key in a row, 40 hex digits.
pub fn key_hash(id: &str, name: &str, client_key: &str) -> String {
    sha1_hex(&[id.as_bytes(), name.as_bytes(), client_key.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_it_was_written() {
        for line in ["001 web-01 any 6f1c", "1024 lab 192.168.10.0/24 aaaa", "7 x1 10.0.0.5 k.k"] {
            assert_eq!(line.parse::<ClientKeyLine>().map(|line| line.to_string()).as_deref(), Ok(line));
        }
    }

    #[test]
    fn lines_an_agent_refuses_are_refused() {
        for line in [
            "001 web-01 any",
            "001 web-01 any key more",
            "001 !web-01 any key1",
            "001 web-01 10.0.0.300 key1",
            "123456789 web-01 any key1",
            "0x1 web-01 any key1",
            "001 web-01 any a+b=",
            "",
        ] {
            assert_eq!(line.parse::<ClientKeyLine>(), Err(InvalidKeyLine), "{line:?}");
        }
    }
}
