//! TensorFlow Serving's services, through its stubs.

use super::*;
use tfs::model_spec::VersionChoice as Choice;
use tfs::predict_request::InputsEntry;

fn spec(version_choice: Option<Choice>) -> Option<tfs::ModelSpec> {
    Some(tfs::ModelSpec { name: "echo".into(), version_choice, ..tfs::ModelSpec::default() })
}

fn x(values: Vec<f32>) -> TensorProto {
    let dim = [values.len() as i64 / 2, 2].map(|size| Dim { size, ..Dim::default() }).to_vec();
    let tensor_shape = Some(TensorShapeProto { dim, unknown_rank: false });
    TensorProto { dtype: DataType::DtFloat as i32, tensor_shape, float_val: values, ..TensorProto::default() }
}

fn request(value: TensorProto) -> tfs::PredictRequest {
    let inputs = vec![InputsEntry { key: "x".into(), value: Some(value) }];
    tfs::PredictRequest { model_spec: spec(None), inputs, output_filter: Vec::new() }
}

async fn predict(request: tfs::PredictRequest) -> Result<tfs::PredictResponse, tonic::Status> {
    let reply = PredictionServiceClient::new(channel().await).predict(request).await;
    reply.map(tonic::Response::into_inner)
}

#[track_caller]
fn assert_status(found: tonic::Status, code: Code, message: &str) {
    assert_eq!((found.code(), found.message()), (code, message));
}

#[tokio::test]
async fn predict_answers_with_tensors_and_who_answered() {
    let response = predict(request(x(vec![1.0, 2.0]))).await.unwrap();
    let spec = response.model_spec.unwrap();
    assert_eq!((spec.name.as_str(), spec.signature_name.as_str()), ("echo", "serving_default"));
    assert_eq!(spec.version_choice, Some(Choice::Version(3)));
    let [y, n] = &response.outputs[..] else { panic!("{:?}", response.outputs) };
    assert_eq!((y.key.as_str(), &y.value.as_ref().unwrap().float_val[..]), ("y", &[1.0, 2.0][..]));
    assert_eq!((n.key.as_str(), &n.value.as_ref().unwrap().int64_val[..]), ("n", &[2][..]));
}

#[tokio::test]
async fn tensors_are_answered_as_bytes_where_that_is_asked_for() {
    let (sender, _events) = unbounded_channel();
    let how = Options { tensor_content: true, ..Options::default() };
    let address = serve_app(app_answering(Echo::new(sender), Known::default(), how)).await;
    let mut client = PredictionServiceClient::new(connect(address).await);
    let response = client.predict(request(x(vec![1.0, 2.0]))).await.unwrap().into_inner();
    let y = response.outputs[0].value.as_ref().unwrap();
    assert_eq!(y.tensor_content, [1_f32, 2.].map(f32::to_le_bytes).concat());
    assert!(y.float_val.is_empty());
}

