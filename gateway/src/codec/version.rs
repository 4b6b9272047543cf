//! Versions of agents, as they report them in several spellings.

use std::fmt;
use std::str::FromStr;

/// A Wazuh version, compared number by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number; zero if the text has none.
    pub patch: u32,
}

/// Text without two numbers and a dot between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version such as v4.14.9")]
pub struct NotAVersion;

impl AgentVersion {
    /// A version from its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Whether a manager of version `manager` refuses this one as too new: only major and minor count.
    pub fn is_newer_line_than(self, manager: Self) -> bool {
        (self.major, self.minor) > (manager.major, manager.minor)
    }
}

impl FromStr for AgentVersion {
    type Err = NotAVersion;

    /// Reads `4.14.9`, `v4.14.9` and `Wazuh v4.14.9`; what follows the third number is ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix("Wazuh ").unwrap_or(text);
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = text.splitn(3, '.');
        let mut number = || {
            let part = numbers.next()?;
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse().ok()
        };
        let major = number().ok_or(NotAVersion)?;
        let minor = number().ok_or(NotAVersion)?;
        Ok(Self { major, minor, patch: number().unwrap_or(0) })
    }
}

impl fmt::Display for AgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "v{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_version_reads_the_same() {
        for text in ["4.14.9", "v4.14.9", "Wazuh v4.14.9", "v4.14.9-rc1"] {
            assert_eq!(text.parse(), Ok(AgentVersion::new(4, 14, 9)), "{text}");
        }
        assert_eq!("v4.3".parse(), Ok(AgentVersion::new(4, 3, 0)));
        for text in ["", "v", "4", "4.", "x.1", "99999999999.1"] {
            assert_eq!(text.parse::<AgentVersion>(), Err(NotAVersion), "{text}");
        }
    }

    #[test]
    fn a_higher_patch_level_is_not_a_newer_line() {
        let manager = AgentVersion::new(4, 14, 9);
        assert!(!AgentVersion::new(4, 14, 99).is_newer_line_than(manager));
        assert!(AgentVersion::new(4, 15, 0).is_newer_line_than(manager));
        assert!(AgentVersion::new(5, 0, 0).is_newer_line_than(manager));
        assert!(!AgentVersion::new(4, 9, 2).is_newer_line_than(manager));
    }
}
