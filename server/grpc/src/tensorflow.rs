//! TensorFlow Serving's calls.

use std::cell::Cell;
use std::sync::Arc;

use prost::Message;
use prost_types::Any;
use salver_core_platform::{Options, RequestContext};
use salver_core_servable::VersionChoice;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Tensor;
use salver_proto::tensorflow::serving::get_model_metadata_response::MetadataEntry;
use salver_proto::tensorflow::serving::predict_request::InputsEntry;
use salver_proto::tensorflow::serving::predict_response::OutputsEntry;
use salver_proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelMetadataResponse, GetModelStatusRequest, GetModelStatusResponse,
    ModelSpec, PredictRequest, PredictResponse, ReloadConfigRequest, ReloadConfigResponse, StatusProto,
};
use salver_server_http::Account;
use salver_server_inference::{Api, Call, with_priority};
use salver_server_wire::{self as wire, TensorForm};

use crate::App;
use crate::metadata::Head;
use crate::reply::Reply;

/// The one field of a model's metadata that there is.
const SIGNATURE_DEF: &str = "signature_def";

/// Runs a model.
///
/// # Errors
/// As TensorFlow Serving has them; FAILED_PRECONDITION for a signature that the model lacks.
pub(crate) async fn predict(app: Arc<App>, head: Head, request: PredictRequest) -> Result<Reply, Status> {
    let PredictRequest { model_spec, inputs, output_filter } = request;
    let spec = named(model_spec)?;
    let version = wire::version_choice(&spec)?;
    let served =
        app.inference.resolve_or_load(Api::TfServingGrpc, &spec.name, version, head.deadline).await?;
    let (signature, _) = served.signatures().get(&spec.signature_name).ok_or_else(|| {
        let name = Quoted(&spec.signature_name).to_string().replace('`', "\"");
        Status::failed_precondition(format!("Serving signature key {name} not found."))
    })?;
    let tensors = decode_inputs(inputs, app.options.max_request_bytes, &head.account)?;
    let context = context(&head);
    let call =
        Call { api: Api::TfServingGrpc, served, signature, inputs: tensors, outputs: output_filter, context };
    let answer = app.inference.run(call).await?;

    let form = if app.options.tensor_content { TensorForm::Content } else { TensorForm::Lists };
    let mut outputs = Vec::new();
    for (spec, tensor) in answer.outputs() {
        let value = Some(wire::encode_tensor(tensor, form)?);
        outputs.push(OutputsEntry { key: spec.name.clone(), value });
    }
    let signature = answer.signature().map_or("", |signature| &signature.name);
    let model_spec = Some(wire::model_spec(answer.id(), signature));
    Reply::new(&PredictResponse { model_spec, outputs })
}

/// The inputs by name. Those whose elements are not all spelt out take no more than `max_bytes` together, which
/// `account` is charged with.
fn decode_inputs(
    inputs: Vec<InputsEntry>,
    max_bytes: usize,
    account: &Account,
) -> Result<Vec<(String, Tensor)>, Status> {
    let room = Cell::new(max_bytes);
    let decode = |InputsEntry { key, value }| {
        let before = room.get();
        let tensor = wire::decode_tensor(value.unwrap_or_default(), &room)
            .map_err(|status| status.context(format_args!("input {}", Quoted(&key))))?;
        account.take(before.saturating_sub(room.get()))?;
        Ok((key, tensor))
    };
    inputs.into_iter().map(decode).collect()
}

