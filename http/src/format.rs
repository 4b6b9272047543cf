//! Formats of parameter values (REST contract, section 1.4). Each is a rule for the whole value.

/// A named rule for the text of a parameter.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    /// What the refusal of another value calls it.
    pub(crate) name: &'static str,
    /// Whether a value follows it.
    pub(crate) accepts: fn(&str) -> bool,
}

/// Digits only, three at least.
pub(crate) const AGENT_ID: Format = Format { name: "agent id", accepts: is_agent_id };

/// An agent id, or `all`.
pub(crate) const AGENT_ID_OR_ALL: Format =
    Format { name: "agent id or 'all'", accepts: |text| text == "all" || is_agent_id(text) };

/// Names of agents and nodes.
pub(crate) const NAMES: Format = Format { name: "name", accepts: |text| text.bytes().all(is_name_byte) };

/// A name of a group.
pub(crate) const GROUP_NAME: Format = Format { name: "group name", accepts: |text| text != "all" && is_group(text) };

/// A name of a group, or `all`.
pub(crate) const GROUP_NAME_OR_ALL: Format = Format { name: "group name or 'all'", accepts: is_group };

/// Words, white space and `, - . + :`.
pub(crate) const ALPHANUMERIC: Format =
    Format { name: "alphanumeric text", accepts: |text| text.chars().all(|c| is_word(c) || ",-.+:".contains(c)) };

/// Words, white space and most signs.
pub(crate) const SYMBOLS: Format = Format {
    name: "text of letters, digits and signs",
    accepts: |text| text.chars().all(|c| is_word(c) || ",*<>!-.+:/()[]'\"\\|=~#".contains(c)),
};

/// Text to search for.
pub(crate) const SEARCH: Format =
    Format { name: "search text, without ; | & ^ * >", accepts: |text| !text.contains([';', '|', '&', '^', '*', '>']) };

/// Fields to sort by.
pub(crate) const SORT: Format = Format {
    name: "list of fields to sort by",
    accepts: |text| text.chars().all(|c| is_word(c) || "-,+.".contains(c)),
};

/// Fields of listed objects.
pub(crate) const FIELD: Format = Format { name: "field", accepts: |text| text.bytes().all(is_name_byte) };

/// A span of time: digits and at most one unit `d h m s`; seconds without one.
pub(crate) const TIMEFRAME: Format = Format { name: "span of time", accepts: |text| timeframe(text).is_some() };

/// Digits only.
pub(crate) const NUMBER: Format =
    Format { name: "number", accepts: |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) };

/// `true` or `false`; `True` and `False` are taken too.
pub(crate) const BOOLEAN: Format = Format { name: "boolean", accepts: |text| boolean(text).is_some() };

/// The value of a [`BOOLEAN`].
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    }
}

/// The seconds of a [`TIMEFRAME`]; saturates.
pub(crate) fn timeframe(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'd' => (&text[..text.len() - 1], 86_400),
        b'h' => (&text[..text.len() - 1], 3_600),
        b'm' => (&text[..text.len() - 1], 60),
        b's' => (&text[..text.len() - 1], 1),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(factor))
}

fn is_agent_id(text: &str) -> bool {
    text.len() >= 3 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.%-".contains(&byte)
}

fn is_group(text: &str) -> bool {
    ![".", ".."].contains(&text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!((format.accepts)(text), "{} refuses {text:?}", format.name);
        }
        for text in bad {
            assert!(!(format.accepts)(text), "{} takes {text:?}", format.name);
        }
    }

    #[test]
    fn formats_follow_the_contract() {
        check(AGENT_ID, &["000", "001", "1234", "99999999999"], &["1", "01", "all", "00a", "-01", "0 1"]);
        check(AGENT_ID_OR_ALL, &["all", "001"], &["ALL", "1"]);
        check(NAMES, &["web-1.x_%"], &["a b", "é", "a/b"]);
        check(GROUP_NAME, &["g1", "-g", "a.b_c"], &["all", ".", "..", "a b", "a/b", "ä"]);
        check(GROUP_NAME_OR_ALL, &["all", "g"], &["..", "a,b"]);
        check(ALPHANUMERIC, &["Wazuh v4.9.0", "é", "a,b-c.d+e:f"], &["10.0.0.0/8", "a*"]);
        check(SYMBOLS, &["10.0.0.0/8", "any", "2001:db8::1"], &["a;b", "a&b"]);
        check(SEARCH, &["web", "-web", "a b", "é"], &["a;b", "a|b", "a&b", "a^b", "a*b", "a>b"]);
        check(SORT, &["+name", "-os.version,id", " name"], &["a/b", "a;b"]);
        check(TIMEFRAME, &["0s", "7d", "10", "99999999999999999999h"], &["d", "1w", "1d12h", "-1", "1.5h", "é"]);
        check(BOOLEAN, &["true", "false", "True"], &["1", "TRUE", "yes"]);
    }

    #[test]
    fn spans_are_seconds_and_saturate() {
        assert_eq!(timeframe("7d"), Some(604_800));
        assert_eq!(timeframe("10"), Some(10));
        assert_eq!(timeframe("99999999999999999999d"), Some(u64::MAX));
    }
}
