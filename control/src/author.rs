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

    /// The part of a change's bytes that says what is to be done, whoever asks for it.
    ///
    /// As they were written: encoded anew they would lack what only a later version knows, and versions would differ in
    /// what they take for the same change.
    ///
    /// # Errors
    /// When the bytes are no change.
    pub fn bytes_without_author(bytes: &[u8]) -> Result<&[u8], Error> {
        let mut decoder = Decoder::new(bytes);
        decoder.array()?;
        if decoder.u32()? != AUTHORED {
            return Ok(bytes);
        }
        decoder.array()?; // the fields of the variant
        decoder.array()?; // those of what it holds: the author, then the change
        decoder.skip()?;
        let start = decoder.position();
        decoder.skip()?;
        Ok(&bytes[start..decoder.position()])
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
    }

    #[test]
    fn what_is_to_be_done_is_found_in_the_bytes_as_it_was_written() {
        let plain = Change::CreateGroup("web".parse().expect("a group name"));
        let bytes = plain.to_bytes();
        assert_eq!(Change::bytes_without_author(&bytes).expect("a change"), bytes);
        for name in ["wazuh", "mallory"] {
            let authored = plain.clone().by(author(name)).to_bytes();
            assert_eq!(Change::bytes_without_author(&authored).expect("a change"), bytes);
        }
        // A later version has added a field to the change, which this one passes over.
        let with_more = [&[0x82, 9, 0x82][..], &bytes[3..], &[7]].concat();
        let authored = plain.by(author("wazuh")).to_bytes();
        let head = &authored[..authored.len() - bytes.len()];
        let authored = [head, &with_more].concat();
        assert!(Change::from_bytes(&authored).is_ok());
        assert_eq!(Change::bytes_without_author(&authored).expect("a change"), with_more);
        assert!(Change::bytes_without_author(b"").is_err());
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
