//! Tensors: shapes, and contents that do not fit them.

use bytes::Bytes;
use salver_proto::tensorflow::TensorProto;
use salver_tests::{Bundle, fp32_infer, fp32_predict};
use serde_json::json;
use tonic::Code;

use crate::{Target, is_client_s_fault};

#[tokio::test]
async fn shapes_that_no_memory_holds_are_refused_on_every_interface() {
    let Some(bundle) = Bundle::from_env() else { return };
    let mut target = Target::start(&bundle).await;
    let http = target.server.http();
    let shapes: [&[i64]; 7] = [
        &[i64::MAX, 2],
        &[i64::MAX, i64::MAX],
        &[1 << 32, 1 << 32],
        &[i64::MIN, 2],
        &[-1, 2],
        &[1 << 40, 2],
        &[0, i64::MAX, i64::MAX],
    ];
    for shape in shapes {
        let status =
            target.grpc.prediction.predict(fp32_predict("tagged", None, shape, &[1.0])).await.unwrap_err();
        assert!(is_client_s_fault(status.code()), "{shape:?}: {status}");
        let status =
            target.grpc.inference.model_infer(fp32_infer("tagged", "", shape, &[1.0])).await.unwrap_err();
        assert!(is_client_s_fault(status.code()), "{shape:?}: {status}");
        let input = json!({ "name": "x", "datatype": "FP32", "shape": shape, "data": [1.0] });
        let answer = http.post("/v2/models/tagged/infer", json!({ "inputs": [input] }).to_string()).await;
        assert_eq!(answer.status, 400, "{shape:?}: {}", answer.text());
    }
    // One number stands for as many as the shape says: a message of 40 bytes must not become gigabytes.
    for rows in [1 << 28, 1 << 33, 1 << 61] {
        let mut request = fp32_predict("tagged", None, &[rows, 2], &[]);
        let tensor = request.inputs[0].value.get_or_insert_with(TensorProto::default);
        tensor.float_val = vec![1.0];
        let status = target.grpc.prediction.predict(request).await.unwrap_err();
        assert!(is_client_s_fault(status.code()), "{rows} rows: {status}");
    }
    // A shape of a hundred thousand dimensions.
    let status = target.grpc.inference.model_infer(fp32_infer("tagged", "", &vec![1; 100_000], &[1.0])).await;
    assert!(is_client_s_fault(status.unwrap_err().code()));
    let body = r#"{"inputs": [{"name": "x", "datatype": "FP32", "data": [1],
        "shape": [9223372036854775808, 18446744073709551616, 1e400]}]}"#;
    let answer = http.post("/v2/models/tagged/infer", body).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    target.survived().await;
}

#[tokio::test]
async fn tensors_that_are_shorter_or_longer_than_their_shapes_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let mut target = Target::start(&bundle).await;
    for count in [0, 1, 3, 5, 1000] {
        let values = vec![1.0; count];
        let status =
            target.grpc.inference.model_infer(fp32_infer("tagged", "", &[2, 2], &values)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{count} values: {status}");
        if count > 0 {
            let predict = fp32_predict("tagged", None, &[2, 2], &values);
            let status = target.grpc.prediction.predict(predict).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{count} values: {status}");
        }
        let input = json!({ "name": "x", "datatype": "FP32", "shape": [2, 2], "data": values });
        let answer = target
            .server
            .http()
            .post("/v2/models/tagged/infer", json!({ "inputs": [input] }).to_string())
            .await;
        assert_eq!(answer.status, 400, "{count} values: {}", answer.text());
    }
    // Strings whose lengths do not add up.
    for contents in [&[][..], &[1], &[5, 0, 0, 0, b'a'], &[255, 255, 255, 255], &[0, 0, 0, 0, 0]] {
        let mut request = fp32_infer("texts", "", &[1], &[]);
        request.inputs[0].datatype = "BYTES".to_owned();
        request.raw_input_contents = vec![Bytes::copy_from_slice(contents)];
        let status = target.grpc.inference.model_infer(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{contents:?}: {status}");
    }
    target.survived().await;
}
