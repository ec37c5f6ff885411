//! Bodies: read up to a limit, and sent in pieces.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use salver_server_http::{Account, status_behind};
use salver_server_inference::Answer;

use crate::encoding;
use crate::failure::Failure;

/// The body of a request, decompressed. Shares the frame that it came in where it came in one and plain.
///
/// # Errors
/// 413 where it is larger than `limit`, before or after decompression; 501 for a compression that is not known; 400
/// where it is not what it says, or is cut off; 504 where it has not arrived by `deadline`; 503 where requests take too
/// much memory already.
pub(crate) async fn read(
    parts: &Parts,
    body: Body,
    limit: usize,
    deadline: Option<Instant>,
) -> Result<Bytes, Failure> {
    let compression = encoding::of_request(&parts.headers)?;
    let gathering = gather(body, limit);
    let bytes = match deadline {
        None => gathering.await?,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), gathering).await.unwrap_or_else(|_| {
            let message = "the deadline passed before the body arrived";
            Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, message))
        })?,
    };
    match compression {
        None => Ok(bytes),
        Some(compression) => {
            let account = Account::of(&parts.extensions);
            let inflate = move || encoding::inflate(compression, &bytes, limit, &account);
            let inflated = salver_server_http::apart(inflate).await;
            // The code is INTERNAL, the same in both tables.
            inflated.map_err(Failure::v2)?
        }
    }
}

/// The failure of a body of more than `limit` bytes.
pub(crate) fn too_large(how: &str, limit: usize) -> Failure {
    let message = format!("the request body {how} than the limit of {limit} bytes (--max-request-bytes)");
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

async fn gather(mut body: Body, limit: usize) -> Result<Bytes, Failure> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large("is larger", limit));
    }
    let mut first = Bytes::new();
    let mut gathered = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let failed = |status, reason| Failure::new(status, format!("reading the request body: {reason}"));
            match status_behind(&error) {
                Some(status) => failed(StatusCode::SERVICE_UNAVAILABLE, status.to_string()),
                // Its chunks are none, or the client has gone.
                None => failed(StatusCode::BAD_REQUEST, error.to_string()),
            }
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.is_empty() && gathered.is_empty() {
            first = data;
        } else {
            if gathered.is_empty() {
                // What is announced counts only once some of it is there, and is within the limit.
                gathered.reserve(announced.max(first.len() + data.len()));
                gathered.extend_from_slice(&first);
                first = Bytes::new();
            }
            gathered.extend_from_slice(&data);
        }
        if first.len().max(gathered.len()) > limit {
            return Err(too_large("is larger", limit));
        }
    }
    Ok(if gathered.is_empty() { first } else { gathered.into() })
}

/// An answer's body from here on is sent in pieces, the large ones from where the model left them; below, it is
/// cheaper to copy them together.
const PIECES_FROM: usize = 16 * 1024;

/// A body of `pieces`. Those that are sent as they are keep `answer` alive, whose memory they may be.
pub(crate) fn of_pieces(pieces: Vec<Bytes>, answer: Answer) -> Body {
    let total: usize = pieces.iter().map(Bytes::len).sum();
    if total < PIECES_FROM {
        let copied = pieces.concat();
        // Before `answer`, whose model the pieces may belong to.
        drop(pieces);
        return Body::from(copied);
    }
    let answer = Arc::new(answer);
    let hold = |bytes| answer.hold(bytes);
    let pieces: Vec<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).map(hold).collect();
    Body::new(Pieces { left: total as u64, pieces: pieces.into_iter() })
}

/// A body of a known length, in pieces.
struct Pieces {
    left: u64,
    pieces: std::vec::IntoIter<Bytes>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.next();
        self.left -= piece.as_ref().map_or(0, Bytes::len) as u64;
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
