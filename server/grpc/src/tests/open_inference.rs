//! The Open Inference Protocol's service, through its stubs.

use super::*;
use bytes::Bytes;
use oip::infer_parameter::ParameterChoice;
use oip::model_infer_request::ParametersEntry;
use prost::Message;
use tower::ServiceExt;

fn input(values: usize) -> InferInputTensor {
    InferInputTensor {
        name: "x".into(),
        datatype: "FP32".into(),
        shape: vec![values as i64 / 2, 2],
        ..InferInputTensor::default()
    }
}

fn raw(values: &[f32]) -> oip::ModelInferRequest {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    oip::ModelInferRequest {
        model_name: "echo".into(),
        id: "42".into(),
        inputs: vec![input(values.len())],
        raw_input_contents: vec![bytes.into()],
        ..oip::ModelInferRequest::default()
    }
}

fn parameter(key: &str, choice: ParameterChoice) -> ParametersEntry {
    let value = Some(oip::InferParameter { parameter_choice: Some(choice) });
    ParametersEntry { key: key.into(), value }
}

async fn infer(request: oip::ModelInferRequest) -> Result<oip::ModelInferResponse, tonic::Status> {
    let reply = GrpcInferenceServiceClient::new(channel().await).model_infer(request).await;
    reply.map(tonic::Response::into_inner)
}

#[track_caller]
fn assert_status(found: tonic::Status, code: Code, message: &str) {
    assert_eq!((found.code(), found.message()), (code, message));
}

#[tokio::test]
async fn infer_answers_raw_whether_asked_raw_or_typed() {
    let contents = oip::InferTensorContents { fp32_contents: vec![1.0, 2.0], ..Default::default() };
    let typed = oip::ModelInferRequest {
        inputs: vec![InferInputTensor { contents: Some(contents), ..input(2) }],
        raw_input_contents: Vec::new(),
        ..raw(&[])
    };
    for request in [raw(&[1.0, 2.0]), typed] {
        let response = infer(request).await.unwrap();
        assert_eq!((response.model_name.as_str(), response.model_version.as_str()), ("echo", "3"));
        assert_eq!(response.id, "42");
        let names: Vec<_> = response.outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, ["y", "n"]);
        assert_eq!(
            (response.outputs[0].datatype.as_str(), &response.outputs[0].shape[..]),
            ("FP32", &[1, 2][..])
        );
        let wanted = [&1f32.to_le_bytes()[..], &2f32.to_le_bytes()].concat();
        assert_eq!(
            response.raw_output_contents,
            [Bytes::from(wanted), Bytes::from(2i64.to_le_bytes().to_vec())]
        );
    }
}

#[tokio::test]
async fn large_outputs_arrive_whole_beside_small_ones() {
    let values: Vec<f32> = (0..100_000).map(|value| value as f32).collect();
    let request = raw(&values);
    let wanted = request.raw_input_contents[0].clone();
    let response = infer(request).await.unwrap();
    assert_eq!(response.raw_output_contents[0], wanted);
    assert_eq!(response.raw_output_contents[1], 100_000i64.to_le_bytes()[..]);
}

#[tokio::test]
async fn outputs_come_in_the_order_asked_for() {
    let output = |name: &str| InferRequestedOutputTensor { name: name.into(), ..Default::default() };
    let ask = |names: &[&str]| oip::ModelInferRequest {
        outputs: names.iter().map(|name| output(name)).collect(),
        ..raw(&[1.0, 2.0])
    };
    let response = infer(ask(&["n", "y"])).await.unwrap();
    let names: Vec<_> = response.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["n", "y"]);
    for wrong in [&["z"][..], &["y", "y"]] {
        assert_eq!(infer(ask(wrong)).await.unwrap_err().code(), Code::InvalidArgument, "{wrong:?}");
    }
}

#[tokio::test]
async fn infer_refuses_in_triton_s_words() {
    let of = |name: &str, version: &str| oip::ModelInferRequest {
        model_name: name.into(),
        model_version: version.into(),
        ..raw(&[1.0, 2.0])
    };
    let refused = async |request| infer(request).await.unwrap_err();
    assert_status(
        refused(of("other", "")).await,
        Code::NotFound,
        "Request for unknown model: 'other' is not found",
    );
    assert_status(
        refused(of("echo", "99")).await,
        Code::NotFound,
        "Request for unknown model: 'echo' version 99 is not found",
    );
    assert_status(
        refused(of("echo", "one")).await,
        Code::InvalidArgument,
        "failed to get model version from specified version string 'one'",
    );
    let short = oip::ModelInferRequest { raw_input_contents: vec![vec![0; 4].into()], ..raw(&[1.0, 2.0]) };
    assert_status(
        refused(short).await,
        Code::InvalidArgument,
        "input byte size mismatch for input 'x' for model 'echo'. Expected 8, got 4",
    );
    let output = InferRequestedOutputTensor {
        name: "y".into(),
        parameters: vec![oip::model_infer_request::infer_requested_output_tensor::ParametersEntry {
            key: "classification".into(),
            value: None,
        }],
    };
    let classified = oip::ModelInferRequest { outputs: vec![output], ..raw(&[1.0, 2.0]) };
    assert_eq!(refused(classified).await.code(), Code::Unimplemented);
}

fn waiting() -> oip::ModelInferRequest {
    let parameters = vec![parameter("wait", ParameterChoice::BoolParam(true))];
    oip::ModelInferRequest { parameters, ..raw(&[1.0, 2.0]) }
}

#[tokio::test]
async fn a_deadline_travels_to_the_model_and_back() {
    // Not by a stub, which would watch the deadline itself.
    let (router, mut events) = app();
    let message = waiting().encode_to_vec();
    let framed = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let request = http::Request::post("/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "30m")
        .body(axum::body::Body::from(framed))
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], (Code::DeadlineExceeded as i32).to_string());
    assert_eq!(events.recv().await, Some("waiting"));
    assert_eq!(events.recv().await, Some("given up"));
}

#[tokio::test]
async fn a_client_that_gives_up_stops_the_model() {
    let (address, mut events) = serve().await;
    let mut client = GrpcInferenceServiceClient::new(connect(address).await);
    let call = tokio::spawn(async move { client.model_infer(waiting()).await });
    assert_eq!(events.recv().await, Some("waiting"));
    call.abort();
    assert_eq!(events.recv().await, Some("given up"));
}

#[tokio::test]
async fn health_and_metadata_are_told() {
    let mut client = GrpcInferenceServiceClient::new(channel().await);
    assert!(client.server_live(oip::ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(client.server_ready(oip::ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let server = client.server_metadata(oip::ServerMetadataRequest {}).await.unwrap().into_inner();
    assert_eq!(server.name, "salver");
    for (name, version, ready) in
        [("echo", "", true), ("echo", "3", true), ("echo", "2", false), ("x", "", false)]
    {
        let request = oip::ModelReadyRequest { name: name.into(), version: version.into() };
        assert_eq!(client.model_ready(request).await.unwrap().into_inner().ready, ready, "{name} {version}");
    }
    let request = oip::ModelMetadataRequest { name: "echo".into(), version: String::new() };
    let model = client.model_metadata(request).await.unwrap().into_inner();
    assert_eq!((model.platform.as_str(), &model.versions[..]), ("fake", &["3".to_owned()][..]));
    assert_eq!((model.inputs[0].datatype.as_str(), &model.inputs[0].shape[..]), ("FP32", &[-1, 2][..]));
    assert_eq!(model.outputs.len(), 2);
}