#[tokio::test]
async fn predict_computes_only_the_outputs_filtered_for() {
    let filtered = tfs::PredictRequest { output_filter: vec!["n".into()], ..request(x(vec![0.0; 4])) };
    let response = predict(filtered).await.unwrap();
    assert_eq!(response.outputs.len(), 1);
    assert_eq!(response.outputs[0].key, "n");
    let unknown = tfs::PredictRequest { output_filter: vec!["z".into()], ..request(x(vec![0.0; 4])) };
    assert_eq!(predict(unknown).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn predict_refuses_as_tensorflow_serving_does() {
    let good = request(x(vec![1.0, 2.0]));
    let of = |model_spec| tfs::PredictRequest { model_spec, ..good.clone() };
    let refused = async |request| predict(request).await.unwrap_err();
    let invalid = Code::InvalidArgument;
    assert_status(refused(of(None)).await, invalid, "Missing ModelSpec");
    let nameless = Some(tfs::ModelSpec::default());
    assert_status(refused(of(nameless)).await, invalid, "ModelSpec has no name specified.");
    let other = Some(tfs::ModelSpec { name: "other".into(), ..tfs::ModelSpec::default() });
    assert_status(refused(of(other)).await, Code::NotFound, "Servable not found for request: Latest(other)");
    assert_status(
        refused(of(spec(Some(Choice::Version(9))))).await,
        Code::NotFound,
        "Servable not found for request: Specific(echo, 9)",
    );
    let label = spec(Some(Choice::VersionLabel("stable".into())));
    assert_status(refused(of(label)).await, invalid, "Unrecognized servable version label: stable");
    let signature = tfs::ModelSpec { signature_name: "train".into(), ..spec(None).unwrap() };
    assert_status(
        refused(of(Some(signature))).await,
        Code::FailedPrecondition,
        "Serving signature key \"train\" not found.",
    );
    let missing = tfs::PredictRequest { inputs: Vec::new(), ..good.clone() };
    assert_status(refused(missing).await, invalid, "expected 1 input but got 0: missing `x`");
    let dtype = TensorProto { dtype: DataType::DtInt32 as i32, int_val: vec![1], ..x(vec![1.0, 2.0]) };
    assert_status(
        refused(request(dtype)).await,
        invalid,
        "input `x` has data type INT32, the model expects FP32",
    );
    let short = TensorProto { tensor_content: vec![0; 7].into(), ..x(vec![1.0, 2.0]) };
    assert_status(
        refused(request(short)).await,
        invalid,
        "input `x`: FP32 tensor of shape [1, 2] needs 8 bytes, got 7",
    );
}

#[tokio::test]
async fn metadata_are_the_signatures() {
    use prost::Message;
    let mut client = PredictionServiceClient::new(channel().await);
    let ask = |fields: &[&str]| tfs::GetModelMetadataRequest {
        model_spec: spec(None),
        metadata_field: fields.iter().map(|field| field.to_string()).collect(),
    };
    let response = client.get_model_metadata(ask(&["signature_def"])).await.unwrap().into_inner();
    assert_eq!(response.model_spec.unwrap().version_choice, Some(Choice::Version(3)));
    let [entry] = &response.metadata[..] else { panic!("{:?}", response.metadata) };
    assert_eq!(entry.key, "signature_def");
    let any = entry.value.as_ref().unwrap();
    assert_eq!(any.type_url, "type.googleapis.com/tensorflow.serving.SignatureDefMap");
    let map = tfs::SignatureDefMap::decode(&any.value[..]).unwrap();
    assert_eq!(map.signature_def[0].key, "serving_default");
    for wrong in [&[][..], &["graph"], &["signature_def", "graph"]] {
        let refused = client.get_model_metadata(ask(wrong)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong:?}");
    }
}

#[tokio::test]
async fn status_is_of_one_version_or_of_all_newest_first() {
    use tfs::model_version_status::State;
    let mut client = ModelServiceClient::new(channel().await);
    let mut ask = async |model_spec| {
        let reply = client.get_model_status(tfs::GetModelStatusRequest { model_spec }).await;
        reply.map(|reply| reply.into_inner().model_version_status)
    };
    let all = ask(spec(None)).await.unwrap();
    let states: Vec<_> = all.iter().map(|status| (status.version, status.state())).collect();
    assert_eq!(states, [(3, State::Available), (2, State::End)]);
    assert_eq!(all[1].status.as_ref().unwrap().error_message, "bad magic");
    assert_eq!(ask(spec(Some(Choice::Version(2)))).await.unwrap().len(), 1);
    assert_eq!(ask(spec(Some(Choice::VersionLabel("x".into())))).await.unwrap().len(), 2);
    assert_status(ask(None).await.unwrap_err(), Code::InvalidArgument, "Missing ModelSpec");
    assert_status(
        ask(spec(Some(Choice::Version(9)))).await.unwrap_err(),
        Code::NotFound,
        "Could not find version 9 of model echo",
    );
    assert_status(
        ask(Some(tfs::ModelSpec::default())).await.unwrap_err(),
        Code::NotFound,
        "Could not find any versions of model ",
    );
}

#[tokio::test]
async fn a_list_of_models_is_passed_on_and_what_came_of_it_is_told() {
    let mut client = ModelServiceClient::new(channel().await);
    let config = tfs::ModelConfig { name: "m".into(), base_path: "/m".into(), ..Default::default() };
    let list = tfs::ModelConfigList { config: vec![config] };
    let config = tfs::model_server_config::Config::ModelConfigList(list);
    let request = tfs::ReloadConfigRequest {
        config: Some(tfs::ModelServerConfig { config: Some(config) }),
        metric_names: Vec::new(),
    };
    let reply = client.handle_reload_config_request(request).await.unwrap().into_inner();
    assert_eq!(reply.status.unwrap().error_code, 0);

    let missing = client.handle_reload_config_request(tfs::ReloadConfigRequest::default()).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::InvalidArgument, "config is missing"));

    let empty =
        tfs::ReloadConfigRequest { config: Some(tfs::ModelServerConfig::default()), ..Default::default() };
    let mut request = tonic::Request::new(empty);
    request.set_timeout(Duration::from_secs(60));
    let refused = client.handle_reload_config_request(request).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "deadline: true"));
}
