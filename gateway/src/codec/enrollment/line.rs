//! A request as an agent writes it (1.3).

use std::fmt;

/// The fields of a request line; each one that is `None` is left out. None may contain `'` or a line feed.
///
/// `Display` gives the line with its line feed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestLine<'a> {
    /// The enrollment password.
    pub password: Option<&'a str>,
    /// The wanted name.
    pub name: &'a str,
    /// The agent's version, such as `v4.14.9`.
    pub version: Option<&'a str>,
    /// The wanted groups, comma separated.
    pub groups: Option<&'a str>,
    /// The address to register, or `src`.
    pub address: Option<&'a str>,
    /// Hash of the key the agent owns already.
    pub key_hash: Option<&'a str>,
}

impl fmt::Display for RequestLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(password) = self.password {
            write!(f, "OSSEC PASS: {password} ")?;
        }
        write!(f, "OSSEC A:'{}'", self.name)?;
        let fields = [("V", self.version), ("G", self.groups), ("IP", self.address), ("K", self.key_hash)];
        for (letter, value) in fields {
            if let Some(value) = value {
                write!(f, " {letter}:'{value}'")?;
            }
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_their_fixed_order() {
        let line = RequestLine {
            password: Some("pw"),
            name: "web-01",
            version: Some("v4.14.9"),
            groups: Some("web,db"),
            address: Some("src"),
            key_hash: Some("00ff"),
        };
        assert_eq!(line.to_string(), "OSSEC PASS: pw OSSEC A:'web-01' V:'v4.14.9' G:'web,db' IP:'src' K:'00ff'\n");
        let line = RequestLine { name: "web-01", ..RequestLine::default() };
        assert_eq!(line.to_string(), "OSSEC A:'web-01'\n");
    }
}
