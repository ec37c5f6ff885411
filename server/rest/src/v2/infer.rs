//! The infer call, with the binary extension.

use std::time::Instant;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use salver_core_platform::RequestContext;
use salver_core_status::{Quoted, Status};
use salver_server_http::{Account, Encoding};
use salver_server_inference::{Answer, Api, Call, Served, with_priority, with_timeout};
use salver_server_json::{EncodedResponse, InferRequest, InferResponse, ResponseOutput};

use crate::encoding;
use crate::failure::Failure;
use crate::head::Head;
use crate::target::Target;
use crate::{App, body, work};

/// How many bytes of a body are JSON; the rest is binary.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Answers of fewer bytes are not worth compressing.
const COMPRESS_FROM: usize = 1024;

/// How a request's body is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// So many bytes of JSON, then binary inputs.
    Json(usize),
    /// The elements of the only input.
    Raw,
}

/// Runs a model by its default signature.
pub(crate) async fn infer(app: &App, parts: &Parts, body: Body, target: Target) -> Result<Response, Failure> {
    let start = Instant::now();
    let head = Head::read(&parts.headers, app.options.timeout, start);
    let priority = crate::head::priority(&parts.headers).map_err(Failure::v2)?;
    let body = body::read(parts, body, app.options.max_request_bytes, head.deadline).await?;
    let layout = layout(&parts.headers, body.len()).map_err(Failure::v2)?;
    let body_bytes = body.len();
    let (api, choice) = (Api::OpenInferenceRest, target.choice());
    let served = app.inference.resolve_or_load(api, &target.model, choice, head.deadline).await;
    let served = served.map_err(|error| Failure::v2(error.to_open_inference_status()))?;
    let name = target.model.clone();
    // Kept by the work: what is left behind when the client goes is still in memory until it is done.
    let account = Account::of(&parts.extensions);
    let read = move || {
        let _account = account;
        let (index, signature) = served.default_signature()?;
        let mut request = match layout {
            Layout::Json(length) => InferRequest::read(&body, length, &target.model)?,
            Layout::Raw => InferRequest::raw(body, signature, &target.model)?,
        };
        let call = Call {
            api,
            signature: index,
            inputs: std::mem::take(&mut request.inputs),
            outputs: request.outputs.iter().map(|output| output.name.clone()).collect(),
            context: context(head, priority, (&served, index), &mut request, start)?,
            served,
        };
        Ok((request, call))
    };
    let outcome = async {
        let (request, call) = salver_server_http::on(body_bytes, read).await?;
        let answer = app.inference.run(call).await?;
        // What is binary is not written, only sent.
        let bytes = work::bytes_of(&answer, |output| !request.is_binary(output));
        let write = move || Ok((write(&name, &request, &answer)?, answer));
        let (encoded, answer) = salver_server_http::on(bytes, write).await?;
        respond(encoded, answer, encoding::accepted(&parts.headers)).await
    };
    outcome.await.map_err(Failure::v2)
}

/// What the headers say of a body of `total` bytes.
///
/// # Errors
/// INVALID_ARGUMENT, in Triton's words, where they say what cannot be.
fn layout(headers: &HeaderMap, total: usize) -> Result<Layout, Status> {
    let Some(value) = headers.get(JSON_LENGTH) else { return Ok(Layout::Json(total)) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.trim();
    let shown = || Quoted(text).to_string().replace('`', "'");
    let length: i64 = text.parse().map_err(|_| {
        Status::invalid_argument(format!("Unable to parse Inference-Header-Content-Length, got: {}", shown()))
    })?;
    match usize::try_from(length) {
        Ok(0) => Ok(Layout::Raw),
        Ok(length) if length <= total => Ok(Layout::Json(length)),
        _ => Err(Status::invalid_argument(format!(
            "inference header size should be in range (0, {total}), got: {length}"
        ))),
    }
}

/// The context of the run; takes the request's parameters.
fn context(
    head: Head,
    priority: Option<u32>,
    (served, signature): (&Served, usize),
    request: &mut InferRequest,
    start: Instant,
) -> Result<RequestContext, Status> {
    let parameters = with_priority(priority, std::mem::take(&mut request.parameters));
    let deadline = with_timeout(served, signature, head.deadline, &parameters, start)?;
    let request_id = request.id.clone().unwrap_or_default();
    Ok(RequestContext { deadline, request_id, parameters, ..head.context() })
}

fn write(model_name: &str, request: &InferRequest, answer: &Answer) -> Result<EncodedResponse, Status> {
    let outputs = answer.outputs().map(|(spec, tensor)| {
        let is_binary = request.is_binary(&spec.name);
        ResponseOutput { name: &spec.name, tensor, is_binary }
    });
    let response = InferResponse {
        model_name,
        model_version: &answer.id().version.to_string(),
        id: request.id.as_deref(),
        outputs: outputs.collect(),
    };
    response.write()
}

async fn respond(
    encoded: EncodedResponse,
    answer: Answer,
    accepted: Option<Encoding>,
) -> Result<Response, Status> {
    let EncodedResponse { json, tail } = encoded;
    let json_length = tail.is_some().then_some(json.len());
    let mut pieces = vec![Bytes::from(json)];
    pieces.extend(tail.into_iter().flatten());
    let total: usize = pieces.iter().map(Bytes::len).sum();
    let encoding = accepted.filter(|_| total >= COMPRESS_FROM);
    let mut response = match encoding {
        None => body::of_pieces(pieces, answer).into_response(),
        Some(encoding) => {
            let compress = move || {
                let compressed = encoding.compress(&pieces);
                drop((pieces, answer));
                compressed
            };
            {
                let compressed = salver_server_http::apart(compress).await?;
                compressed
                    .map_err(|error| Status::internal(format!("compressing the answer: {error}")))?
                    .into_response()
            }
        }
    };
    let headers = response.headers_mut();
    let content_type = if json_length.is_some() { "application/octet-stream" } else { "application/json" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(length) = json_length {
        headers.insert(JSON_LENGTH, HeaderValue::from(length));
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str, total: usize) -> Result<Layout, String> {
        let headers = HeaderMap::from_iter([(JSON_LENGTH, HeaderValue::from_static(value))]);
        layout(&headers, total).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn the_header_says_where_the_json_ends() {
        assert_eq!(layout(&HeaderMap::new(), 7), Ok(Layout::Json(7)));
        assert_eq!(of("5", 7), Ok(Layout::Json(5)));
        assert_eq!(of("7", 7), Ok(Layout::Json(7)));
        assert_eq!(of("0", 7), Ok(Layout::Raw));
        let range =
            |found: &str| Err(format!("inference header size should be in range (0, 7), got: {found}"));
        assert_eq!(of("8", 7), range("8"));
        assert_eq!(of("-1", 7), range("-1"));
        assert_eq!(of("9223372036854775807", 7), range("9223372036854775807"));
        for text in ["x", "1.5", "9223372036854775808"] {
            let message = format!("Unable to parse Inference-Header-Content-Length, got: '{text}'");
            assert_eq!(of(text, 7), Err(message));
        }
    }
}
