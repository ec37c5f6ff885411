//! Which compression a request has, and which its answer may have.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use salver_core_status::Quoted;
use salver_server_http::{Account, Encoding, InflateError};

use crate::body::too_large;
use crate::failure::Failure;

/// How the body of a request is compressed; `None` where it is not.
///
/// # Errors
/// 501 and what is understood, as Triton has it, where it is in another way.
pub(crate) fn of_request(headers: &HeaderMap) -> Result<Option<Encoding>, Failure> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.trim() {
        "" => Ok(None),
        name if name.eq_ignore_ascii_case("identity") => Ok(None),
        name => Encoding::from_name(name).map(Some).ok_or_else(|| {
            let message =
                format!("Content-Encoding {} is not supported, wanted {}", Quoted(name), Encoding::ALL);
            Failure::new(StatusCode::NOT_IMPLEMENTED, message)
                .with_header(header::ACCEPT_ENCODING, Encoding::ALL)
        }),
    }
}

/// The compression that the client likes best among those it names; `None` where it names none.
pub(crate) fn accepted(headers: &HeaderMap) -> Option<Encoding> {
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
/// 400 where the body is not compressed so; 413 where it is larger than `limit`; 503 where `account` has no room.
pub(crate) fn inflate(
    encoding: Encoding,
    body: &[u8],
    limit: usize,
    account: &Account,
) -> Result<Bytes, Failure> {
    encoding.inflate(body, limit, account).map_err(|error| match error {
        InflateError::TooLarge(limit) => too_large("inflates to more", limit),
        // The code is UNAVAILABLE, the same in both tables.
        InflateError::NoRoom(status) => Failure::v2(status),
        malformed => Failure::new(StatusCode::BAD_REQUEST, format!("the body is {malformed}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn accepted(value: &'static str, expected: Option<Encoding>) {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        assert_eq!(super::accepted(&headers), expected, "{value}");
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
}
