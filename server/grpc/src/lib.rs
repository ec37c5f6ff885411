//! The gRPC services of both protocols.
//!
//! [`routes`] answers for `tensorflow.serving.PredictionService` and `ModelService`, `inference.GRPCInferenceService`,
//! `grpc.health.v1.Health` and server reflection. What a request means is decided in `salver-server-inference`, how
//! messages become tensors in `salver-server-wire`; here are the frames around messages, metadata, and which error a
//! client of which protocol expects.
//!
//! Unary calls do not go through tonic's services: reading a message here means that its size is refused with
//! RESOURCE_EXHAUSTED before it is held and its structure before it is decoded, and writing one that large outputs are
//! sent from where the model left them. tonic provides the rest: statuses, health, reflection.

mod examples;
mod health;
mod message;
mod metadata;
mod open_inference;
mod reply;
mod tensorflow;
mod unary;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::any;
use salver_core_status::{Quoted, Status};
use salver_proto::DESCRIPTORS;
use salver_proto::tensorflow::serving::ModelServerConfig;
use salver_server_inference::Inference;
use salver_server_wire::guard;
use tonic_health::pb::health_server::HealthServer;

use unary::unary;

/// How the services answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The longest encoded request, and the largest tensor that a request may stand for without spelling it out, in
    /// bytes.
    pub max_request_bytes: usize,
    /// Whether tensors are answered in `tensor_content`, rather than in the lists of their types, in TensorFlow Serving's
    /// API.
    pub tensor_content: bool,
}

/// 64 MiB, which is also Triton's limit over HTTP.
impl Default for Options {
    fn default() -> Self {
        Self { max_request_bytes: 64 << 20, tensor_content: false }
    }
}

/// Changes which models are served, when a client asks for it.
pub trait Reload: Send + Sync + 'static {
    /// Serves the models of `config` from now on, in place of those of the list before. Blocks until the new ones are
    /// available or have failed, or until the deadline.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the list cannot be: nothing was changed. Else the list counts, and the status tells which
    /// of its models did not become available.
    fn reload(&self, config: ModelServerConfig, deadline: Option<Instant>) -> Result<(), Status>;
}

/// What every call is given.
struct App {
    inference: Arc<Inference>,
    reload: Arc<dyn Reload>,
    options: Options,
}

const VALID: &str = "the descriptors are compiled in";

/// All services, to be served over HTTP/2.
///
/// There is no fallback, so that other routes can be merged: what nothing answers is 404 in HTTP, which gRPC clients
/// read as UNIMPLEMENTED.
#[expect(clippy::expect_used, reason = "the descriptors are compiled in, and every test builds the routes")]
pub fn routes(inference: Arc<Inference>, reload: Arc<dyn Reload>, options: Options) -> Router {
    let health = HealthServer::new(health::Health::new(Arc::clone(&inference)));
    let (v1, v1alpha) = (reflected().build_v1().expect(VALID), reflected().build_v1alpha().expect(VALID));
    let app = Arc::new(App { inference, reload, options });
    Router::new()
        .route("/tensorflow.serving.PredictionService/Predict", unary(&guard::PREDICT, tensorflow::predict))
        .route(
            "/tensorflow.serving.PredictionService/Classify",
            unary(&guard::CLASSIFY_OR_REGRESS, examples::classify),
        )
        .route(
            "/tensorflow.serving.PredictionService/Regress",
            unary(&guard::CLASSIFY_OR_REGRESS, examples::regress),
        )
        .route(
            "/tensorflow.serving.PredictionService/MultiInference",
            unary(&guard::MULTI_INFERENCE, examples::multi_inference),
        )
        .route(
            "/tensorflow.serving.PredictionService/GetModelMetadata",
            unary(&guard::GET_MODEL_METADATA, tensorflow::get_model_metadata),
        )
        .route(
            "/tensorflow.serving.ModelService/GetModelStatus",
            unary(&guard::GET_MODEL_STATUS, tensorflow::get_model_status),
        )
        .route(
            "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
            unary(&guard::RELOAD_CONFIG, tensorflow::handle_reload_config_request),
        )
        .route(
            "/inference.GRPCInferenceService/ServerLive",
            unary(&guard::EMPTY, open_inference::server_live),
        )
        .route(
            "/inference.GRPCInferenceService/ServerReady",
            unary(&guard::EMPTY, open_inference::server_ready),
        )
        .route(
            "/inference.GRPCInferenceService/ModelReady",
            unary(&guard::MODEL_READY, open_inference::model_ready),
        )
        .route(
            "/inference.GRPCInferenceService/ServerMetadata",
            unary(&guard::EMPTY, open_inference::server_metadata),
        )
        .route(
            "/inference.GRPCInferenceService/ModelMetadata",
            unary(&guard::MODEL_METADATA, open_inference::model_metadata),
        )
        .route(
            "/inference.GRPCInferenceService/ModelInfer",
            unary(&guard::MODEL_INFER, open_inference::model_infer),
        )
        .route("/tensorflow.serving.PredictionService/{call}", any(unknown))
        .route("/tensorflow.serving.ModelService/{call}", any(unknown))
        .route("/inference.GRPCInferenceService/{call}", any(unknown))
        .route_service("/grpc.health.v1.Health/{call}", health)
        .route_service("/grpc.reflection.v1.ServerReflection/{call}", v1)
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{call}", v1alpha)
        .with_state(app)
}

/// Answers a call that a service of ours does not have.
async fn unknown(uri: Uri) -> Response {
    reply::response(Err(Status::unimplemented(format!("there is no call {}", Quoted(uri.path())))))
}

/// What server reflection tells about.
fn reflected() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

#[cfg(test)]
mod tests;
