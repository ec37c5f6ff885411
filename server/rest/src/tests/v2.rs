//! The Open Inference Protocol's interface.

use super::*;
use salver_server_http::{Account, Encoding};

const JSON_LENGTH: &str = "inference-header-content-length";

/// An infer request with a binary tail.
async fn infer_binary(path: &str, json: &str, tail: &[u8], headers: &[(&str, &str)]) -> Answer {
    let length = json.len().to_string();
    let headers = [headers, &[(JSON_LENGTH, length.as_str())]].concat();
    let body = [json.as_bytes(), tail].concat();
    ask(app(Readiness::Ready, OPTIONS), "POST", path, &headers, body).await
}

const X: &str = r#"{"name":"x","shape":[2],"datatype":"FP32","data":[2,4]}"#;

fn half(rest: &str) -> String {
    format!(r#"{{"inputs":[{X}]{rest}}}"#)
}

#[tokio::test]
async fn json_is_answered_with_json() {
    let answer = post("/v2/models/half/infer", half(r#","id":"7""#)).await;
    let expected = r#"{"model_name":"half","model_version":"123","id":"7","outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[3.0,4.0]}]}"#;
    check(&answer, 200, expected);
    assert!(answer.headers.get(JSON_LENGTH).is_none());
    let answer = post("/v2/models/half/versions/123/infer", half("")).await;
    check(&answer, 200, &expected.replace(r#""id":"7","#, ""));
}

#[tokio::test]
async fn binary_is_answered_where_it_is_asked_for() {
    let json = r#"{"inputs":[
        {"name":"a","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}},
        {"name":"s","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":9}}],
        "outputs":[{"name":"s","parameters":{"binary_data":true}},{"name":"a"},{"name":"h","parameters":{"binary_data":true}}]}"#;
    let tail = b"\x07\0\0\0\0\0\0\0\x01\0\0\0\xff\0\0\0\0";
    let answer = infer_binary("/v2/models/mixed/infer", json, tail, &[]).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let (json, tail) = answer.body.split_at(answer.header(JSON_LENGTH).parse().unwrap());
    assert_eq!(
        std::str::from_utf8(json).unwrap(),
        r#"{"model_name":"mixed","model_version":"123","outputs":[{"name":"s","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":9}},{"name":"a","datatype":"INT64","shape":[1],"data":[7]},{"name":"h","datatype":"FP16","shape":[],"parameters":{"binary_data_size":2}}]}"#
    );
    assert_eq!(tail, b"\x01\0\0\0\xff\0\0\0\0\x00\x38");
}

#[tokio::test]
async fn all_outputs_are_binary_where_the_request_says_so() {
    let answer = post("/v2/models/half/infer", half(r#","parameters":{"binary_data_output":true}"#)).await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert!(answer.body.ends_with(bytes_of(&[3.0, 4.0]).as_slice()));
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[tokio::test]
async fn a_raw_body_is_the_only_input() {
    let headers = [(JSON_LENGTH, "0")];
    let app = app(Readiness::Ready, OPTIONS);
    let answer = ask(app, "POST", "/v2/models/half/infer", &headers, bytes_of(&[2.0])).await;
    let (json, tail) = answer.body.split_at(answer.header(JSON_LENGTH).parse().unwrap());
    assert!(std::str::from_utf8(json).unwrap().contains(r#""shape":[1]"#));
    assert_eq!(tail, bytes_of(&[3.0]));
}

#[tokio::test]
async fn a_large_binary_answer_is_sent_in_pieces_of_a_known_length() {
    let json = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[1000000]}],"parameters":{"binary_data_output":true}}"#;
    let request = Request::post("/v2/models/zeros/infer").body(Body::from(json)).unwrap();
    let response = app(Readiness::Ready, OPTIONS).oneshot(request).await.unwrap();
    let json_length: u64 = response.headers()[JSON_LENGTH].to_str().unwrap().parse().unwrap();
    let announced = http_body::Body::size_hint(response.body()).exact().unwrap();
    assert_eq!(announced, json_length + 1_000_000);
    assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap().len() as u64, announced);
}

#[tokio::test]
async fn failures_have_triton_s_words_and_statuses() {
    let infer = |path: &'static str, body: &'static str| post(path, body);
    let half = "/v2/models/half/infer";
    let unknown = infer("/v2/models/x/infer", "{").await;
    refused(&unknown, 404, "Request for unknown model: 'x' is not found");
    let version = infer("/v2/models/half/versions/99/infer", "{").await;
    refused(&version, 404, "Request for unknown model: 'half' version 99 is not found");
    let text = infer("/v2/models/half/versions/x/infer", "{").await;
    refused(&text, 400, "failed to get model version from specified version string 'x'");
    let loading = infer("/v2/models/loading/infer", "{}").await;
    assert_eq!(loading.status, 503);
    let json = infer(half, "{").await;
    let message = "failed to parse the request JSON buffer: JSON Parse error: Invalid value at byte 1: EOF while parsing an object";
    refused(&json, 400, message);
    let missing = infer(half, r#"{"inputs":[]}"#).await;
    refused(&missing, 400, "expected 1 input but got 0: missing `x`");
    let dtype = infer(half, r#"{"inputs":[{"name":"x","shape":[1],"datatype":"INT32","data":[1]}]}"#).await;
    refused(&dtype, 400, "input `x` has data type INT32, the model expects FP32");
    let shape = infer(half, r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}]}"#).await;
    refused(&shape, 400, "input `x` has shape [1, 1], the model expects [-1]");
    let output = post(half, super::v2::half(r#","outputs":[{"name":"z"}]"#)).await;
    refused(&output, 400, "output `z` is not one of the model's: `y`");
    let half_float = r#"{"inputs":[{"name":"a","shape":[],"datatype":"INT64","data":[1]},{"name":"s","shape":[],"datatype":"BYTES","data":[""]}]}"#;
    let half_float = infer("/v2/models/mixed/infer", half_float).await;
    let message =
        "sending FP16 data via JSON is not supported. Please use the binary data format for output 'h'";
    refused(&half_float, 400, message);
    let shared = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"r"}}]}"#;
    assert_eq!(infer(half, shared).await.status, 501);
}

#[tokio::test]
async fn a_request_may_set_itself_a_timeout() {
    let late = post("/v2/models/endless/infer", half(r#","parameters":{"timeout":20000}"#)).await;
    assert_eq!(late.status, 504);
    let wrong = post("/v2/models/endless/infer", half(r#","parameters":{"timeout":-1}"#)).await;
    refused(&wrong, 400, "parameter `timeout` is -1, wanted microseconds, 0 or more");
    let text = post("/v2/models/endless/infer", half(r#","parameters":{"timeout":"soon"}"#)).await;
    assert_eq!(text.status, 400);
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_asks() {
    let zeros = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[5000]}],"parameters":{"binary_data_output":true}}"#;
    for (accept, encoding) in [("gzip", Encoding::Gzip), ("deflate", Encoding::Deflate)] {
        let headers = [("accept-encoding", accept)];
        let app = app(Readiness::Ready, OPTIONS);
        let answer = ask(app, "POST", "/v2/models/zeros/infer", &headers, zeros).await;
        assert_eq!(answer.header("content-encoding"), accept);
        assert!(answer.body.len() < 500);
        let plain = encoding.inflate(&answer.body, 1 << 20, &Account::of(&http::Extensions::new())).unwrap();
        assert_eq!(plain.len(), answer.header(JSON_LENGTH).parse::<usize>().unwrap() + 5000);
    }
    let small = ask(
        app(Readiness::Ready, OPTIONS),
        "POST",
        "/v2/models/half/infer",
        &[("accept-encoding", "gzip")],
        half(""),
    );
    assert!(small.await.headers.get("content-encoding").is_none());
}

#[tokio::test]
async fn a_compressed_request_is_inflated_and_an_unknown_compression_named() {
    for encoding in [Encoding::Gzip, Encoding::Deflate] {
        let body = encoding.compress(&[half("").into()]).unwrap();
        let headers = [("content-encoding", encoding.name())];
        let answer =
            ask(app(Readiness::Ready, OPTIONS), "POST", "/v2/models/half/infer", &headers, body).await;
        assert_eq!(answer.status, 200);
    }
    let headers = [("content-encoding", "br")];
    let answer =
        ask(app(Readiness::Ready, OPTIONS), "POST", "/v2/models/half/infer", &headers, half("")).await;
    refused(&answer, 501, "Content-Encoding `br` is not supported, wanted gzip, deflate");
    assert_eq!(answer.header("accept-encoding"), "gzip, deflate");
}

#[tokio::test]
async fn the_server_tells_whether_it_lives_and_is_ready() {
    check(&get("/v2/health/live").await, 200, r#"{"live":true}"#);
    check(&get("/v2/health/ready").await, 200, r#"{"ready":true}"#);
    let of = |readiness| ask(app(readiness, OPTIONS), "GET", "/v2/health/ready", &[], "");
    let starting = of(Readiness::Starting).await;
    check(&starting, 400, r#"{"ready":false,"error":"the first models are still being loaded"}"#);
    let draining = of(Readiness::Draining).await;
    check(&draining, 503, r#"{"ready":false,"error":"the server is shutting down"}"#);
}

#[tokio::test]
async fn a_model_tells_whether_it_is_ready_even_one_that_nobody_knows() {
    check(&get("/v2/models/half/ready").await, 200, r#"{"name":"half","ready":true}"#);
    check(&get("/v2/models/half/versions/123/ready").await, 200, r#"{"name":"half","ready":true}"#);
    check(&get("/v2/models/half/versions/1/ready").await, 400, r#"{"name":"half","ready":false}"#);
    check(&get("/v2/models/loading/ready").await, 400, r#"{"name":"loading","ready":false}"#);
    check(&get("/v2/models/x/ready").await, 400, r#"{"name":"x","ready":false}"#);
}

#[tokio::test]
async fn server_and_models_describe_themselves() {
    let version = env!("CARGO_PKG_VERSION");
    let server = format!(
        r#"{{"name":"salver","version":"{version}","extensions":["binary_tensor_data","parameters"]}}"#
    );
    check(&get("/v2").await, 200, &server);
    let half = r#"{"name":"half","versions":["123"],"platform":"fake","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}],"outputs":[{"name":"y","datatype":"FP32","shape":[-1]}]}"#;
    check(&get("/v2/models/half").await, 200, half);
    check(&get("/v2/models/half/versions/123").await, 200, half);
    refused(&get("/v2/models/x").await, 404, "Request for unknown model: 'x' is not found");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_json() {
    refused(&get("/v2/models/half/stats").await, 404, "there is nothing at `/v2/models/half/stats`");
    refused(&get("/v2/").await, 404, "there is nothing at `/v2/`");
    let answer = get("/v2/models/half/infer").await;
    refused(&answer, 405, "Method Not Allowed: `GET` `/v2/models/half/infer`, wanted POST");
    assert_eq!(answer.header("allow"), "POST");
}
