//! zlib in both directions (3.5). The caller owns the engines and the buffers, so that nothing is allocated per message.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::CodecError;

/// Most bytes a message may inflate to.
pub(super) const MAX_INFLATED: usize = 65_536;

/// Deflate engine; a few hundred KiB, reset between messages.
pub(super) struct Deflater(Compress);

impl Deflater {
    /// An engine at zlib's level 9, which the reference uses.
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::best(), true))
    }

    /// Replaces the content of `out` by `input` as one zlib stream.
    pub(super) fn deflate(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.0.reset();
        out.clear();
        loop {
            out.reserve(input.len() / 8 + 128 + input.len().saturating_sub(out.len()));
            let consumed = self.0.total_in() as usize;
            let status = self.0.compress_vec(&input[consumed..], out, FlushCompress::Finish);
            if status.expect("deflating into memory cannot fail") == Status::StreamEnd {
                return;
            }
        }
    }
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
        Deflater::new().deflate(input, &mut out);
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

    proptest! {
        #[test]
        fn what_goes_in_comes_out_of_reused_engines(
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4000), 1..4),
        ) {
            let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
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
