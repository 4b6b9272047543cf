//! Query strings, read strictly: what an operation does not know is refused, never ignored.

use crate::format::{self, Format};
use crate::problem::Problem;

/// The parameters of one request that nobody has taken yet.
///
/// An operation takes what it knows by name; [`Query::finish`] refuses the rest. Names are case-sensitive.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Splits and decodes a raw query string.
    ///
    /// # Errors
    /// When a name or value is not percent-encoded UTF-8.
    pub(crate) fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self { pairs })
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    /// When a parameter is left.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.pairs.first() {
            Some((name, _)) => Err(Problem::schema(format!("unknown query parameter '{name}'"))),
            None => Ok(()),
        }
    }

    /// Takes a parameter that occurs at most once.
    ///
    /// # Errors
    /// When it occurs twice, is empty, or breaks the format.
    pub(crate) fn text(&mut self, name: &str, format: Format) -> Result<Option<String>, Problem> {
        let mut values = self.take(name);
        match (values.pop(), values.is_empty()) {
            (None, _) => Ok(None),
            (Some(value), true) => check(name, &value, format).map(|()| Some(value)),
            (Some(_), false) => Err(Problem::schema(format!("query parameter '{name}' occurs more than once"))),
        }
    }

    /// Takes a parameter with a list: values separated by commas; repetitions of the parameter and of values are
    /// merged, in the order of the first occurrence.
    ///
    /// # Errors
    /// When a value is empty or breaks the format.
    pub(crate) fn list(&mut self, name: &str, format: Format) -> Result<Option<Vec<String>>, Problem> {
        let values = self.take(name);
        if values.is_empty() {
            return Ok(None);
        }
        let mut items = Vec::new();
        let mut known = std::collections::HashSet::new();
        for item in values.iter().flat_map(|value| value.split(',')) {
            check(name, item, format)?;
            if known.insert(item) {
                items.push(item.to_owned());
            }
        }
        Ok(Some(items))
    }

    /// Takes a boolean; `false` without it.
    ///
    /// # Errors
    /// When it is neither `true` nor `false`, or occurs twice.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        let text = self.text(name, format::BOOLEAN)?;
        Ok(text.as_deref().and_then(format::boolean).unwrap_or(false))
    }

    /// Takes a span of time, in seconds.
    ///
    /// # Errors
    /// When it is no span of time, or occurs twice.
    pub(crate) fn timeframe(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let text = self.text(name, format::TIMEFRAME)?;
        Ok(text.as_deref().and_then(format::timeframe))
    }

    /// Takes one of several words; letters are taken in either case.
    ///
    /// # Errors
    /// When it is another word, or occurs twice.
    pub(crate) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        match self.text(name, ANY)? {
            Some(text) => one_of(name, &text, words).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a list of several words; letters are taken in either case.
    ///
    /// # Errors
    /// When one is another word.
    pub(crate) fn words<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<Vec<T>>, Problem> {
        let Some(items) = self.list(name, ANY)? else { return Ok(None) };
        items.iter().map(|item| one_of(name, item, words)).collect::<Result<_, _>>().map(Some)
    }

    /// Refuses a parameter whose meaning this version does not have, instead of answering as if it were not there.
    ///
    /// # Errors
    /// When it is there; an empty one says nothing and is taken.
    pub(crate) fn refuse(&mut self, name: &str, refusal: impl FnOnce() -> Problem) -> Result<(), Problem> {
        if self.take(name).iter().all(String::is_empty) { Ok(()) } else { Err(refusal()) }
    }

    fn take(&mut self, name: &str) -> Vec<String> {
        self.pairs.extract_if(.., |(other, _)| other == name).map(|(_, value)| value).collect()
    }
}

/// Whatever is there, once it is needed.
pub(crate) fn required<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::schema(format!("missing query parameter '{name}'")))
}

const ANY: Format = Format { name: "text", accepts: |_| true };

fn check(name: &str, value: &str, format: Format) -> Result<(), Problem> {
    if value.is_empty() {
        Err(Problem::schema(format!("query parameter '{name}' has an empty value")))
    } else if (format.accepts)(value) {
        Ok(())
    } else {
        Err(Problem::schema(format!("query parameter '{name}' is not a valid {}", format.name)))
    }
}

fn one_of<T: Copy>(name: &str, text: &str, words: &[(&str, T)]) -> Result<T, Problem> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Problem::schema(format!("query parameter '{name}' is none of {}", known.join(", ")))
    })
}

/// Decodes one name or value: `+` is a space, `%XX` a byte.
fn decode(raw: &str) -> Result<String, Problem> {
    if !raw.contains(['%', '+']) {
        return Ok(raw.to_owned());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Problem::schema("the query string has an incomplete percent-encoding")),
            },
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Problem::schema("the query string is not UTF-8"))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(raw: &str) -> Query {
        Query::parse(Some(raw)).unwrap()
    }

    #[test]
    fn what_nobody_takes_is_refused() {
        let mut query = query("pretty=true&nope=1");
        assert!(query.flag("pretty").unwrap());
        assert!(query.finish().is_err());
        assert!(Query::parse(None).unwrap().finish().is_ok());
    }

    #[test]
    fn names_are_case_sensitive() {
        let mut query = query("Pretty=true");
        assert!(!query.flag("pretty").unwrap());
        assert!(query.finish().is_err());
    }

    #[test]
    fn repeated_lists_are_merged_in_order_without_duplicates() {
        let items = query("l=003,001&l=001,002").list("l", format::AGENT_ID).unwrap();
        assert_eq!(items, Some(vec!["003".into(), "001".into(), "002".into()]));
    }

    #[test]
    fn empty_values_and_repeated_scalars_are_refused() {
        for raw in ["l=", "l", "l=001,", "l=,001"] {
            assert!(query(raw).list("l", format::AGENT_ID).is_err(), "{raw}");
        }
        for raw in ["b=", "b=1", "b=true&b=true"] {
            assert!(query(raw).flag("b").is_err(), "{raw}");
        }
    }

    #[test]
    fn words_are_taken_in_either_case() {
        assert_eq!(query("s=ACTIVE,b").words("s", &[("active", 1), ("b", 2)]).unwrap(), Some(vec![1, 2]));
        assert!(query("s=c").words("s", &[("active", 1)]).is_err());
    }

    #[test]
    fn a_plus_is_a_space_unless_encoded() {
        assert_eq!(query("s=+name").text("s", format::SORT).unwrap(), Some(" name".into()));
        assert_eq!(query("s=%2Bname").text("s", format::SORT).unwrap(), Some("+name".into()));
        assert!(Query::parse(Some("s=%2")).is_err());
        assert!(Query::parse(Some("s=%ff")).is_err());
    }

    proptest! {
        #[test]
        fn encoding_every_byte_loses_nothing(value in "\\PC{1,20}") {
            let raw: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(query(&format!("v={raw}")).text("v", ANY).unwrap(), Some(value));
        }

        #[test]
        fn any_query_string_is_parsed_or_refused(raw in "[ -~]{0,60}") {
            if let Ok(mut query) = Query::parse(Some(&raw)) {
                let _ = query.list("a", format::AGENT_ID);
                let _ = query.finish();
            }
        }
    }
}
