//! Writing the one message of a unary reply, and its status.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use salver_core_status::{Code, Status};
use salver_proto::inference::ModelInferResponse;
use salver_server_inference::Answer;
use salver_server_wire::truncated;

use crate::message::ACCEPTED;

/// A reply's message, framed and in pieces.
#[derive(Debug)]
pub(crate) struct Reply(std::vec::IntoIter<Bytes>);

/// Bytes of a tensor from which on it is cheaper sent as a piece of its own than copied: the size of an HTTP/2 frame.
const PIECE_BYTES: usize = 16 * 1024;

/// `ModelInferResponse.raw_output_contents`.
const RAW_OUTPUT_CONTENTS: u32 = 6;

impl Reply {
    /// A reply of `message`.
    pub(crate) fn new(message: &impl Message) -> Result<Self, Status> {
        let mut buffer = framed(message.encoded_len(), 0)?;
        encode(message, &mut buffer)?;
        Ok(Self(vec![buffer.freeze()].into_iter()))
    }

    /// A reply of `message` with `raw` as its raw output contents. Large contents are sent from where the model left
    /// them, and keep `answer` alive until they are sent.
    pub(crate) fn with_raw(
        message: &ModelInferResponse,
        raw: Vec<Bytes>,
        answer: Answer,
    ) -> Result<Self, Status> {
        let field = |raw: &Bytes| key_len(RAW_OUTPUT_CONTENTS) + encoded_len_varint(raw.len() as u64);
        let head_bytes = message.encoded_len() + raw.iter().map(field).sum::<usize>();
        let is_piece = |raw: &&Bytes| raw.len() >= PIECE_BYTES;
        let piece_bytes: usize = raw.iter().filter(is_piece).map(Bytes::len).sum();
        let all_bytes: usize = raw.iter().map(Bytes::len).sum();
        let mut buffer = framed(head_bytes + all_bytes - piece_bytes, piece_bytes)?;
        encode(message, &mut buffer)?;

        let mut pieces = Vec::new();
        let answer = Arc::new(answer);
        for bytes in raw {
            encode_key(RAW_OUTPUT_CONTENTS, WireType::LengthDelimited, &mut buffer);
            encode_varint(bytes.len() as u64, &mut buffer);
            if bytes.len() < PIECE_BYTES {
                buffer.put_slice(&bytes);
            } else {
                pieces.push(buffer.split().freeze());
                pieces.push(answer.hold(bytes));
            }
        }
        if !buffer.is_empty() {
            pieces.push(buffer.freeze());
        }
        Ok(Self(pieces.into_iter()))
    }
}

/// A buffer of `here` bytes, in front of which the prefix of a message of `here` and `elsewhere` bytes is written.
fn framed(here: usize, elsewhere: usize) -> Result<BytesMut, Status> {
    let length = here.saturating_add(elsewhere);
    let length = u32::try_from(length).map_err(|_| {
        Status::resource_exhausted(format!("the reply has {length} bytes, more than a gRPC message may have"))
    })?;
    let mut buffer = BytesMut::with_capacity(5 + here);
    buffer.put_u8(0);
    buffer.put_u32(length);
    Ok(buffer)
}

fn encode(message: &impl Message, buffer: &mut BytesMut) -> Result<(), Status> {
    message.encode(buffer).map_err(|error| Status::internal(format!("encoding the reply: {error}")))
}

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const OK: HeaderValue = HeaderValue::from_static("0");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The HTTP response that carries the outcome of a call.
pub(crate) fn response(outcome: Result<Reply, Status>) -> Response {
    match outcome {
        Ok(reply) => {
            let mut response = Response::new(axum::body::Body::new(ReplyBody(Some(reply))));
            response.headers_mut().insert(http::header::CONTENT_TYPE, GRPC);
            response
        }
        Err(status) => {
            // The codes are gRPC's own.
            let code = tonic::Code::from_i32(status.code() as i32);
            let mut response = tonic::Status::new(code, truncated(status.message())).into_http();
            if status.code() == Code::Unimplemented {
                // It may have been the compression that is not.
                response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
            }
            response
        }
    }
}

/// The pieces of a reply, then the trailers that say that all is well.
struct ReplyBody(Option<Reply>);

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(Reply(pieces)) = &mut self.0 else { return Poll::Ready(None) };
        let frame = pieces.next().map(Frame::data).unwrap_or_else(|| {
            self.0 = None;
            Frame::trailers(HeaderMap::from_iter([(GRPC_STATUS, OK)]))
        });
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
