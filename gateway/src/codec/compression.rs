//! zlib in both directions (3.5). The caller owns the engines and the buffers, so that nothing is allocated per message.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::CodecError;

/// Most bytes a message may inflate to.
pub(super) const MAX_INFLATED: usize = 65_536;

/// Texts up to so many bytes are stored as they are, in a stream that any inflate reads. To compress an order costs two
/// hundred times as much, most of it for the reset of the engine, and saves no packet.
const STORED: usize = 512;

/// Header of a stream, then that of a stored block which is the last one (RFC 1950 and 1951).
const STORED_HEADER: [u8; 3] = [0x78, 0x01, 0x01];

/// Deflate engine; a few hundred KiB once it was needed, reset between messages.
#[derive(Default)]
pub(super) struct Deflater(Option<Compress>);

impl Deflater {
    /// Replaces the content of `out` by `input` as one zlib stream.
    pub(super) fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.clear();
        if input.len() <= STORED {
            return store(input, out);
        }
        // Any level is understood; the reference takes 9, which is slower and saves two bytes in a hundred.
        let engine = self.0.get_or_insert_with(|| Compress::new(Compression::default(), true));
        engine.reset();
        loop {
            out.reserve(input.len() / 8 + 128 + input.len().saturating_sub(out.len()));
            let consumed = engine.total_in() as usize;
            let status = engine.compress_vec(&input[consumed..], out, FlushCompress::Finish);
            if status.expect("deflating into memory cannot fail") == Status::StreamEnd {
                return;
            }
        }
    }
}

/// Appends `input`, at most [`STORED`] bytes, as a stream of one stored block.
fn store(input: &[u8], out: &mut Vec<u8>) {
    let length = input.len() as u16;
    out.extend_from_slice(&STORED_HEADER);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(input);
    // Adler-32; neither sum of so few bytes comes near the end of a `u32`, so one remainder at the end is enough.
    let (low, high) = input.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = low + u32::from(*byte);
        (low, high + low)
    });
    out.extend_from_slice(&(((high % 65_521) << 16) | (low % 65_521)).to_be_bytes());
}

/// Inflate engine; some tens of KiB, reset between messages.
pub(super) struct Inflater(Decompress);

impl Inflater {
    /// An engine for zlib streams.
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Inflates the stream at the front of `input` into `out`; bytes behind the stream are ignored.
    ///
    /// `out` is grown once to its bound and stays that long: the result is the part returned.
    pub(super) fn inflate<'a>(&mut self, input: &[u8], out: &'a mut Vec<u8>) -> Result<&'a [u8], CodecError> {
        self.0.reset(true);
        out.resize(MAX_INFLATED + 1, 0);
        let status = self.0.decompress(input, out, FlushDecompress::Finish);
        let inflated = self.0.total_out() as usize;
        if inflated > MAX_INFLATED {
            return Err(CodecError::TooLarge);
        }
        match status {
            Ok(Status::StreamEnd) => Ok(&out[..inflated]),
            Ok(Status::Ok | Status::BufError) | Err(_) => Err(CodecError::NotZlib),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deflated(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Deflater::default().deflate(input, &mut out);
        out
    }

    #[test]
    fn a_bomb_is_refused_at_64_kib() {
        let mut out = Vec::new();
        let fits = deflated(&vec![b'x'; MAX_INFLATED]);
        assert_eq!(Inflater::new().inflate(&fits, &mut out).map(<[u8]>::len), Ok(MAX_INFLATED));
        for bytes in [MAX_INFLATED + 1, 50_000_000] {
            let bomb = deflated(&vec![b'x'; bytes]);
            assert_eq!(Inflater::new().inflate(&bomb, &mut out), Err(CodecError::TooLarge));
            assert!(out.capacity() < 2 * MAX_INFLATED);
        }
    }

    #[test]
    fn trailing_bytes_are_tolerated_and_missing_ones_are_not() {
        let mut stream = deflated(b"some text");
        let mut out = Vec::new();
        let mut inflater = Inflater::new();
        assert_eq!(inflater.inflate(&stream[..stream.len() - 1], &mut out), Err(CodecError::NotZlib));
        stream.extend_from_slice(b"\0trailer");
        assert_eq!(inflater.inflate(&stream, &mut out), Ok(&b"some text"[..]));
    }

    #[test]
    fn a_short_text_is_stored_and_a_long_one_compressed() {
        let mut out = Vec::new();
        for byte in [b'x', 0xff] {
            for length in [0, 1, STORED] {
                let text = vec![byte; length];
                let stream = deflated(&text);
                assert_eq!(stream.len(), length + 11);
                assert_eq!(Inflater::new().inflate(&stream, &mut out), Ok(&text[..]));
            }
        }
        assert!(deflated(&[b'x'; STORED + 1]).len() < 50);
        assert_eq!(deflated(b"Wikipedia")[16..], [0x11, 0xe6, 0x03, 0x98]);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_of_reused_engines(
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4000), 1..4),
        ) {
            let (mut deflater, mut inflater) = (Deflater::default(), Inflater::new());
            let (mut packed, mut plain) = (Vec::new(), Vec::new());
            for text in texts {
                deflater.deflate(&text, &mut packed);
                prop_assert_eq!(inflater.inflate(&packed, &mut plain), Ok(&text[..]));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_stay_bounded(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..600),
            zlib in any::<bool>(),
        ) {
            if zlib {
                bytes.splice(0..0, [0x78, 0xda]);
            }
            let mut out = Vec::new();
            let _ = Inflater::new().inflate(&bytes, &mut out);
            prop_assert!(out.len() <= MAX_INFLATED + 1);
        }
    }
}
