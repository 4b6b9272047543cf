//! Which items of a list contain a text (REST contract, section 1.7).

use crate::format;
use crate::problem::Problem;
use crate::query::Query;

/// A text to look for in any field, without regard to the case of ASCII letters.
///
/// `%` stands for any text and `_` for any character, as clients of the reference know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    needle: Vec<u8>,
    has_wildcards: bool,
    /// Keep what does not contain it instead.
    complement: bool,
}

impl Search {
    /// Takes `search`; a leading `-` asks for the complement.
    ///
    /// # Errors
    /// When the text is empty or breaks the format.
    pub(crate) fn take(query: &mut Query) -> Result<Option<Self>, Problem> {
        let Some(text) = query.text("search", format::SEARCH)? else { return Ok(None) };
        let (complement, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, &text[..]),
        };
        let needle = text.bytes().map(|byte| if b"'\"".contains(&byte) { b'_' } else { byte.to_ascii_lowercase() });
        Ok(Some(Self { needle: needle.collect(), has_wildcards: text.contains(['%', '_', '\'', '"']), complement }))
    }

    /// Whether an item is kept, given whether one of its fields contains the text.
    pub(crate) fn keeps(&self, found: bool) -> bool {
        found != self.complement
    }

    /// Whether this text contains what is looked for. Nothing contains the empty text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let (needle, hay) = (self.needle.as_slice(), text.as_bytes());
        if needle.is_empty() {
            // `search=-` keeps nothing, as if everything contained it.
            self.complement
        } else if self.has_wildcards {
            is_like(hay, needle)
        } else {
            let first = needle[0];
            let candidates = hay.iter().enumerate().filter(|(_, byte)| byte.to_ascii_lowercase() == first);
            candidates
                .map(|(start, _)| &hay[start..])
                .any(|rest| rest.get(..needle.len()).is_some_and(|window| window.eq_ignore_ascii_case(needle)))
        }
    }

    /// Whether it can be in a text of digits alone.
    pub(crate) fn is_numeric(&self) -> bool {
        self.needle.iter().all(|byte| byte.is_ascii_digit() || b"%_".contains(byte))
    }

    /// The text as a number, if it is one: it finds the agent with exactly this id.
    pub(crate) fn number(&self) -> Option<u64> {
        std::str::from_utf8(&self.needle).ok()?.parse().ok()
    }
}

/// Whether something like `needle`, which is in lower case, is anywhere in `hay`.
///
/// Goes back to the last `%` only, so that the cost is at most the product of both lengths.
fn is_like(hay: &[u8], needle: &[u8]) -> bool {
    let (mut at, mut sign) = (0, 0);
    let (mut retry_at, mut retry_sign) = (0, 0); // as if the needle began with `%`
    while let Some(expected) = needle.get(sign) {
        match hay.get(at) {
            _ if *expected == b'%' => {
                sign += 1;
                (retry_at, retry_sign) = (at, sign);
            }
            Some(byte) if *expected == b'_' || byte.to_ascii_lowercase() == *expected => {
                at += 1;
                sign += 1;
            }
            Some(_) => {
                retry_at += 1;
                (at, sign) = (retry_at, retry_sign);
            }
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> Search {
        Search::take(&mut Query::parse(Some(&format!("search={text}"))).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn case_does_not_count() {
        assert!(search("WEB").is_in("my-web-1"));
        assert!(!search("web").is_in("we-b"));
    }

    #[test]
    fn wildcards_work_as_clients_know_them() {
        assert!(search("w_b").is_in("my-wxb"));
        assert!(search("a%25z").is_in("xx a 123 z"));
        assert!(!search("w_b").is_in("wb"));
    }

    #[test]
    fn a_leading_minus_keeps_the_others() {
        let without = search("-web");
        assert!(without.keeps(without.is_in("db")) && !without.keeps(without.is_in("web")));
        let nothing = search("-");
        assert!(!nothing.keeps(nothing.is_in("anything")));
    }
}
