//! Compression of bodies and messages.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950; HTTP and gRPC call it `deflate`.
    Deflate,
}

/// Why bytes cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// They are not compressed in the way they are said to be.
    #[error("not valid {0}: {1}")]
    Malformed(&'static str, #[source] io::Error),
    /// They become more than the limit.
    #[error("more than {0} bytes when decompressed")]
    TooLarge(usize),
}

impl Encoding {
    /// The names of all there are, as `Accept-Encoding` lists them.
    pub const ALL: &str = "gzip, deflate";

    /// The encoding of this name, in whatever case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            _ if name.eq_ignore_ascii_case("gzip") => Some(Encoding::Gzip),
            _ if name.eq_ignore_ascii_case("deflate") => Some(Encoding::Deflate),
            _ => None,
        }
    }

    /// The name in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        }
    }

    /// Decompresses into at most `limit` bytes. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`InflateError`].
    pub fn inflate(self, bytes: &[u8], limit: usize) -> Result<Bytes, InflateError> {
        let mut inflated = Vec::new();
        // One byte more than allowed tells what is just small enough from what is too large.
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let outcome = match self {
            Encoding::Gzip => GzDecoder::new(bytes).take(most).read_to_end(&mut inflated),
            Encoding::Deflate => ZlibDecoder::new(bytes).take(most).read_to_end(&mut inflated),
        };
        if inflated.len() > limit {
            return Err(InflateError::TooLarge(limit));
        }
        outcome.map_err(|error| InflateError::Malformed(self.name(), error))?;
        Ok(inflated.into())
    }

    /// The pieces in turn, compressed. Blocks for as long as that takes.
    ///
    /// # Errors
    /// What the compressor says; it writes to memory and has no reason to.
    pub fn compress(self, pieces: &[Bytes]) -> io::Result<Vec<u8>> {
        fn all<W: Write>(
            pieces: &[Bytes],
            mut encoder: W,
            end: impl FnOnce(W) -> io::Result<Vec<u8>>,
        ) -> io::Result<Vec<u8>> {
            for piece in pieces {
                encoder.write_all(piece)?;
            }
            end(encoder)
        }
        // Tensors hardly shrink more at a higher level, and take many times as long.
        let level = Compression::fast();
        match self {
            Encoding::Gzip => all(pieces, GzEncoder::new(Vec::new(), level), GzEncoder::finish),
            Encoding::Deflate => all(pieces, ZlibEncoder::new(Vec::new(), level), ZlibEncoder::finish),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_inflates_to_the_same_up_to_the_limit() {
        let pieces = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            let compressed = encoding.compress(&pieces).unwrap();
            assert_eq!(encoding.inflate(&compressed, 6).unwrap(), "onetwo");
            assert!(matches!(encoding.inflate(&compressed, 5), Err(InflateError::TooLarge(5))));
            let cut = &compressed[..compressed.len() - 1];
            assert!(matches!(encoding.inflate(cut, 6), Err(InflateError::Malformed(..))));
            assert!(matches!(encoding.inflate(b"plain", 6), Err(InflateError::Malformed(..))));
        }
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_limit() {
        let bomb = Encoding::Gzip.compress(&vec![Bytes::from(vec![0; 1 << 20]); 64]).unwrap();
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(Encoding::Gzip.inflate(&bomb, 1000), Err(InflateError::TooLarge(1000))));
    }
}
