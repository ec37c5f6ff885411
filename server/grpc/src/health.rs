//! `grpc.health.v1`: whether the server, a service or a model wants requests.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use salver_core_status::Quoted;
use salver_server_inference::{Inference, Readiness};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as Service;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// How often a watched status is looked at. Nothing tells when one changes; a balancer can wait this long.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// The services whose status is that of the server as a whole, as is that of the empty name. TensorFlow Serving knows
/// its own without their package.
const SERVICES: [&str; 5] = [
    "inference.GRPCInferenceService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
    "ModelService",
    "PredictionService",
];

/// Answers from the state of the server and its models.
pub(crate) struct Health {
    inference: Arc<Inference>,
}

impl Health {
    pub(crate) fn new(inference: Arc<Inference>) -> Self {
        Self { inference }
    }
}

#[tonic::async_trait]
impl Service for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        match status(&self.inference, &name) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found(format!("neither a service nor a model: {}", Quoted(&name))))
            }
            known => Ok(Response::new(response(known))),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let inference = Arc::clone(&self.inference);
        let ticks = tokio::time::interval(WATCH_PERIOD);
        // Ends once the server drains and that was told: a stream that goes on would hold the end up.
        let changes = stream::unfold((ticks, None), move |(mut ticks, told)| {
            let (inference, name) = (Arc::clone(&inference), name.clone());
            async move {
                loop {
                    ticks.tick().await;
                    let is_draining = inference.catalog().readiness() == Readiness::Draining;
                    let now = status(&inference, &name);
                    if told != Some(now) {
                        return Some((Ok(response(now)), (ticks, Some(now))));
                    }
                    if is_draining {
                        return None;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

/// The status of the server, a service or a model.
fn status(inference: &Inference, name: &str) -> ServingStatus {
    let catalog = inference.catalog();
    let is_serving = match name {
        "" => catalog.readiness() == Readiness::Ready,
        service if SERVICES.contains(&service) => catalog.readiness() == Readiness::Ready,
        model => match catalog.versions(model) {
            None => return ServingStatus::ServiceUnknown,
            Some(versions) => {
                catalog.readiness() != Readiness::Draining
                    && versions.iter().any(|version| catalog.answers(model, version))
            }
        },
    };
    if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}
