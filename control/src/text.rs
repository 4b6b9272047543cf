//! Checked strings. Parsing is the way in, also when decoding: a value that exists is valid.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

/// Why a text was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {rule}")]
pub struct InvalidText {
    kind: &'static str,
    rule: &'static str,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidText { kind: $kind, rule: $rule })
                }
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let position = d.position();
                d.str()?.parse().map_err(|error| decode::Error::custom(error).at(position))
            }
        }
    };
}

text! {
    /// Name of an agent: 2 to 128 of `A-Z a-z 0-9 - _ .`, not starting with `.`; unique, case counts.
    AgentName, "agent name", "2 to 128 of A-Z a-z 0-9 - _ . and no leading dot",
    |text| (2..=128).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_word)
}
text! {
    /// Name of a group: 1 to 255 of `A-Z a-z 0-9 - _ .`, not `.`, `..` or `all`; case counts.
    GroupName, "group name", "1 to 255 of A-Z a-z 0-9 - _ . and not '.', '..' or 'all'",
    |text| (1..=255).contains(&text.len()) && ![".", "..", "all"].contains(&text) && text.bytes().all(is_word)
}
text! {
    /// Name of a node as operators and clients write it: 1 to 64 of `A-Z a-z 0-9 - _ .`.
    NodeName, "node name", "1 to 64 of A-Z a-z 0-9 - _ .",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(is_word)
}
text! {
    /// Name of an API user: 1 to 64 printable characters without spaces or `:`.
    UserName, "user name", "1 to 64 printable characters without spaces or ':'",
    |text| (1..=64).contains(&text.len()) && text.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != ':')
}
text! {
    /// The secret shared with an agent: 2 to 128 of `A-Z a-z 0-9 . _ -`, not starting with `.`.
    ///
    /// Agents refuse anything else (agent protocol, section 1.6). New keys are 64 lower-case hex digits.
    ClientKey, "client key", "2 to 128 of A-Z a-z 0-9 . _ - and no leading dot",
    |text| (2..=128).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_word)
}
text! {
    /// Address an agent may come from, as registered: `any`, an address, or a network `address/prefix`.
    ///
    /// IPv4 in dotted form; IPv6 fully expanded in upper case (agent protocol, section 1.5). Whoever proposes
    /// it has normalised it; here only its alphabet and length are held.
    RegisteredAddress, "registered address", "'any', an address, or address/prefix",
    |text| text == "any" || (2..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:/".contains(&byte))
}
text! {
    /// Free text of bounded length that agents or operators sent: at most 1024 bytes.
    Label, "label", "at most 1024 bytes",
    |text| text.len() <= 1024
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

impl GroupName {
    /// The group that always exists and that agents without another one belong to.
    pub fn default_group() -> Self {
        Self("default".into())
    }
}

impl RegisteredAddress {
    /// No restriction.
    pub fn any() -> Self {
        Self("any".into())
    }

    /// Whether no restriction applies, so that several agents may share it.
    pub fn is_any(&self) -> bool {
        &*self.0 == "any"
    }
}

impl Label {
    /// Takes as much of `text` as fits, cut at a character.
    pub fn truncated(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(1024)].into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_agents_rules() {
        for good in ["ab", "web-01", "a.b_c", &"x".repeat(128)] {
            assert!(good.parse::<AgentName>().is_ok(), "{good:?}");
        }
        for bad in ["", "a", ".ab", "a b", "ä1", "a'b", &"x".repeat(129)] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn decoding_refuses_what_parsing_refuses() {
        let bytes = minicbor::to_vec("a b").expect("encoding into memory cannot fail");
        assert!(minicbor::decode::<AgentName>(&bytes).is_err());
    }

    #[test]
    fn labels_are_cut_at_a_character() {
        let long = "ä".repeat(600);
        assert_eq!(Label::truncated(&long).as_str().len(), 1024);
    }
}
