//! The operating system, from the first part of a keepalive (4.4).

/// Architectures in the order in which they are looked for.
const ARCHITECTURES: [&str; 12] =
    ["x86_64", "i386", "i686", "sparc", "amd64", "i86pc", "ia64", "AIX", "armv6", "armv7", "aarch64", "arm64"];

/// What an agent tells of its operating system; `None` is what it did not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatingSystem {
    /// `Ubuntu`, `Microsoft Windows Server 2019 Standard`.
    pub name: Option<String>,
    /// `22.04.3 LTS`.
    pub version: Option<String>,
    /// First number of the version, as text: `22`.
    pub major: Option<String>,
    /// Second number, or the number of a service pack: `04`.
    pub minor: Option<String>,
    /// `Jammy Jellyfish`.
    pub codename: Option<String>,
    /// `ubuntu`, `windows`.
    pub platform: Option<String>,
    /// Windows only: `17763.5329`.
    pub build: Option<String>,
    /// What stands in front of the bracket, whole.
    pub uname: Option<String>,
    /// `x86_64`.
    pub arch: Option<String>,
}

impl OperatingSystem {
    /// Reads the text in front of ` - Wazuh v...`. Total: what has no known form leaves its fields empty.
    pub(super) fn parse(text: &str) -> Self {
        if let Some((name, rest)) = text.split_once(" [Ver: ") {
            return Self::parse_windows(name, rest);
        }
        let (uname, bracket) = match text.split_once(" [") {
            Some((uname, bracket)) => (uname, Some(bracket.strip_suffix(']').unwrap_or(bracket))),
            None => (text, None),
        };
        let mut system = bracket.map(Self::parse_bracket).unwrap_or_default();
        system.arch = ARCHITECTURES.into_iter().find(|arch| uname.contains(arch)).map(str::to_owned);
        system.uname = filled(uname);
        system
    }

    /// `NAME|PLATFORM: VERSION (CODENAME)`.
    fn parse_bracket(bracket: &str) -> Self {
        let (names, version) = match bracket.split_once(": ") {
            Some((names, version)) => (names, Some(version)),
            None => (bracket, None),
        };
        let (name, platform) = match names.split_once('|') {
            Some((name, platform)) => (name, filled(platform)),
            None => (names, None),
        };
        let (version, codename) = match version.and_then(|version| version.split_once(" (")) {
            Some((version, codename)) => (Some(version), filled(codename.strip_suffix(')').unwrap_or(codename))),
            None => (version, None),
        };
        let version = version.unwrap_or_default();
        let (major, rest) = leading_number(version);
        let minor = rest.strip_prefix('.').or_else(|| rest.strip_prefix("-SP")).and_then(|rest| leading_number(rest).0);
        Self { name: filled(name), platform, version: filled(version), codename, minor, major, ..Self::default() }
    }

    /// `NAME [Ver: MAJOR.MINOR.BUILD] |NODENAME |ARCH`, the end since 4.14.3 only.
    fn parse_windows(name: &str, rest: &str) -> Self {
        let (version, behind) = rest.split_once(']').unwrap_or((rest, ""));
        let mut numbers = version.splitn(3, '.');
        let arch = behind.rsplit_once('|').and_then(|(_, last)| last.split_whitespace().next());
        Self {
            name: filled(name),
            version: filled(version),
            major: numbers.next().and_then(|number| leading_number(number).0),
            minor: numbers.next().and_then(|number| leading_number(number).0),
            build: numbers.next().and_then(filled),
            codename: None,
            platform: Some("windows".to_owned()),
            uname: filled(name),
            arch: arch.map(str::to_owned),
        }
    }
}

fn leading_number(text: &str) -> (Option<String>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    (filled(number), rest)
}

/// The text, unless there is none.
fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
