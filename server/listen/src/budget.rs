//! A budget for the memory that the bodies of all requests under way take together.

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{Request, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use salver_core_status::Status;
use salver_server_http::Account;
use tokio::sync::Notify;

/// How many bytes of request bodies may be in memory at once. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    taken: AtomicUsize,
    requests: AtomicUsize,
    /// Told when the last request is answered.
    idle: Notify,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let (taken, requests) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Shared { limit, taken, requests, idle: Notify::new() }))
    }

    /// How many bytes are taken now.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// How many requests are under way now: admitted, and their answers not sent.
    pub(crate) fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Acquire)
    }

    /// Waits until no request is under way.
    pub(crate) async fn idle(&self) {
        loop {
            let told = self.0.idle.notified();
            let mut told = pin!(told);
            // Listening before looking: what ends in between is told.
            told.as_mut().enable();
            if self.requests() == 0 {
                return;
            }
            told.await;
        }
    }

    /// Lets a request through: its body is counted as it arrives, until [`Admission`] and body are dropped. So is what
    /// it takes of the [`Account`] among its extensions.
    ///
    /// # Errors
    /// The response for a request that announces more than is left. One that announces more than there ever is, is let
    /// through: whoever answers knows the limit for one body, and that trying again is of no use.
    #[expect(clippy::result_large_err, reason = "the error is the response, made once per refusal")]
    pub(crate) fn admit(
        &self,
        request: Request<hyper::body::Incoming>,
    ) -> Result<(Request<Body>, Admission), Response> {
        let admission = Admission(Arc::new(Reservation::new(self.clone())));
        let announced =
            request.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        let left = self.0.limit.saturating_sub(self.taken());
        if announced > left && announced <= self.0.limit {
            return Err(refusal(&request, &self.exhausted()));
        }
        let mut request =
            request.map(|body| Body::new(Counted { body, reservation: Arc::clone(&admission.0) }));
        let reservation = Arc::clone(&admission.0);
        request.extensions_mut().insert(Account::new(move |bytes| reservation.take(bytes)));
        Ok((request, admission))
    }

    fn exhausted(&self) -> String {
        let (taken, limit) = (self.taken(), self.0.limit);
        format!("requests under way take {taken} bytes of {limit} (--max-inflight-bytes); try again later")
    }
}

/// What one request has taken of the budget; given back when dropped.
#[derive(Debug)]
struct Reservation {
    budget: Budget,
    bytes: AtomicUsize,
}

impl Reservation {
    fn new(budget: Budget) -> Self {
        budget.0.requests.fetch_add(1, Ordering::Relaxed);
        Self { budget, bytes: AtomicUsize::new(0) }
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// UNAVAILABLE, as the error of the body: whoever reads the body finds this [`Status`] behind it.
    fn take(&self, bytes: usize) -> Result<(), Status> {
        let shared = &self.budget.0;
        let before = shared.taken.fetch_add(bytes, Ordering::Relaxed);
        // Noted first, so that the drop gives it back in either case.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > shared.limit {
            return Err(Status::unavailable(self.budget.exhausted()));
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let shared = &self.budget.0;
        shared.taken.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        if shared.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.idle.notify_waiters();
        }
    }
}

/// Keeps a request's bytes counted: a body that was read lives on in tensors until the answer is sent.
pub(crate) struct Admission(Arc<Reservation>);

impl Admission {
    /// Keeps counting until the response is sent.
    pub(crate) fn attach(self, response: Response) -> Response {
        response.map(|body| Body::new(Held { body, _reservation: self.0 }))
    }
}

pin_project! {
    /// A request body whose bytes are counted.
    struct Counted {
        #[pin]
        body: hyper::body::Incoming,
        reservation: Arc<Reservation>,
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let Some(frame) = ready!(this.body.poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            this.reservation.take(data.len())?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A response body that keeps its request's bytes counted.
    struct Held {
        #[pin]
        body: Body,
        _reservation: Arc<Reservation>,
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The refusal in the words of the protocol the request came in: UNAVAILABLE, or 503.
fn refusal<B>(request: &Request<B>, message: &str) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        return tonic::Status::unavailable(message).into_http();
    }
    // The message has no character that JSON escapes.
    let mut response = Response::new(Body::from(format!("{{\"error\":\"{message}\"}}")));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
