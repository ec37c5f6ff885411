//! The Open Inference Protocol's calls.

use std::sync::Arc;

use salver_core_platform::{CancelFlag, RequestContext};
use salver_core_status::Status;
use salver_proto::inference::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse,
    ServerReadyRequest, ServerReadyResponse,
};
use salver_server_inference::{Api, Call, EXTENSIONS, Readiness, ResolveError, with_priority, with_timeout};
use salver_server_wire as wire;

use crate::App;
use crate::metadata::Head;
use crate::reply::Reply;

/// Whether the server runs: it does, or it would not answer.
pub(crate) async fn server_live(_: Arc<App>, _: Head, _: ServerLiveRequest) -> Result<Reply, Status> {
    Reply::new(&ServerLiveResponse { live: true })
}

/// Whether the server as a whole wants requests.
pub(crate) async fn server_ready(app: Arc<App>, _: Head, _: ServerReadyRequest) -> Result<Reply, Status> {
    let ready = app.inference.catalog().readiness() == Readiness::Ready;
    Reply::new(&ServerReadyResponse { ready })
}

/// Whether a version of a model is available; one that nobody has heard of is not, and that is no error.
///
/// # Errors
/// INVALID_ARGUMENT for a version that is not a number.
pub(crate) async fn model_ready(app: Arc<App>, _: Head, request: ModelReadyRequest) -> Result<Reply, Status> {
    let wanted = wire::parse_version(&request.version)?;
    let ready = app.inference.is_ready(&request.name, wanted);
    Reply::new(&ModelReadyResponse { ready })
}

/// What the server is.
pub(crate) async fn server_metadata(_: Arc<App>, _: Head, _: ServerMetadataRequest) -> Result<Reply, Status> {
    Reply::new(&ServerMetadataResponse {
        name: "salver".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    })
}

/// What a model takes and returns by its default signature, and which of its versions are available.
///
/// # Errors
/// In Triton's words where no version answers.
pub(crate) async fn model_metadata(
    app: Arc<App>,
    head: Head,
    request: ModelMetadataRequest,
) -> Result<Reply, Status> {
    let version = wire::parse_version(&request.version)?;
    let served = app
        .inference
        .resolve_or_load(Api::OpenInferenceGrpc, &request.name, version, head.deadline)
        .await
        .map_err(|error: ResolveError| error.to_open_inference_status())?;
    let versions = app.inference.available_versions(&request.name);
    let (_, signature) = served.default_signature()?;
    Reply::new(&ModelMetadataResponse {
        versions: versions.iter().map(ToString::to_string).collect(),
        platform: served.platform().to_owned(),
        inputs: signature.inputs.iter().map(wire::tensor_metadata).collect(),
        outputs: signature.outputs.iter().map(wire::tensor_metadata).collect(),
        name: request.name,
    })
}

/// Runs a model by its default signature.
///
/// # Errors
/// In Triton's words where no version answers or an input's data do not fit; UNIMPLEMENTED for classification and
/// shared memory.
pub(crate) async fn model_infer(
    app: Arc<App>,
    head: Head,
    request: ModelInferRequest,
) -> Result<Reply, Status> {
    let ModelInferRequest { model_name, model_version, id, parameters, inputs, outputs, raw_input_contents } =
        request;
    let version = wire::parse_version(&model_version)?;
    let served = app
        .inference
        .resolve_or_load(Api::OpenInferenceGrpc, &model_name, version, head.deadline)
        .await
        .map_err(|error: ResolveError| error.to_open_inference_status())?;
    let (signature, _) = served.default_signature()?;
    let inputs = wire::decode_inputs(&model_name, inputs, raw_input_contents)?;
    for output in &outputs {
        let parameters = output.parameters.iter().map(|entry| entry.key.as_str());
        wire::refuse_unsupported("output", &output.name, parameters)?;
    }
    let parameters = wire::decode_parameters(parameters.into_iter().map(|entry| (entry.key, entry.value)))?;
    let parameters = with_priority(head.priority, parameters);
    let context = RequestContext {
        deadline: with_timeout(&served, signature, head.deadline, &parameters, head.arrived)?,
        cancel: CancelFlag::new(),
        trace: head.trace,
        request_id: id.clone(),
        parameters,
    };
    let outputs = outputs.into_iter().map(|output| output.name).collect();
    let call = Call { api: Api::OpenInferenceGrpc, served, signature, inputs, outputs, context };
    let answer = app.inference.run(call).await?;

    let (mut outputs, mut raw) = (Vec::new(), Vec::new());
    for (spec, tensor) in answer.outputs() {
        let (output, contents) = wire::encode_output(&spec.name, tensor)?;
        outputs.push(output);
        raw.push(contents);
    }
    let response = ModelInferResponse {
        model_version: answer.id().version.to_string(),
        model_name,
        id,
        outputs,
        ..ModelInferResponse::default()
    };
    Reply::with_raw(&response, raw, answer)
}
