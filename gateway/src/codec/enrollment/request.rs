//! A request as the manager reads it (1.3 to 1.5).

use std::net::IpAddr;

use muster_control::{AgentName, GroupName};
use subtle::ConstantTimeEq;

use super::groups;
use super::rejection::{Field, Rejection};
use crate::codec::address::AddressPattern;
use crate::codec::version::AgentVersion;

const PASSWORD: &[u8] = b"OSSEC PASS: ";
const NAME: &[u8] = b"OSSEC A:'";

/// What a manager demands of requests.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The enrollment password; `None` leaves enrollment open, and a request with a password invalid.
    pub password: Option<&'a str>,
    /// The manager's version.
    pub manager_version: AgentVersion,
    /// The manager's own host name, which no agent may have.
    pub manager_name: &'a str,
    /// Whether an agent that names no address is registered with the one it comes from.
    pub use_source_ip: bool,
    /// Whether agents of a newer line than the manager's are taken.
    pub allow_higher_versions: bool,
}

/// A request that reads well. Whether its groups exist and whom it replaces is for the replicated state to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentRequest {
    /// The wanted name.
    pub name: AgentName,
    /// The agent's version as it wrote it; agents before 4.6 tell none.
    pub version: Option<String>,
    /// The wanted groups in order of priority; `None` if the field is absent.
    pub groups: Option<Vec<GroupName>>,
    /// The address to register.
    pub address: AddressPattern,
    /// Hash of the key the agent owns, if it owns one: see [`key_hash`](crate::codec::key_hash).
    pub key_hash: Option<String>,
}

impl EnrollmentRequest {
    /// Reads a request line of an agent at `peer`; a line feed and what follows it are ignored.
    ///
    /// Fields are tested in their fixed order and each only at its place: one out of order ends the request, unread.
    ///
    /// # Errors
    /// The answer to give.
    pub fn parse(line: &[u8], peer: IpAddr, rules: &Rules<'_>) -> Result<Self, Rejection> {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = strip_password(line, rules.password)?;
        let rest = line.strip_prefix(NAME).ok_or(Rejection::InvalidRequest)?;
        let (name, mut rest) = until_quote(rest, usize::MAX).ok_or(Rejection::InvalidRequest)?;
        let name = parse_name(&text(name), rules.manager_name)?;

        let version = take_field(&mut rest, b" V:'", 2_048, Field::Version)?.map(text);
        if !rules.allow_higher_versions
            && version.as_deref().is_some_and(|text| is_too_new(text, rules.manager_version))
        {
            return Err(Rejection::TooNew);
        }
        let groups = take_field(&mut rest, b" G:'", 65_536, Field::Groups)?;
        let groups = groups.map(|list| groups::parse(&text(list))).transpose()?;
        let address = take_field(&mut rest, b" IP:'", 46, Field::Address)?;
        let address = parse_address(address, peer, rules.use_source_ip)?;
        let key_hash = take_field(&mut rest, b" K:'", 40, Field::KeyHash)?.map(text);
        Ok(Self { name, version, groups, address, key_hash })
    }
}

/// Compares in constant time, so that the password can not be guessed byte by byte.
fn strip_password<'a>(line: &'a [u8], password: Option<&str>) -> Result<&'a [u8], Rejection> {
    let Some(password) = password else {
        return Ok(line);
    };
    let rest = line.strip_prefix(PASSWORD).ok_or(Rejection::InvalidPassword)?;
    let (given, rest) = rest.split_at_checked(password.len()).ok_or(Rejection::InvalidPassword)?;
    let matches = bool::from(given.ct_eq(password.as_bytes()));
    rest.strip_prefix(b" ").filter(|_| matches).ok_or(Rejection::InvalidPassword)
}

fn parse_name(name: &str, manager_name: &str) -> Result<AgentName, Rejection> {
    match name.parse() {
        Ok(valid) if name != manager_name => Ok(valid),
        _ => Err(Rejection::InvalidName(name.to_owned())),
    }
}

/// A version that can not be read is not newer than anything.
fn is_too_new(version: &str, manager: AgentVersion) -> bool {
    version.parse().is_ok_and(|version: AgentVersion| version.is_newer_line_than(manager))
}

fn parse_address(field: Option<&[u8]>, peer: IpAddr, use_source_ip: bool) -> Result<AddressPattern, Rejection> {
    match field {
        None if use_source_ip => Ok(peer.into()),
        None => Ok(AddressPattern::Any),
        Some(field) if field.starts_with(b"src") => Ok(peer.into()),
        Some(field) => {
            let text = text(field);
            text.parse().map_err(|_| Rejection::InvalidAddress(text))
        }
    }
}

