//! Calls: frames, messages and names.

use bytes::{Bytes, BytesMut};
use http::Method;
use prost::Message as _;
use salver_tests::{Bundle, fp32_infer, fp32_predict};
use serde_json::json;
use tonic::Code;

use crate::{INFER, LIMIT, Noise, PREDICT, Target, framed, is_client_s_fault, is_refused};

const CALLS: [&str; 9] = [
    PREDICT,
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
    INFER,
    "/inference.GRPCInferenceService/ModelReady",
    "/inference.GRPCInferenceService/ModelMetadata",
    "/inference.GRPCInferenceService/ServerLive",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// A field of length-delimited content.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(content.len() + 12);
    prost::encoding::bytes::encode(number, &content.to_vec(), &mut buffer);
    buffer
}

#[tokio::test]
async fn grpc_frames_that_are_cut_off_or_lie_about_their_length_are_refused() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let good = framed(&fp32_predict("tagged", None, &[1, 2], &[1.0, 2.0]).encode_to_vec());
    for end in 0..good.len() {
        let answer = http.call(PREDICT, &[], good.slice(..end)).await.unwrap();
        assert!(is_refused(&answer), "cut at {end}: {answer:?}");
    }
    for length in [u32::MAX, 1 << 31, good.len() as u32, 3] {
        let mut lie = BytesMut::from(&good[..]);
        lie[1..5].copy_from_slice(&length.to_be_bytes());
        let answer = http.call(PREDICT, &[], lie.freeze()).await.unwrap();
        assert!(is_refused(&answer), "length {length}: {answer:?}");
    }
    // Compressed, it says, by nothing it names; two messages where one is due; no gRPC at all.
    let mut compressed = BytesMut::from(&good[..]);
    compressed[0] = 1;
    let mut unknown = BytesMut::from(&good[..]);
    unknown[0] = 7;
    let twice = [&good[..], &good[..]].concat().into();
    for body in [compressed.freeze(), unknown.freeze(), twice, Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")]
    {
        let answer = http.call(PREDICT, &[], body.clone()).await.unwrap();
        assert!(is_refused(&answer), "{body:?}: {answer:?}");
    }
    target.survived().await;
}

#[tokio::test]
async fn generated_bytes_never_bring_a_call_down() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let mut noise = Noise(0x5a17e5);
    for round in 0..300 {
        let call = CALLS[round % CALLS.len()];
        let count = noise.below(300);
        let message = noise.bytes(count);
        // Noise may well be a message with unknown fields alone; what counts is that there is an answer.
        assert!(target.code(call, &message).await.is_some(), "{call}: {message:?}");
    }
    // Messages that are right but for one byte.
    let good = fp32_infer("tagged", "", &[1, 2], &[1.0, 2.0]).encode_to_vec();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1 << noise.below(8);
        assert!(target.code(INFER, &bad).await.is_some(), "{position}: {bad:?}");
    }
    target.survived().await;
}

#[tokio::test]
async fn names_of_100_mb_are_refused_and_not_repeated() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    let http = target.server.http();
    let huge = "x".repeat(100 << 20);
    let predict = fp32_predict(&huge, None, &[1, 2], &[1.0, 2.0]).encode_to_vec();
    assert_eq!(target.code(PREDICT, &predict).await, Some(Code::ResourceExhausted));
    let answer = http.send(Method::POST, "/v2/models/tagged/infer", &[], huge.into()).await;
    // A server that has read enough may close the connection while the client still writes.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));

    // Below the limit, names are looked up, and cut in messages.
    let long = "y".repeat(LIMIT - 1000);
    let status = target
        .grpc
        .clone()
        .prediction
        .predict(fp32_predict(&long, None, &[1, 2], &[1.0, 2.0]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().len() < 2000, "{} bytes", status.message().len());
    let mut infer = fp32_infer("tagged", "", &[1, 2], &[1.0, 2.0]);
    infer.inputs[0].name = long.clone();
    let status = target.grpc.clone().inference.model_infer(infer).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().len() < 2000, "{} bytes", status.message().len());
    let input = json!({ "name": long, "datatype": "FP32", "shape": [1, 2], "data": [1, 2] });
    let answer = http.post("/v2/models/tagged/infer", json!({ "inputs": [input] }).to_string()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
    target.survived().await;
}

#[tokio::test]
async fn messages_that_grow_when_they_are_decoded_are_refused_before_that() {
    let Some(bundle) = Bundle::from_env() else { return };
    let target = Target::start(&bundle).await;
    // A million empty submessages: 2 bytes each on the wire, and hundreds in memory.
    let many = |number: u32| field(number, &[]).repeat((LIMIT - 100) / 2);
    for (call, message) in
        [(PREDICT, many(2)), (PREDICT, many(3)), (INFER, many(5)), (INFER, many(6)), (INFER, many(7))]
    {
        let code = target.code(call, &message).await;
        assert!(code.is_some_and(is_client_s_fault), "{call}: {code:?}");
    }
    // One tensor with a dimension list as long.
    let shape = field(2, &many(2));
    let entry = [field(1, b"x"), field(2, &field(2, &shape))].concat();
    let message = [field(1, &field(1, b"tagged")), field(2, &entry)].concat();
    let code = target.code(PREDICT, &message[..message.len().min(LIMIT)]).await;
    assert!(code.is_some_and(is_client_s_fault), "{code:?}");
    target.survived().await;
}
