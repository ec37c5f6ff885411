//! Reading the one message of a unary request.

use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;
use salver_core_status::{Quoted, Status};
use salver_server_http::{Account, Encoding, InflateError, status_behind};

/// What `grpc-accept-encoding` says.
pub(crate) const ACCEPTED: &str = "identity, gzip, deflate";

/// How the messages of a request that are compressed are: `None` where none may be.
///
/// # Errors
/// UNIMPLEMENTED for a way that is not known.
pub(crate) fn compression(headers: &HeaderMap) -> Result<Option<Encoding>, Status> {
    let Some(value) = headers.get("grpc-encoding") else { return Ok(None) };
    match String::from_utf8_lossy(value.as_bytes()).as_ref() {
        "identity" => Ok(None),
        name => Encoding::from_name(name).map(Some).ok_or_else(|| {
            let name = Quoted(name);
            Status::unimplemented(format!("grpc-encoding {name} is not supported, wanted one of {ACCEPTED}"))
        }),
    }
}

/// The bytes in front of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The encoded message of a unary request. Shares the frame that it came in where it came in one.
///
/// Holds at most a small multiple of what has arrived, whatever length the request claims, and never more than
/// `max_bytes`, before and after decompression. What it is decompressed to is charged to `account`.
///
/// # Errors
/// RESOURCE_EXHAUSTED where the message is longer than `max_bytes`; INVALID_ARGUMENT where there is none, more than
/// one, one that is cut off, or one that is not compressed as `compression` says; CANCELLED where the client went
/// away; and what the body itself fails with.
pub(crate) async fn read<B>(
    body: B,
    compression: Option<Encoding>,
    max_bytes: usize,
    account: Account,
) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes, Error: StdError + 'static>,
{
    let mut body = pin!(body);
    let mut start = Vec::new();
    let mut first = Bytes::new();
    // The first frame nearly always holds the prefix, if not the message.
    while start.len() + first.len() < PREFIX {
        start.extend_from_slice(&first);
        first = match next(&mut body).await? {
            Some(data) => data,
            None => return Err(cut_off(start.len(), PREFIX)),
        };
    }
    if !start.is_empty() {
        start.extend_from_slice(&first);
        first = start.into();
    }
    let (is_compressed, length) = parse_prefix(&first, max_bytes)?;
    first.advance(PREFIX);

    let mut message = first;
    if message.len() < length {
        let mut gathered = Vec::with_capacity(length.min(message.len().saturating_mul(64)));
        gathered.extend_from_slice(&message);
        while gathered.len() < length {
            match next(&mut body).await? {
                Some(data) => {
                    if gathered.capacity() - gathered.len() < data.len() {
                        let room = length.min(gathered.len().saturating_mul(2));
                        gathered.reserve_exact(room.saturating_sub(gathered.len()).max(data.len()));
                    }
                    gathered.extend_from_slice(&data);
                }
                None => return Err(cut_off(gathered.len(), length)),
            }
        }
        message = gathered.into();
    }
    if message.len() > length || next(&mut body).await?.is_some() {
        return Err(Status::invalid_argument("the request goes on after its message"));
    }
    match (is_compressed, compression) {
        (false, _) => Ok(message),
        (true, None) => {
            Err(Status::invalid_argument("the message is compressed, and grpc-encoding does not say how"))
        }
        (true, Some(encoding)) => {
            // One byte becomes that many at most.
            let most = length.saturating_mul(1032).min(max_bytes);
            salver_server_http::on(most, move || {
                encoding.inflate(&message, max_bytes, &account).map_err(not_inflated)
            })
            .await
        }
    }
}

fn not_inflated(error: InflateError) -> Status {
    let message = format!("the message is {error}");
    match error {
        InflateError::NoRoom(status) => status,
        InflateError::TooLarge(_) => Status::resource_exhausted(message),
        InflateError::Malformed(..) => Status::invalid_argument(message),
    }
}

/// Whether the message is compressed, and its length as it is sent.
fn parse_prefix(first: &[u8], max_bytes: usize) -> Result<(bool, usize), Status> {
    let Some(&[compressed, a, b, c, d]) = first.first_chunk::<PREFIX>() else {
        return Err(cut_off(first.len(), PREFIX));
    };
    if compressed > 1 {
        let message = format!("the message begins with {compressed}, wanted 0 (plain) or 1 (compressed)");
        return Err(Status::invalid_argument(message));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > max_bytes {
        return Err(Status::resource_exhausted(format!(
            "the message has {length} bytes, at most {max_bytes} are allowed"
        )));
    }
    Ok((compressed == 1, length))
}

/// The next frame of data that is not empty.
async fn next<B>(body: &mut std::pin::Pin<&mut B>) -> Result<Option<Bytes>, Status>
where
    B: Body<Data = Bytes, Error: StdError + 'static>,
{
    /// How long a client may pause within a message, whatever its deadline: what has come of it is kept in memory.
    const STALL_TIMEOUT: Duration = Duration::from_secs(30);
    let stalled = |_| Status::deadline_exceeded("the client paused for too long within its message");
    while let Some(frame) = tokio::time::timeout(STALL_TIMEOUT, body.frame()).await.map_err(stalled)? {
        let frame = frame.map_err(|error| {
            status_behind(&error).cloned().unwrap_or_else(|| Status::cancelled("the client went away"))
        })?;
        match frame.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            // Trailers mean nothing in a request.
            _ => {}
        }
    }
    Ok(None)
}

