//! What strangers send: an error each, of bounded size, and the next request is answered.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::*;
use http_body::Frame;
use proptest::prelude::*;
use salver_server_http::Encoding;

const PREDICT: &str = "/v1/models/half:predict";
const INFER: &str = "/v2/models/half/infer";

#[tokio::test]
async fn hostile_bodies_are_refused_with_short_messages() {
    let one = |rest: &str| format!(r#"{{"inputs":[{{"name":"x",{rest}}}]}}"#);
    let bodies = [
        (PREDICT, String::new()),
        (PREDICT, "[".repeat(1_000_000)),
        (PREDICT, "{\"instances\":".repeat(100_000)),
        (PREDICT, format!("{{\"instances\": {}", "[".repeat(1_000_000))),
        (PREDICT, format!("{{\"instances\": [\"{}\"]}}", "x".repeat(1_000_000))),
        (PREDICT, format!("{{\"instances\": [{{\"{}\": 1}}]}}", "x".repeat(1_000_000))),
        (PREDICT, format!("{{\"signature_name\": \"{}\", \"instances\": [1]}}", "x".repeat(1_000_000))),
        (PREDICT, format!("{{\"instances\": [{}]}}", "[],".repeat(300_000))),
        (PREDICT, r#"{"instances": [1], "instances": [1]}"#.to_owned()),
        (INFER, String::new()),
        (INFER, "[".repeat(1_000_000)),
        (INFER, one(r#""shape":[9223372036854775807],"datatype":"FP32","data":[1]"#)),
        (INFER, one(r#""shape":[9223372036854775808],"datatype":"FP32","data":[1]"#)),
        (INFER, one(r#""shape":[4294967296,4294967296],"datatype":"FP32","data":[1]"#)),
        (INFER, one(r#""shape":[1000000000],"datatype":"FP32","data":[1]"#)),
        (INFER, one(r#""shape":[-1],"datatype":"FP32","data":[1]"#)),
        (INFER, one(r#""shape":[1],"datatype":"FP32","data":[1,2]"#)),
        (INFER, one(r#""shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}"#)),
        (
            INFER,
            one(r#""shape":[1],"datatype":"FP32","parameters":{"binary_data_size":18446744073709551615}"#),
        ),
        (INFER, one(&format!(r#""shape":[1],"datatype":"{}","data":[1]"#, "x".repeat(1_000_000)))),
        (INFER, format!(r#"{{"inputs":[{{"name":"{}"}}]}}"#, "x".repeat(1_000_000))),
        (INFER, format!(r#"{{"inputs":[{}]}}"#, vec!["{}"; 300_000].join(","))),
    ];
    for (path, body) in bodies {
        let start: String = body.chars().take(80).collect();
        let answer = post(path, body).await;
        assert_eq!(answer.status, 400, "{start}: {}", answer.text());
        assert!(answer.body.len() < 1000, "{start}: {} bytes", answer.body.len());
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_however_it_comes() {
    let limit = Options { max_request_bytes: 1000, ..OPTIONS };
    let message =
        |how: &str| format!("the request body {how} than the limit of 1000 bytes (--max-request-bytes)");
    for path in [PREDICT, INFER] {
        let announced = ask(app(Readiness::Ready, limit), "POST", path, &[], vec![b' '; 1001]).await;
        refused(&announced, 413, &message("is larger"));
        let frames = Unannounced(vec![Bytes::from_static(b"x"); 1001].into_iter());
        let streamed = ask(app(Readiness::Ready, limit), "POST", path, &[], Body::new(frames)).await;
        refused(&streamed, 413, &message("is larger"));
        let bomb = Encoding::Gzip.compress(&[vec![b' '; 100_000].into()]).unwrap();
        assert!(bomb.len() < 1000);
        let headers = [("content-encoding", "gzip")];
        let bomb = ask(app(Readiness::Ready, limit), "POST", path, &headers, bomb).await;
        refused(&bomb, 413, &message("inflates to more"));
    }
}

#[tokio::test]
async fn a_compressed_body_that_is_cut_off_is_refused() {
    let whole = Encoding::Gzip.compress(&[Bytes::from_static(br#"{"instances": [2]}"#)]).unwrap();
    let headers = [("content-encoding", "gzip")];
    let cut = whole[..whole.len() - 9].to_vec();
    let answer = ask(app(Readiness::Ready, OPTIONS), "POST", PREDICT, &headers, cut).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_client_s_fault_and_one_without_room_is_not() {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| async move {
        ask(app(Readiness::Ready, OPTIONS), "POST", PREDICT, &[], Body::new(Broken(Some(error)))).await
    };
    refused(&broken("no chunk".into()).await, 400, "reading the request body: no chunk");
    let full = broken(Box::new(Status::unavailable("full"))).await;
    refused(&full, 503, "reading the request body: full");
}

#[tokio::test]
async fn a_length_of_the_json_that_cannot_be_is_refused() {
    let message = "inference header size should be in range (0, 2), got: 2147483648";
    let headers = [("inference-header-content-length", "2147483648")];
    let answer = ask(app(Readiness::Ready, OPTIONS), "POST", INFER, &headers, "{}").await;
    refused(&answer, 400, message);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let options = Options { timeout: Some(Duration::from_secs(30)), ..OPTIONS };
    let answer = ask(app(Readiness::Ready, options), "POST", PREDICT, &[], Body::new(Silent)).await;
    refused(&answer, 504, "the deadline passed before the body arrived");
}

/// A body that fails at once.
struct Broken(Option<Box<dyn std::error::Error + Send + Sync>>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

/// A body of frames whose length nobody knows.
struct Unannounced(std::vec::IntoIter<Bytes>);

impl http_body::Body for Unannounced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.next().map(|data| Ok(Frame::data(data))))
    }
}

/// A body of which nothing comes.
struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_answered_in_json(
        body in prop::collection::vec(0u8..=255, 0..200),
        length in prop::option::of(-2i64..200),
        path in prop::sample::select(vec![PREDICT, INFER, "/v2/models/mixed/infer", "/v1/models/mixed:predict"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let length = length.map(|length| length.to_string());
        let headers: Vec<_> =
            length.iter().map(|length| ("inference-header-content-length", length.as_str())).collect();
        let answer = runtime.block_on(ask(app(Readiness::Ready, OPTIONS), "POST", path, &headers, body));
        let is_raw = answer.headers.contains_key("inference-header-content-length");
        prop_assert!(is_raw || serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok());
        prop_assert!(answer.status.as_u16() < 500);
    }
}
