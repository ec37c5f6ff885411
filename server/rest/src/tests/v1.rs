//! TensorFlow Serving's interface. The first bodies are those of its own end-to-end test.

use super::*;

#[tokio::test]
async fn rows_are_answered_with_predictions_and_columns_with_outputs() {
    let row = post("/v1/models/half:predict", r#"{"instances": [2.0, 3.0, 4.0]}"#).await;
    check(&row, 200, r#"{"predictions":[3.0,3.5,4.0]}"#);
    let column = post("/v1/models/half:predict", r#"{"inputs": [2.0, 3.0, 4.0]}"#).await;
    check(&column, 200, r#"{"outputs":[3.0,3.5,4.0]}"#);
    let named =
        post("/v1/models/half:predict", r#"{"instances": [{"x": 2}], "signature_name": "serving_default"}"#);
    check(&named.await, 200, r#"{"predictions":[3.0]}"#);
}

#[tokio::test]
async fn a_version_and_a_label_can_be_named() {
    for path in [
        "/v1/models/half/versions/123:predict",
        "/v1/models/half/labels/stable:predict",
        "/V1/MODELS/half:Predict",
    ] {
        check(&post(path, r#"{"instances": [2]}"#).await, 200, r#"{"predictions":[3.0]}"#);
    }
}

#[tokio::test]
async fn several_outputs_are_objects() {
    let body = r#"{"inputs": {"a": [1, 2], "s": [{"b64": "/w=="}, "é"]}}"#;
    let answer = post("/v1/models/mixed:predict", body).await;
    check(&answer, 200, r#"{"outputs":{"a":[1,2],"s":[{"b64":"/w=="},"é"],"h":0.5}}"#);
    let rows = post("/v1/models/mixed:predict", r#"{"instances": [{"a": 1, "s": "x"}]}"#).await;
    refused(
        &rows,
        400,
        "output `h` is a scalar, which has no rows: ask with `inputs` in place of `instances`",
    );
}

#[tokio::test]
async fn failures_have_tensorflow_serving_s_statuses() {
    let body = || r#"{"instances": [1]}"#;
    let unknown = post("/v1/models/x:predict", body()).await;
    refused(&unknown, 404, "Servable not found for request: Latest(x)");
    let version = post("/v1/models/half/versions/9:predict", body()).await;
    refused(&version, 404, "Servable not found for request: Specific(half, 9)");
    let label = post("/v1/models/half/labels/x:predict", body()).await;
    refused(&label, 400, "Unrecognized servable version label: x");
    let loading = post("/v1/models/loading:predict", body()).await;
    refused(&loading, 503, "Servable not found for request: Latest(loading); it is being loaded");
    let signature = post("/v1/models/half:predict", r#"{"signature_name": "x", "instances": [1]}"#).await;
    refused(&signature, 400, "Serving signature key \"x\" not found.");
    let shape = post("/v1/models/half:predict", r#"{"instances": [[1]]}"#).await;
    refused(&shape, 400, "input `x` has shape [1, 1], the model expects [-1]");
    let missing = post("/v1/models/mixed:predict", r#"{"inputs": {"a": 1}}"#).await;
    refused(&missing, 400, "expected 2 inputs but got 1: missing `s`");
    // The body is looked at before the model.
    let both = post("/v1/models/x:predict", "{").await;
    refused(&both, 400, "JSON Parse error: Invalid value at byte 1: EOF while parsing an object");
}

#[tokio::test]
async fn examples_are_classified_and_regressed() {
    let body = || r#"{"signature_name": "classify", "examples": [{"x": 2.0}, {}], "context": {"y": "c"}}"#;
    // The sample returns the first bytes of an example as its class, and its length: the context is in front.
    let classes = post("/v1/models/lengths:classify", body()).await;
    check(&classes, 200, r#"{"results":[[["\n\u000c",31.0]],[["\n\u000c",14.0]]]}"#);
    let body = r#"{"signature_name": "regress", "examples": [{"x": 2.0}, {}]}"#;
    let values = post("/v1/models/lengths/versions/123:regress", body).await;
    check(&values, 200, r#"{"results":[17.0,0.0]}"#);
}

#[tokio::test]
async fn what_is_asked_about_examples_has_tensorflow_serving_s_statuses() {
    let body = || r#"{"examples": [{"x": 1}]}"#;
    refused(
        &post("/v1/models/half:classify", body()).await,
        400,
        "the input of signature `serving_default` is `x`, wanted `inputs`",
    );
    let other = r#"{"signature_name": "x", "examples": [{}]}"#;
    refused(&post("/v1/models/half:regress", other).await, 400, "No signature was found with the name: x");
    refused(&post("/v1/models/x:classify", body()).await, 404, "Servable not found for request: Latest(x)");
    // The body is looked at before the model.
    let none = post("/v1/models/x:regress", "{}").await;
    refused(&none, 400, "`examples` is not there, wanted a list of objects");
    let large = format!(
        r#"{{"examples": [{}{{}}], "context": {{"c": "{}"}}, "signature_name": "regress"}}"#,
        "{},".repeat(9_999),
        "c".repeat(1000)
    );
    let message = "a context of 1018 bytes with each of 10000 examples takes 10180000 bytes, at most 4194304 are allowed";
    refused(&post("/v1/models/lengths:regress", large).await, 429, message);
}

#[tokio::test]
async fn malformed_paths_are_repeated() {
    refused(&get("/v1/models/half:predict").await, 400, "Malformed request: GET /v1/models/half:predict");
    refused(&post("/v1/", "").await, 400, "Malformed request: POST /v1/");
    refused(&get("/v1").await, 400, "Malformed request: GET /v1");
    let version = get("/v1/models/half/versions/9223372036854775808").await;
    let message = "Failed to convert version: `9223372036854775808` is above 9223372036854775807, the largest there can be";
    refused(&version, 400, message);
}

const AVAILABLE: &str =
    r#"{"version":"123","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}"#;

#[tokio::test]
async fn a_model_s_status_is_the_json_form_of_the_message() {
    let expected = format!(r#"{{"model_version_status":[{AVAILABLE}]}}"#);
    for path in ["/v1/models/half", "/v1/models/half/versions/123", "/v1/models/half/labels/stable"] {
        check(&get(path).await, 200, &expected);
    }
    let failed = get("/v1/models/failed").await;
    check(
        &failed,
        200,
        r#"{"model_version_status":[{"version":"123","state":"END","status":{"error_code":"DATA_LOSS","error_message":"bad magic"}}]}"#,
    );
    refused(&get("/v1/models/x").await, 404, "Could not find any versions of model x");
    refused(&get("/v1/models/half/versions/9").await, 404, "Could not find version 9 of model half");
    refused(&get("/v1/models/half/labels/x").await, 400, "Unrecognized servable version label: x");
}

#[tokio::test]
async fn all_models_are_listed() {
    let answer = get("/v1/models").await;
    let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let models = list["models"].as_array().unwrap();
    let names: Vec<_> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["failed", "half", "loading"]);
    assert_eq!(
        models[1]["model_version_status"][0],
        serde_json::from_str::<serde_json::Value>(AVAILABLE).unwrap()
    );
}

#[tokio::test]
async fn a_model_s_metadata_is_the_json_form_of_the_message() {
    let info = |name: &str| {
        format!(
            r#""{name}":{{"dtype":"DT_FLOAT","tensor_shape":{{"dim":[{{"size":"-1","name":""}}],"unknown_rank":false}},"name":"{name}"}}"#
        )
    };
    let expected = format!(
        r#"{{"model_spec":{{"name":"half","signature_name":"","version":"123"}},"metadata":{{"signature_def":{{"signature_def":{{"serving_default":{{"inputs":{{{}}},"outputs":{{{}}},"method_name":"tensorflow/serving/predict","defaults":{{}}}}}}}}}}}}"#,
        info("x"),
        info("y")
    );
    check(&get("/v1/models/half/metadata").await, 200, &expected);
    check(&get("/v1/models/half/versions/123/metadata").await, 200, &expected);
    let answer = get("/v1/models/mixed/metadata").await;
    let mixed: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let s = &mixed["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["s"];
    assert_eq!(s["dtype"], "DT_STRING");
    assert_eq!(s["tensor_shape"], serde_json::json!({"dim": [], "unknown_rank": true}));
    refused(&get("/v1/models/x/metadata").await, 404, "Servable not found for request: Latest(x)");
}

#[tokio::test]
async fn a_run_that_outlasts_the_timeout_is_late() {
    let options = Options { timeout: Some(Duration::from_millis(20)), ..OPTIONS };
    let body = r#"{"instances": [1]}"#;
    let answer = ask(app(Readiness::Ready, options), "POST", "/v1/models/endless:predict", &[], body).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_gzip_body_is_inflated() {
    let body =
        salver_server_http::Encoding::Gzip.compress(&[Bytes::from_static(br#"{"instances": [2]}"#)]).unwrap();
    let headers = [("content-encoding", "gzip")];
    let answer = ask(app(Readiness::Ready, OPTIONS), "POST", "/v1/models/half:predict", &headers, body).await;
    check(&answer, 200, r#"{"predictions":[3.0]}"#);
}

#[tokio::test]
async fn a_large_body_is_answered_like_a_small_one() {
    let values = vec!["2"; 200_000].join(",");
    let answer = post("/v1/models/half:predict", format!("{{\"instances\": [{values}]}}")).await;
    let expected = vec!["3.0"; 200_000].join(",");
    check(&answer, 200, &format!("{{\"predictions\":[{expected}]}}"));
}