/// Tells what a model takes and returns.
///
/// # Errors
/// INVALID_ARGUMENT unless `signature_def` is asked for and nothing else.
pub(crate) async fn get_model_metadata(
    app: Arc<App>,
    head: Head,
    request: GetModelMetadataRequest,
) -> Result<Reply, Status> {
    if request.metadata_field.is_empty() {
        let message = "GetModelMetadataRequest must specify at least one metadata_field";
        return Err(Status::invalid_argument(message));
    }
    if let Some(other) = request.metadata_field.iter().find(|field| *field != SIGNATURE_DEF) {
        return Err(Status::invalid_argument(format!("Metadata field {} is not supported", Quoted(other))));
    }
    let spec = named(request.model_spec)?;
    let version = wire::version_choice(&spec)?;
    let served =
        app.inference.resolve_or_load(Api::TfServingGrpc, &spec.name, version, head.deadline).await?;
    let signatures = Any {
        type_url: "type.googleapis.com/tensorflow.serving.SignatureDefMap".to_owned(),
        value: wire::signature_def_map(served.signatures())?.encode_to_vec(),
    };
    Reply::new(&GetModelMetadataResponse {
        model_spec: Some(wire::model_spec(served.id(), "")),
        metadata: vec![MetadataEntry { key: SIGNATURE_DEF.to_owned(), value: Some(signatures) }],
    })
}

/// Tells where a model's versions stand, ended ones too, newest first. A label is ignored, as TensorFlow Serving does.
///
/// # Errors
/// NOT_FOUND where there is no such version.
pub(crate) async fn get_model_status(
    app: Arc<App>,
    _head: Head,
    request: GetModelStatusRequest,
) -> Result<Reply, Status> {
    let spec = request.model_spec.ok_or_else(missing_spec)?;
    let wanted = match wire::version_choice(&spec)? {
        VersionChoice::Specific(version) => Some(version),
        VersionChoice::Latest | VersionChoice::Label(_) => None,
    };
    let catalog = app.inference.catalog();
    let mut versions = catalog.versions(&spec.name).unwrap_or_default();
    versions.retain(|status| wanted.is_none_or(|wanted| status.version == wanted));
    if versions.is_empty() {
        let name = Quoted(&spec.name).to_string().replace('`', "");
        let mut message = match wanted {
            None => format!("Could not find any versions of model {name}"),
            Some(version) => format!("Could not find version {version} of model {name}"),
        };
        if let Some(trouble) = catalog.trouble(&spec.name) {
            message = format!("{message}; {trouble}");
        }
        return Err(Status::not_found(message));
    }
    let status = |s: &salver_server_inference::VersionStatus| {
        wire::model_version_status(s.version, s.state, s.error.as_ref())
    };
    Reply::new(&GetModelStatusResponse { model_version_status: versions.iter().map(status).collect() })
}

/// Changes which models are served.
///
/// The answer lists no metrics: the names asked for are TensorFlow Serving's own counters.
///
/// # Errors
/// As [`Reload::reload`](crate::Reload::reload) has them.
pub(crate) async fn handle_reload_config_request(
    app: Arc<App>,
    head: Head,
    request: ReloadConfigRequest,
) -> Result<Reply, Status> {
    let config = request.config.ok_or_else(|| Status::invalid_argument("config is missing"))?;
    let (reload, deadline) = (Arc::clone(&app.reload), head.deadline);
    salver_server_http::apart(move || reload.reload(config, deadline)).await??;
    let status = StatusProto { error_code: 0, error_message: String::new() };
    Reply::new(&ReloadConfigResponse { status: Some(status), metric: Vec::new() })
}

/// The context of a call's runs.
pub(crate) fn context(head: &Head) -> RequestContext {
    RequestContext {
        deadline: head.deadline,
        trace: head.trace,
        parameters: with_priority(head.priority, Options::new()),
        ..RequestContext::default()
    }
}

/// The spec, where it names a model.
pub(crate) fn named(spec: Option<ModelSpec>) -> Result<ModelSpec, Status> {
    let spec = spec.ok_or_else(missing_spec)?;
    if spec.name.is_empty() {
        return Err(Status::invalid_argument("ModelSpec has no name specified."));
    }
    Ok(spec)
}

pub(crate) fn missing_spec() -> Status {
    Status::invalid_argument("Missing ModelSpec")
}
