//! Keepalives (4.4): the periodic report of an agent on itself.

use std::borrow::Cow;
use std::fmt::Write;

use super::operating_system::OperatingSystem;

const AGENT_IP: &str = "#\"_agent_ip\":";

/// What a keepalive tells; `None` is what it did not tell, which erases nothing that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// The host's system.
    pub os: OperatingSystem,
    /// Product and version: `Wazuh v4.14.9`. [`AgentVersion`](super::AgentVersion) reads it.
    pub version: Option<String>,
    /// MD5 of the agent's `agent.conf`.
    pub config_sum: Option<String>,
    /// MD5 of the `merged.mg` the agent has, `x` for none. During a push it may be that of half a file.
    pub merged_sum: Option<String>,
    /// Local address of the agent's socket; behind NAT not that of the peer.
    pub agent_ip: Option<String>,
    /// Label lines as written (`"key":value`, hidden ones with `!`, system ones with `#`), joined by line ends.
    pub labels: Option<String>,
}

/// A keepalive without any line end is invalid and gets no ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keepalive without a line end")]
pub struct NoLineEnd;

impl Keepalive {
    /// Reads the text behind `#!-`. Invalid UTF-8 is replaced; what follows the last line end is ignored.
    ///
    /// # Errors
    /// [`NoLineEnd`]; lines of unknown form are no error.
    pub fn parse(body: &[u8]) -> Result<Self, NoLineEnd> {
        let end = body.iter().rposition(|byte| *byte == b'\n').ok_or(NoLineEnd)?;
        let text = String::from_utf8_lossy(&body[..end]);
        let mut keepalive = Self::default();
        let mut labels = Vec::new();
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            if let Some(ip) = line.strip_prefix(AGENT_IP) {
                keepalive.agent_ip = Some(ip.to_owned());
            } else if line.starts_with(['#', '!', '"']) {
                labels.push(line);
            } else if let Some((uname, product)) = line.split_once(" - ") {
                keepalive.read_product(uname, product);
            } else if let Some((sum, file)) = line.split_once(' ')
                && file.starts_with("merged.m")
            {
                keepalive.merged_sum = Some(sum.to_owned());
            }
        }
        keepalive.labels = (!labels.is_empty()).then(|| labels.join("\n"));
        Ok(keepalive)
    }

    fn read_product(&mut self, uname: &str, product: &str) {
        self.os = OperatingSystem::parse(uname);
        match product.split_once(" / ") {
            Some((version, sum)) => {
                self.version = Some(version.to_owned());
                self.config_sum = Some(sum.to_owned());
            }
            None => self.version = product.find("Wazuh").map(|start| product[start..].to_owned()),
        }
    }
}

/// A keepalive to be written, as agents do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepaliveText<'a> {
    /// System with the bracket behind it: `Linux |web-01 |6.1 |#1 SMP |x86_64 [Debian GNU/Linux|debian: 12 (bookworm)]`.
    pub uname: Cow<'a, str>,
    /// `v4.14.9`; `None` for a report that tells no product.
    pub version: Option<&'a str>,
    /// MD5 of `agent.conf`, if there is one; told behind the version only.
    pub config_sum: Option<&'a str>,
    /// Lines such as `"env":prod`.
    pub labels: &'a [&'a str],
    /// MD5 of `merged.mg`, if there is one.
    pub merged_sum: Option<&'a str>,
    /// Local address of the socket, in the protocol's normal form.
    pub agent_ip: Option<&'a str>,
}

