//! Compression of bodies.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{HeaderMap, StatusCode, header};
use salver_core_status::{Quoted, Status};

use crate::body::too_large;
use crate::failure::Failure;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950; HTTP calls it `deflate`.
    Deflate,
}

impl Encoding {
    /// The value of `Accept-Encoding` that names all there are.
    const ALL: &str = "gzip, deflate";

    fn from_name(name: &str) -> Option<Self> {
        match name {
            _ if name.eq_ignore_ascii_case("gzip") => Some(Encoding::Gzip),
            _ if name.eq_ignore_ascii_case("deflate") => Some(Encoding::Deflate),
            _ => None,
        }
    }

    /// The value of `Content-Encoding`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        }
    }

    /// How the body of a request is compressed; `None` where it is not.
    ///
    /// # Errors
    /// 501 and what is understood, as Triton has it, where it is in another way.
    pub(crate) fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(None) };
        let text = String::from_utf8_lossy(value.as_bytes());
        match text.trim() {
            "" => Ok(None),
            name if name.eq_ignore_ascii_case("identity") => Ok(None),
            name => Encoding::from_name(name).map(Some).ok_or_else(|| {
                let message =
                    format!("Content-Encoding {} is not supported, wanted {}", Quoted(name), Self::ALL);
                Failure::new(StatusCode::NOT_IMPLEMENTED, message)
                    .with_header(header::ACCEPT_ENCODING, Self::ALL)
            }),
        }
    }

    /// The compression that the client likes best among those it names; `None` where it names none.
    pub(crate) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::ACCEPT_ENCODING).into_iter();
        let items = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let mut best = None;
        for item in items {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let Some(encoding) = Encoding::from_name(name.trim()) else { continue };
            let weight = match parameters.trim().split_once('=') {
                Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                    value.trim().parse().unwrap_or(0.0)
                }
                _ => 1.0,
            };
            if weight > best.map_or(0.0f32, |(_, best)| best) {
                best = Some((encoding, weight));
            }
        }
        best.map(|(encoding, _)| encoding)
    }

    /// The body of a request, decompressed. Blocks for as long as that takes.
    ///
    /// # Errors
    /// 400 where the body is not compressed so; 413 where it is larger than `limit`.
    pub(crate) fn inflate(self, body: &Bytes, limit: usize) -> Result<Bytes, Failure> {
        let mut inflated = Vec::new();
        // One byte more than allowed tells the largest body from one that is too large.
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let outcome = match self {
            Encoding::Gzip => GzDecoder::new(&body[..]).take(most).read_to_end(&mut inflated),
            Encoding::Deflate => ZlibDecoder::new(&body[..]).take(most).read_to_end(&mut inflated),
        };
        if inflated.len() > limit {
            return Err(too_large("inflates to more", limit));
        }
        match outcome {
            Ok(_) => Ok(inflated.into()),
            Err(error) => {
                let message = format!("the body is not valid {}: {error}", self.name());
                Err(Failure::new(StatusCode::BAD_REQUEST, message))
            }
        }
    }

    /// The pieces of an answer in turn, compressed. Blocks for as long as that takes.
    pub(crate) fn compress(self, pieces: &[Bytes]) -> Result<Vec<u8>, Status> {
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
        let outcome = match self {
            Encoding::Gzip => all(pieces, GzEncoder::new(Vec::new(), level), GzEncoder::finish),
            Encoding::Deflate => all(pieces, ZlibEncoder::new(Vec::new(), level), ZlibEncoder::finish),
        };
        outcome.map_err(|error| Status::internal(format!("compressing the answer: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn accepted(value: &'static str, expected: Option<Encoding>) {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        assert_eq!(Encoding::accepted(&headers), expected, "{value}");
    }

    #[test]
    fn the_client_s_favourite_wins() {
        accepted("gzip", Some(Encoding::Gzip));
        accepted("deflate, gzip", Some(Encoding::Deflate));
        accepted("gzip;q=0.5, deflate; q=0.8", Some(Encoding::Deflate));
        accepted("br, GZIP;q=0.1", Some(Encoding::Gzip));
        for none in ["", "*", "identity", "gzip;q=0", "gzip;q=x", "br;q=1.0"] {
            accepted(none, None);
        }
    }

    #[test]
    fn what_is_compressed_inflates_to_the_same_up_to_the_limit() {
        let pieces = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            let compressed = Bytes::from(encoding.compress(&pieces).unwrap());
            assert_eq!(encoding.inflate(&compressed, 6).unwrap(), "onetwo");
            assert_eq!(encoding.inflate(&compressed, 5).unwrap_err(), too_large("inflates to more", 5));
            assert!(encoding.inflate(&compressed.slice(..compressed.len() - 1), 6).is_err());
            assert!(encoding.inflate(&Bytes::from_static(b"plain"), 6).is_err());
        }
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_limit() {
        let bomb = Encoding::Gzip.compress(&vec![Bytes::from(vec![0; 1 << 20]); 64]).unwrap();
        assert!(bomb.len() < 1 << 20);
        assert_eq!(
            Encoding::Gzip.inflate(&bomb.into(), 1000).unwrap_err(),
            too_large("inflates to more", 1000)
        );
    }
}
