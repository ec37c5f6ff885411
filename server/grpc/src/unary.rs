//! A unary call, from HTTP request to HTTP response.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use http::{StatusCode, header};
use salver_core_status::Status;
use salver_server_wire::guard;

use crate::metadata::Head;
use crate::reply::{self, Reply};
use crate::{App, message};

/// The route of a call whose requests are of type `Req`, which the guard knows as `shape`.
///
/// The call's future is dropped when the client gives up.
pub(crate) fn unary<Req, Call, Answered>(shape: &'static guard::Message, call: Call) -> MethodRouter<Arc<App>>
where
    Req: prost::Message + Default + 'static,
    Call: Fn(Arc<App>, Head, Req) -> Answered + Clone + Send + Sync + 'static,
    Answered: Future<Output = Result<Reply, Status>> + Send + 'static,
{
    post(async move |State(app): State<Arc<App>>, request: Request| -> Response {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
            return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
        }
        let outcome = async {
            let (parts, body) = request.into_parts();
            let head = Head::parse(&parts, Instant::now())?;
            let compression = message::compression(&parts.headers)?;
            let (most, account) = (app.options.max_request_bytes, head.account.clone());
            let reading = message::read(body, compression, most, account);
            let encoded = match head.deadline {
                None => reading.await?,
                Some(deadline) => {
                    tokio::time::timeout_at(deadline.into(), reading).await.map_err(|_| {
                        Status::deadline_exceeded("the deadline passed before the message arrived")
                    })??
                }
            };
            let encoded_bytes = encoded.len();
            let decode = move || {
                guard::check(shape, &encoded)?;
                Req::decode(encoded)
                    .map_err(|error| Status::invalid_argument(format!("the message is malformed: {error}")))
            };
            call(app, head, salver_server_http::on(encoded_bytes, decode).await?).await
        };
        reply::response(outcome.await)
    })
}
