//! Who asks for a change through the API, told with the change: whether they still may is judged where it is applied.

use minicbor::decode::{Decoder, Error};
use minicbor::{Decode, Encode};

use crate::change::Change;
use crate::stamp::Stamp;
use crate::text::UserName;

/// Number of [`Change::Authored`] among the changes.
const AUTHORED: u32 = 18;

/// A user, by a token that it showed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Author {
    /// The user.
    #[n(0)]
    pub user: UserName,
    /// When the token was issued.
    #[n(1)]
    pub token_issued_at: Stamp,
}

/// A change with its author. Made by [`Change::by`]; what is inside has no author of its own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Authored {
    #[n(0)]
    pub(crate) author: Author,
    #[cbor(n(1), decode_with = "decode_plain")]
    pub(crate) change: Box<Change>,
}

impl Change {
    /// The same change, asked for by `author`; an author it had before is forgotten.
    #[must_use]
    pub fn by(self, author: Author) -> Self {
        let change = match self {
            Self::Authored(authored) => authored.change,
            plain => Box::new(plain),
        };
        Self::Authored(Authored { author, change })
    }

    /// What is to be done, whoever asks for it.
    pub fn without_author(&self) -> &Self {
        match self {
            Self::Authored(authored) => &authored.change,
            plain => plain,
        }
    }
}

/// Looks before it decodes, so that bytes of authors within authors end here and not on the stack.
fn decode_plain<'b, Ctx>(decoder: &mut Decoder<'b>, context: &mut Ctx) -> Result<Box<Change>, Error> {
    let mut ahead = decoder.probe();
    ahead.array()?;
    if ahead.u32()? == AUTHORED {
        return Err(Error::message("a change has one author at most"));
    }
    Change::decode(decoder, context).map(Box::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(name: &str) -> Author {
        Author { user: name.parse().expect("a user name"), token_issued_at: Stamp::from_millis(1_000) }
    }

    #[test]
    fn a_change_has_one_author_at_most_however_often_it_is_told() {
        let once = Change::Tick.by(author("wazuh"));
        assert_eq!(Change::Tick.by(author("mallory")).by(author("wazuh")), once);
        assert_eq!(once.without_author(), &Change::Tick);
        assert_eq!(Change::Tick.without_author(), &Change::Tick);
    }

    #[test]
    fn an_author_within_an_author_does_not_decode_however_deep() {
        let once = Change::Tick.by(author("wazuh")).to_bytes();
        assert!(Change::from_bytes(&once).is_ok());
        let inner = Change::Tick.to_bytes();
        let (head, tail) = once.split_at(once.len() - inner.len());
        assert_eq!(tail, inner, "the inner change comes last");
        for depth in [2, 100_000] {
            let nested = [head.repeat(depth), inner.clone()].concat();
            assert!(Change::from_bytes(&nested).is_err(), "{depth} authors");
        }
    }
}