impl KeepaliveText<'_> {
    /// The text behind `#!-`.
    pub fn to_body(&self) -> Vec<u8> {
        let mut body = self.uname.clone().into_owned();
        let mut add = |text: &[&str]| text.iter().for_each(|text| body.push_str(text));
        if let Some(version) = self.version {
            add(&[" - Wazuh ", version]);
            if let Some(sum) = self.config_sum {
                add(&[" / ", sum]);
            }
        }
        add(&["\n"]);
        for label in self.labels {
            add(&[label, "\n"]);
        }
        add(&[self.merged_sum.unwrap_or("x"), " merged.mg\n"]);
        if let Some(ip) = self.agent_ip {
            writeln!(body, "{AGENT_IP}{ip}").expect("writing to memory cannot fail");
        }
        body.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_keepalive_without_a_line_end_is_invalid() {
        assert_eq!(Keepalive::parse(b"Linux - Wazuh v4.14.9"), Err(NoLineEnd));
        assert_eq!(Keepalive::parse(b""), Err(NoLineEnd));
    }

    #[test]
    fn the_random_line_of_old_agents_is_ignored() {
        let keepalive = Keepalive::parse(b"Linux - Wazuh v4.0.1\nx merged.mg\n0123 merged.mg").unwrap();
        assert_eq!(keepalive.merged_sum.as_deref(), Some("x"));
        assert_eq!(keepalive.version.as_deref(), Some("Wazuh v4.0.1"));
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        let keepalive = Keepalive::parse(b"Li\xffnux - Wazuh v4.0.1\n").unwrap();
        assert_eq!(keepalive.os.uname.as_deref(), Some("Li\u{fffd}nux"));
    }

    #[test]
    fn a_keepalive_may_tell_nothing() {
        assert_eq!(Keepalive::parse(b"\n"), Ok(Keepalive::default()));
        let keepalive = Keepalive::parse(b"Linux - something else\n").unwrap();
        assert_eq!(keepalive.version, None);
    }

    #[test]
    fn the_text_of_a_real_agent_is_built() {
        let text = KeepaliveText {
            uname:
                "Linux |vm |6.18.44-fc-v595 |#1 SMP PREEMPT_DYNAMIC @0 |x86_64 [Debian GNU/Linux|debian: 12 (bookworm)]"
                    .into(),
            version: Some("v4.14.7"),
            config_sum: Some("e9ecf2c895ac8341c7cbe4ad3d64474f"),
            labels: &["\"env\":prod", "!\"sec\":x y"],
            merged_sum: Some("2cd16bfcb7ef031801abf33bcf25a5d4"),
            agent_ip: Some("127.0.0.1"),
        };
        assert_eq!(
            String::from_utf8(text.to_body()).unwrap(),
            "Linux |vm |6.18.44-fc-v595 |#1 SMP PREEMPT_DYNAMIC @0 |x86_64 [Debian GNU/Linux|debian: 12 (bookworm)] - Wazuh \
             v4.14.7 / e9ecf2c895ac8341c7cbe4ad3d64474f\n\"env\":prod\n!\"sec\":x y\n2cd16bfcb7ef031801abf33bcf25a5d4 \
             merged.mg\n#\"_agent_ip\":127.0.0.1\n"
        );
    }

    #[test]
    fn a_text_without_a_version_is_valid_and_tells_none() {
        let uname = "Linux |vm |6.1 |#1 SMP |x86_64 [Debian|debian: 12]".into();
        let text =
            KeepaliveText { uname, version: None, config_sum: None, labels: &[], merged_sum: None, agent_ip: None };
        let keepalive = Keepalive::parse(&text.to_body()).unwrap();
        assert_eq!((keepalive.version, keepalive.merged_sum.as_deref()), (None, Some("x")));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            lines in proptest::collection::vec(
                proptest::sample::select(vec![
                    "Linux |a |b", " - ", " / ", " [", " [Ver: ", "]", "|", ": ", " (", "10.", "-SP", "\n", "\"a\":b",
                    "#\"_agent_ip\":", "é", " merged.mg", "Wazuh v4", "x",
                ]),
                0..24,
            ),
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut body = lines.concat().into_bytes();
            body.extend_from_slice(&bytes);
            let _ = Keepalive::parse(&body);
        }
    }
}
