//! What is not one protocol's: hostile requests, health, reflection.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Sends a request's bytes as they are; the status is in the headers or in the trailers.
async fn send(channel: &Channel, path: &str, body: Vec<u8>) -> (i32, String) {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(tonic::body::Body::new(Full::from(body).map_err(|never| match never {})))
        .unwrap();
    let (parts, body) = channel.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await;
    let trailers = body.as_ref().ok().and_then(|body| body.trailers()).cloned().unwrap_or_default();
    let field = |name| {
        let value = parts.headers.get(name).or(trailers.get(name));
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    (field("grpc-status").parse().unwrap(), field("grpc-message"))
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

#[tokio::test]
async fn hostile_messages_are_each_an_error_and_the_server_lives() {
    let channel = channel().await;
    for path in [PREDICT, INFER] {
        let refused = async |body, wanted: Code| {
            let (code, message) = send(&channel, path, body).await;
            assert_eq!(code, wanted as i32, "{path}: {message}");
        };
        refused(Vec::new(), Code::InvalidArgument).await;
        refused(vec![0, 0, 0, 0, 9, 1], Code::InvalidArgument).await;
        refused(framed(b"\x0a\xff\xff\xff\xff\x07"), Code::InvalidArgument).await;
        refused(framed(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Code::InvalidArgument).await;
        refused(vec![0, 0xff, 0xff, 0xff, 0xff], Code::ResourceExhausted).await;
        refused(framed(&vec![0; LIMIT + 1]), Code::ResourceExhausted).await;
        refused(vec![1, 0, 0, 0, 0], Code::InvalidArgument).await;
        // Inputs of two bytes each.
        let entry = if path == PREDICT { b"\x12\0" } else { b"\x2a\0" };
        refused(framed(&entry.repeat(100_000)), Code::ResourceExhausted).await;
    }
    let long = oip::ModelInferRequest { model_name: "x".repeat(LIMIT / 2), ..Default::default() };
    let (code, message) = send(&channel, INFER, framed(&long.encode_to_vec())).await;
    assert_eq!(code, Code::NotFound as i32);
    assert!(message.len() < 2000, "{} bytes", message.len());
    let huge = InferInputTensor {
        name: "x".into(),
        datatype: "FP32".into(),
        shape: vec![1 << 62, 2],
        ..InferInputTensor::default()
    };
    let huge = oip::ModelInferRequest { model_name: "echo".into(), inputs: vec![huge], ..Default::default() };
    assert_eq!(send(&channel, INFER, framed(&huge.encode_to_vec())).await.0, Code::InvalidArgument as i32);

    let live = send(&channel, "/inference.GRPCInferenceService/ServerLive", framed(b"")).await;
    assert_eq!(live, (0, String::new()));
}

#[tokio::test]
async fn the_limit_names_what_was_found_and_what_is_allowed() {
    let channel = channel().await;
    let (_, message) = send(&channel, INFER, framed(&vec![0; LIMIT + 1])).await;
    assert_eq!(message, "the%20message%20has%201048577%20bytes,%20at%20most%201048576%20are%20allowed");
}

#[tokio::test]
async fn a_wrong_timeout_is_refused_and_an_unknown_call_is_unimplemented() {
    let channel = channel().await;
    let (code, _) = send(&channel, "/tensorflow.serving.PredictionService/Guess", framed(b"")).await;
    assert_eq!(code, Code::Unimplemented as i32);
    let mut request = tonic::Request::new(oip::ServerLiveRequest {});
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let refused = GrpcInferenceServiceClient::new(channel).server_live(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn health_is_of_the_server_a_service_or_a_model() {
    let mut client = HealthClient::new(channel().await);
    let services = [
        "",
        "tensorflow.serving.PredictionService",
        "PredictionService",
        "ModelService",
        "inference.GRPCInferenceService",
        "echo",
    ];
    for service in services {
        let request = HealthCheckRequest { service: service.into() };
        let status = client.check(request.clone()).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
        let mut watch = client.watch(request).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving, "{service}");
    }
    let unknown = HealthCheckRequest { service: "other".into() };
    assert_eq!(client.check(unknown.clone()).await.unwrap_err().code(), Code::NotFound);
    let mut watch = client.watch(unknown).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
}

#[tokio::test]
async fn a_watch_is_told_that_the_server_drains_and_then_ends() {
    let drains = Arc::new(AtomicBool::new(false));
    let (router, _events) = app_of(Known(Arc::clone(&drains)));
    let mut client = HealthClient::new(connect(serve_app(router).await).await);
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    drains.store(true, Ordering::Relaxed);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
}

#[tokio::test]
async fn reflection_knows_every_service_and_what_its_files_import() {
    use futures_util::stream;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("tensorflow.serving.PredictionService".into())),
        ask(MessageRequest::FileByFilename("google/protobuf/wrappers.proto".into())),
    ];
    let mut client = ServerReflectionClient::new(channel().await);
    let mut replies = client.server_reflection_info(stream::iter(requests)).await.unwrap().into_inner();
    let services = replies.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = services else { panic!("{services:?}") };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["tensorflow.serving.ModelService", "inference.GRPCInferenceService", "grpc.health.v1.Health"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    for _ in 0..2 {
        let file = replies.message().await.unwrap().unwrap().message_response.unwrap();
        assert!(matches!(file, MessageResponse::FileDescriptorResponse(_)), "{file:?}");
    }
}