/// Takes the field behind `prefix` off the front of `rest`, if it is there.
fn take_field<'a>(
    rest: &mut &'a [u8],
    prefix: &[u8],
    max_bytes: usize,
    field: Field,
) -> Result<Option<&'a [u8]>, Rejection> {
    let Some(behind) = rest.strip_prefix(prefix) else {
        return Ok(None);
    };
    let (value, behind) = until_quote(behind, max_bytes).ok_or(Rejection::Unterminated(field))?;
    // An address ends at a space as well; then its quote is missing.
    if field == Field::Address && value.contains(&b' ') {
        return Err(Rejection::Unterminated(field));
    }
    *rest = behind;
    Ok(Some(value))
}

fn until_quote(bytes: &[u8], max_bytes: usize) -> Option<(&[u8], &[u8])> {
    let quote = bytes.iter().take(max_bytes.saturating_add(1)).position(|byte| *byte == b'\'')?;
    Some((&bytes[..quote], &bytes[quote + 1..]))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPEN: Rules<'_> = Rules {
        password: None,
        manager_version: AgentVersion::new(4, 14, 9),
        manager_name: "manager-1",
        use_source_ip: false,
        allow_higher_versions: false,
    };

    fn parse(line: &str, rules: &Rules<'_>) -> Result<EnrollmentRequest, Rejection> {
        EnrollmentRequest::parse(line.as_bytes(), "10.1.2.3".parse().unwrap(), rules)
    }

    #[test]
    fn the_managers_own_name_is_refused() {
        assert_eq!(parse("OSSEC A:'manager-1'\n", &OPEN), Err(Rejection::InvalidName("manager-1".into())));
        assert!(parse("OSSEC A:'Manager-1'\n", &OPEN).is_ok());
    }

    #[test]
    fn a_password_is_compared_whole_and_ends_with_a_space() {
        let rules = Rules { password: Some("s3cr3t"), ..OPEN };
        assert!(parse("OSSEC PASS: s3cr3t OSSEC A:'web-01'\n", &rules).is_ok());
        for line in [
            "OSSEC PASS: s3cr3tX OSSEC A:'web-01'\n",
            "OSSEC PASS: s3cr3 OSSEC A:'web-01'\n",
            "OSSEC PASS: s3cr3tOSSEC A:'web-01'\n",
            "OSSEC PASS: \n",
            "OSSEC PASS: s3cr3t",
        ] {
            assert_eq!(parse(line, &rules), Err(Rejection::InvalidPassword), "{line:?}");
        }
    }

    #[test]
    fn fields_longer_than_their_bound_are_unterminated() {
        let line = format!("OSSEC A:'web-01' K:'{}'\n", "a".repeat(41));
        assert_eq!(parse(&line, &OPEN), Err(Rejection::Unterminated(Field::KeyHash)));
        let line = format!("OSSEC A:'web-01' K:'{}'\n", "a".repeat(40));
        assert_eq!(parse(&line, &OPEN).unwrap().key_hash, Some("a".repeat(40)));
        let line = format!("OSSEC A:'web-01' IP:'{}'\n", "1".repeat(47));
        assert_eq!(parse(&line, &OPEN), Err(Rejection::Unterminated(Field::Address)));
        assert_eq!(parse("OSSEC A:'web-01' IP:'10.0.0.1 '\n", &OPEN), Err(Rejection::Unterminated(Field::Address)));
    }

    #[test]
    fn a_peer_inside_ipv6_is_registered_as_ipv4() {
        let peer = "::ffff:10.1.2.3".parse().unwrap();
        let request = EnrollmentRequest::parse(b"OSSEC A:'web-01' IP:'src'\n", peer, &OPEN).unwrap();
        assert_eq!(request.address.to_string(), "10.1.2.3");
    }

    #[test]
    fn a_version_that_can_not_be_read_is_not_too_new() {
        assert_eq!(parse("OSSEC A:'web-01' V:'latest'\n", &OPEN).unwrap().version.as_deref(), Some("latest"));
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "OSSEC A:'", "OSSEC PASS: ", "pw ", "'", " V:'", " G:'", " IP:'", " K:'", "web-01", ",", "\n", "10.0.0.1", "/",
                ]),
                0..20,
            ),
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            password in proptest::option::of("[a-z ]{0,4}"),
        ) {
            let mut line = pieces.concat().into_bytes();
            line.extend_from_slice(&bytes);
            let rules = Rules { password: password.as_deref(), ..OPEN };
            if let Err(rejection) = EnrollmentRequest::parse(&line, "::1".parse().unwrap(), &rules) {
                prop_assert!(rejection.answer().starts_with(b"ERROR: "));
            }
        }
    }
}
