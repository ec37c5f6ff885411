//! Looking at a running server: metrics, health, reflection.

use salver_proto::inference::{ModelReadyRequest, ServerLiveRequest, ServerReadyRequest};
use salver_tests::{Bundle, Grpc, Repository, Server, TAGGED, fp32_infer, fp32_predict};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test]
async fn metrics_count_every_interface_and_every_outcome() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let server = Server::start(&bundle, &repository, &[]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());
    grpc.prediction.predict(fp32_predict("tagged", None, &[1, 2], &[0.0; 2])).await.unwrap();
    grpc.inference.model_infer(fp32_infer("tagged", "", &[1, 2], &[0.0; 2])).await.unwrap();
    grpc.inference.model_infer(fp32_infer("tagged", "", &[1, 3], &[0.0; 3])).await.unwrap_err();
    grpc.prediction.predict(fp32_predict("nobody", None, &[1, 2], &[0.0; 2])).await.unwrap_err();
    http.post("/v1/models/tagged:predict", r#"{"instances": [[1, 2]]}"#).await;
    let input = r#"{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}"#;
    http.post("/v2/models/tagged/infer", input).await;

    let answer = http.get("/metrics").await;
    assert_eq!(http.get("/monitoring/prometheus/metrics").await.status, 200);
    let metrics = answer.text();
    assert!(metrics.contains("# TYPE"), "{metrics}");
    for (api, code) in [
        ("tfs_grpc", "OK"),
        ("tfs_rest", "OK"),
        ("oip_grpc", "OK"),
        ("oip_rest", "OK"),
        ("oip_grpc", "INVALID_ARGUMENT"),
    ] {
        let labels =
            [r#"model="tagged""#, r#"version="1""#, &format!("api=\"{api}\""), &format!("code=\"{code}\"")];
        let line = find(&metrics, "salver_requests_total", &labels);
        assert_eq!(line.rsplit(' ').next(), Some("1.0"), "{line}");
    }
    find(&metrics, "salver_model_available", &[r#"model="tagged""#]);
    find(&metrics, "salver_unresolved_requests_total", &[r#"code="NOT_FOUND""#]);
    // A name that a client made up is nobody's label.
    assert!(!metrics.contains("nobody"), "{metrics}");
}

/// The line of this metric with these labels.
#[track_caller]
fn find<'a>(metrics: &'a str, name: &str, labels: &[&str]) -> &'a str {
    let is_it = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
    metrics.lines().find(is_it).unwrap_or_else(|| panic!("no {name} {labels:?}:\n{metrics}"))
}

#[tokio::test]
async fn health_is_told_in_every_dialect() {
    let Some(bundle) = Bundle::from_env() else { return };
    let repository = Repository::with_echo("tagged", TAGGED);
    let server = Server::start(&bundle, &repository, &[]);
    let (mut grpc, http) = (Grpc::connect(&server).await, server.http());
    assert_eq!(http.get("/v2/health/live").await.json()["live"], true);
    assert_eq!(http.get("/v2/health/ready").await.json()["ready"], true);
    assert_eq!(http.get("/v2/models/tagged/ready").await.status, 200);
    assert_eq!(http.get("/v2/models/nobody/ready").await.status, 400);
    assert!(grpc.inference.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(grpc.inference.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    for (name, ready) in [("tagged", true), ("nobody", false)] {
        let request = ModelReadyRequest { name: name.to_owned(), version: String::new() };
        assert_eq!(grpc.inference.model_ready(request).await.unwrap().into_inner().ready, ready, "{name}");
    }

    let mut health = HealthClient::new(grpc.channel.clone());
    for service in ["", "tagged"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let response = health.check(request).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "`{service}`");
    }
    let request = HealthCheckRequest { service: "nobody".to_owned() };
    assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn reflection_lists_and_describes_every_service() {
    let Some(bundle) = Bundle::from_env() else { return };
    let server = Server::start(&bundle, &Repository::new(), &[]);
    let mut client = ServerReflectionClient::new(Grpc::connect(&server).await.channel);
    let mut ask = async |request: MessageRequest| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let requests = futures_util::stream::iter([request]);
        let mut responses = client.server_reflection_info(requests).await.unwrap().into_inner();
        responses.message().await.unwrap().unwrap().message_response.unwrap()
    };
    let listed = match ask(MessageRequest::ListServices(String::new())).await {
        MessageResponse::ListServicesResponse(list) => list.service,
        other => panic!("{other:?}"),
    };
    for service in [
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
    ] {
        assert!(listed.iter().any(|found| found.name == service), "{service} is not in {listed:?}");
        let answer = ask(MessageRequest::FileContainingSymbol(service.to_owned())).await;
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{service}: {answer:?}");
    }
}

#[tokio::test]
async fn calls_that_are_not_there_are_unimplemented() {
    let Some(bundle) = Bundle::from_env() else { return };
    let server = Server::start(&bundle, &Repository::new(), &[]);
    let http = server.http();
    for call in [
        "/tensorflow.serving.PredictionService/PredictStreamed",
        "/tensorflow.serving.SessionService/SessionRun",
        "/inference.GRPCInferenceService/RepositoryIndex",
    ] {
        let answer = http.call(call, &[], vec![0; 5].into()).await.unwrap();
        assert_eq!(answer.grpc_code(), Some(Code::Unimplemented), "{call}: {answer:?}");
    }
}
