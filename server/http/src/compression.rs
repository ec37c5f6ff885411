//! Compression of bodies and messages.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use salver_core_status::Status;

use crate::Account;

/// How many bytes are decompressed at first.
const FIRST_STEP: usize = 16 * 1024;

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
    /// They become more than there is room for at present.
    #[error(transparent)]
    NoRoom(Status),
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

    /// Decompresses into at most `limit` bytes, which `account` is charged with as they come. Blocks for as long as
    /// that takes.
    ///
    /// # Errors
    /// [`InflateError`].
    pub fn inflate(self, bytes: &[u8], limit: usize, account: &Account) -> Result<Bytes, InflateError> {
        match self {
            Encoding::Gzip => self.gather(GzDecoder::new(bytes), limit, account),
            Encoding::Deflate => self.gather(ZlibDecoder::new(bytes), limit, account),
        }
    }

    fn gather(self, mut from: impl Read, limit: usize, account: &Account) -> Result<Bytes, InflateError> {
        let mut inflated = Vec::new();
        loop {
            // As much again as there is, as a vector grows; one byte more than allowed tells what is just small enough
            // from what is too large.
            let more = inflated.len().max(FIRST_STEP).min((limit - inflated.len()).saturating_add(1));
            account.take(more).map_err(InflateError::NoRoom)?;
            inflated.reserve_exact(more);
            let outcome = from.by_ref().take(more as u64).read_to_end(&mut inflated);
            if inflated.len() > limit {
                return Err(InflateError::TooLarge(limit));
            }
            let read = outcome.map_err(|error| InflateError::Malformed(self.name(), error))?;
            if read < more {
                return Ok(inflated.into());
            }
        }
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
    use http::Extensions;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn what_is_compressed_inflates_to_the_same_up_to_the_limit() {
        let pieces = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        let account = Account::of(&Extensions::new());
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            let compressed = encoding.compress(&pieces).unwrap();
            assert_eq!(encoding.inflate(&compressed, 6, &account).unwrap(), "onetwo");
            assert!(matches!(encoding.inflate(&compressed, 5, &account), Err(InflateError::TooLarge(5))));
            let cut = &compressed[..compressed.len() - 1];
            assert!(matches!(encoding.inflate(cut, 6, &account), Err(InflateError::Malformed(..))));
            assert!(matches!(encoding.inflate(b"plain", 6, &account), Err(InflateError::Malformed(..))));
        }
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_limit() {
        let bomb = Encoding::Gzip.compress(&vec![Bytes::from(vec![0; 1 << 20]); 64]).unwrap();
        assert!(bomb.len() < 1 << 20);
        let account = Account::of(&Extensions::new());
        assert!(matches!(Encoding::Gzip.inflate(&bomb, 1000, &account), Err(InflateError::TooLarge(1000))));
    }

    #[test]
    fn what_is_inflated_is_charged_as_it_comes_and_goes_no_further_than_there_is_room() {
        let bomb = Encoding::Gzip.compress(&[Bytes::from(vec![0; 1 << 20])]).unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let within = |room: usize| {
            let taken = Arc::clone(&taken);
            taken.store(0, Ordering::Relaxed);
            Account::new(move |bytes| match taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= room {
                true => Ok(()),
                false => Err(Status::unavailable("full")),
            })
        };
        let inflate = |room| Encoding::Gzip.inflate(&bomb, 4 << 20, &within(room));
        assert!(matches!(inflate(1 << 19), Err(InflateError::NoRoom(_))));
        assert!(taken.load(Ordering::Relaxed) <= 1 << 20);
        assert_eq!(inflate(4 << 20).unwrap().len(), 1 << 20);
        assert!(taken.load(Ordering::Relaxed) >= 1 << 20);
    }
}
