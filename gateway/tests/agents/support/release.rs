//! What differs between agents of different versions (agent protocol, section 0.1).

use muster_gateway::codec::{AgentVersion, Startup};

/// An agent's version, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Release(AgentVersion);

impl Release {
    /// The versions that each stand for a form of the protocol.
    pub(crate) const ALL: [Self; 5] =
        [Self::new(3, 13, 6), Self::new(4, 1, 5), Self::new(4, 3, 11), Self::new(4, 12, 0), Self::LATEST];

    pub(crate) const LATEST: Self = Self::new(4, 14, 7);

    const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self(AgentVersion::new(major, minor, patch))
    }

    fn is_at_least(self, major: u32, minor: u32) -> bool {
        self.0 >= AgentVersion::new(major, minor, 0)
    }

    /// Agents before 4.6 do not tell their version in the startup.
    pub(crate) fn startup(self) -> Startup<'static> {
        if self.is_at_least(4, 6) { Startup::Version(self.0.to_string().into()) } else { Startup::Silent }
    }

    /// Agents before 4.2 end without a word.
    pub(crate) fn announces_shutdown(self) -> bool {
        self.is_at_least(4, 2)
    }

    /// Agents before 4.3 do not know `force_reconnect`.
    pub(crate) fn obeys_reconnect(self) -> bool {
        self.is_at_least(4, 3)
    }

    /// The event of a new process moved with 4.4.
    pub(crate) fn started(self, name: &str, address: &str) -> Vec<u8> {
        let location = if self.is_at_least(4, 4) { "wazuh-agent" } else { "ossec" };
        format!("1:{location}:ossec: Agent started: '{name}->{address}'.").into_bytes()
    }

    /// The body of a keepalive. The oldest agents put a random line behind it.
    pub(crate) fn keepalive(self) -> Vec<u8> {
        let system = "Linux |vm |6.1 |#1 SMP |x86_64 [Debian GNU/Linux|debian: 12 (bookworm)]";
        let tail = if self.is_at_least(4, 0) { "" } else { "1834562" };
        format!("{system} - {}\nx merged.mg\n{tail}", self.product()).into_bytes()
    }

    /// The version as reports have it.
    pub(crate) fn product(self) -> String {
        format!("Wazuh {}", self.0)
    }
}