fn cut_off(found: usize, wanted: usize) -> Status {
    Status::invalid_argument(format!("the message is cut off: got {found} of {wanted} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use salver_core_status::Code;
    use std::convert::Infallible;

    fn framed(message: &[u8]) -> Bytes {
        let mut framed = vec![0];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend(message);
        framed.into()
    }

    async fn read_in_parts(whole: &Bytes, part: usize, max_bytes: usize) -> Result<Bytes, Status> {
        let parts: Vec<_> = (0..whole.len())
            .step_by(part)
            .map(|at| Ok::<_, Infallible>(Frame::data(whole.slice(at..whole.len().min(at + part)))))
            .collect();
        {
            let account = Account::of(&http::Extensions::new());
            read(StreamBody::new(stream::iter(parts)), Some(Encoding::Gzip), max_bytes, account).await
        }
    }

    #[tokio::test]
    async fn a_message_is_read_in_however_many_parts_it_comes() {
        let message: Vec<u8> = (0..=255).collect();
        let whole = framed(&message);
        for part in 1..=whole.len() {
            assert_eq!(read_in_parts(&whole, part, 256).await.unwrap(), message, "in parts of {part}");
        }
        assert_eq!(read_in_parts(&framed(b""), 5, 0).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_message_in_one_part_is_not_copied() {
        let whole = framed(b"message");
        let message = read_in_parts(&whole, whole.len(), 100).await.unwrap();
        assert_eq!(message.as_ptr(), whole[PREFIX..].as_ptr());
    }

    #[tokio::test]
    async fn what_is_not_one_whole_plain_message_is_refused() {
        let refused = |bytes: &'static [u8]| async move {
            read_in_parts(&Bytes::from_static(bytes), 3, 10).await.unwrap_err()
        };
        let invalid = Status::invalid_argument;
        assert_eq!(refused(b"").await, invalid("the message is cut off: got 0 of 5 bytes"));
        assert_eq!(refused(b"\0\0\0").await, invalid("the message is cut off: got 3 of 5 bytes"));
        assert_eq!(refused(b"\0\0\0\0\x03ab").await, invalid("the message is cut off: got 2 of 3 bytes"));
        assert_eq!(refused(b"\0\0\0\0\x01ab").await, invalid("the request goes on after its message"));
        assert_eq!(
            refused(b"\x02\0\0\0\0").await,
            invalid("the message begins with 2, wanted 0 (plain) or 1 (compressed)")
        );
        assert_eq!(refused(b"\x01\0\0\0\x05plain").await.code(), Code::InvalidArgument);
        assert_eq!(
            refused(b"\0\xff\xff\xff\xff").await,
            Status::resource_exhausted("the message has 4294967295 bytes, at most 10 are allowed")
        );
    }

    #[tokio::test]
    async fn a_compressed_message_is_read_up_to_the_limit_after_decompression() {
        let compressed = Encoding::Gzip.compress(&[Bytes::from(vec![7; 1000])]).unwrap();
        let mut whole = framed(&compressed).to_vec();
        whole[0] = 1;
        let whole = Bytes::from(whole);
        assert_eq!(read_in_parts(&whole, 9, 1000).await.unwrap(), vec![7; 1000]);
        let error = read_in_parts(&whole, 9, 999).await.unwrap_err();
        assert_eq!(error, Status::resource_exhausted("the message is more than 999 bytes when decompressed"));
    }

    #[test]
    fn an_unknown_compression_is_refused_with_those_that_are_known() {
        let headers = |name| HeaderMap::from_iter([(http::HeaderName::from_static("grpc-encoding"), name)]);
        let value = http::HeaderValue::from_static;
        assert_eq!(compression(&headers(value("gzip"))), Ok(Some(Encoding::Gzip)));
        assert_eq!(compression(&headers(value("identity"))), Ok(None));
        assert_eq!(compression(&headers(value("snappy"))).unwrap_err().code(), Code::Unimplemented);
    }
}
