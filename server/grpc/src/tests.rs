use super::*;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use salver_core_observe::NoObserver;
use salver_core_platform::{Model, RunRequest};
use salver_core_servable::{
    Handle, Lookup, LookupError, ServableId, ServableState, StreamName, Tenancy, Version, VersionChoice,
};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, Tensor};
use salver_proto::inference as oip;
use salver_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use salver_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use salver_proto::tensorflow::serving as tfs;
use salver_proto::tensorflow::serving::model_service_client::ModelServiceClient;
use salver_proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use salver_proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use salver_server_inference::{Catalog, GateOptions, Readiness, Served, ServedOptions, VersionStatus};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::Code;
use tonic::transport::Channel;

mod examples;
mod open_inference;
mod server;
mod tensorflow;

/// Returns its input `x` as `y`, and how many elements it has as `n`; first waits for its caller to give up, and says
/// so, where the parameter `wait` asks for it.
struct Echo {
    signatures: SignatureSet,
    events: UnboundedSender<&'static str>,
}

impl Echo {
    fn new(events: UnboundedSender<&'static str>) -> Self {
        let x = TensorSpec::new("x", DType::F32, ShapeSpec::of(&[-1, 2]));
        let y = TensorSpec::new("y", DType::F32, ShapeSpec::of(&[-1, 2]));
        let n = TensorSpec::new("n", DType::I64, ShapeSpec::of(&[]));
        let signatures = SignatureSet::new(vec![Signature::predict(vec![x], vec![y, n])]).unwrap();
        Self { signatures, events }
    }
}

impl Model for Echo {
    fn signatures(&self) -> &SignatureSet {
        &self.signatures
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        if request.context.parameters.bool("wait")? == Some(true) {
            let _ = self.events.send("waiting");
            loop {
                if let Err(status) = request.context.check(std::time::Instant::now()) {
                    let _ = self.events.send("given up");
                    return Err(status);
                }
                std::thread::yield_now();
            }
        }
        let x = request.input(0)?;
        let output = |output: &usize| {
            if *output == 0 {
                return Tensor::from_vec(x.shape().clone(), x.as_slice::<f32>()?.to_vec());
            }
            Tensor::from_vec(Shape::scalar(), vec![x.len() as i64])
        };
        Ok(request.outputs.iter().map(output).collect::<Result<_, _>>()?)
    }
}

/// Version 3 of the model `echo` and nothing else.
struct One(Tenancy<Served>);

impl Lookup<Served> for One {
    fn get(&self, name: &str, version: VersionChoice<'_>) -> Result<Handle<Served>, LookupError> {
        match version {
            _ if name != "echo" => Err(LookupError::Name(name.into())),
            VersionChoice::Label(label) => Err(LookupError::Label(label.into())),
            VersionChoice::Specific(v) if v.number() != 3 => Err(LookupError::Version(name.into(), v)),
            VersionChoice::Specific(_) | VersionChoice::Latest => Ok(self.0.handle(0)),
        }
    }
}

/// Says that the server drains, once it is set.
#[derive(Default)]
struct Known(Arc<AtomicBool>);

impl Catalog for Known {
    fn models(&self) -> Vec<StreamName> {
        vec!["echo".into()]
    }

    fn versions(&self, model: &str) -> Option<Vec<VersionStatus>> {
        let version = |number, state, error| VersionStatus::new(Version::new(number).unwrap(), state, error);
        (model == "echo").then(|| {
            vec![
                version(3, ServableState::Available, None),
                version(2, ServableState::End, Some(Status::data_loss("bad magic"))),
            ]
        })
    }

    fn trouble(&self, _model: &str) -> Option<Status> {
        None
    }

    fn readiness(&self) -> Readiness {
        if self.0.load(Ordering::Relaxed) { Readiness::Draining } else { Readiness::Ready }
    }
}

/// Takes a list of one model, and refuses any other; says in its refusal whether there was a deadline.
struct OneModel;

impl Reload for OneModel {
    fn reload(&self, config: tfs::ModelServerConfig, deadline: Option<Instant>) -> Result<(), Status> {
        match config.config {
            Some(tfs::model_server_config::Config::ModelConfigList(list)) if list.config.len() == 1 => Ok(()),
            _ => Err(Status::invalid_argument(format!("deadline: {}", deadline.is_some()))),
        }
    }
}

const LIMIT: usize = 1 << 20;

/// The services. The receiver hears how a run that waits is getting on.
fn app() -> (Router, UnboundedReceiver<&'static str>) {
    app_of(Known::default())
}

fn app_of(known: Known) -> (Router, UnboundedReceiver<&'static str>) {
    let (sender, events) = unbounded_channel();
    (app_with(Echo::new(sender), known), events)
}

/// The services, with this model in the place of the echo.
fn app_with(model: impl Model + 'static, known: Known) -> Router {
    app_answering(model, known, Options { max_request_bytes: LIMIT, ..Options::default() })
}

fn app_answering(model: impl Model + 'static, known: Known, how: Options) -> Router {
    let id = ServableId::new("echo", Version::new(3).unwrap());
    let gate = GateOptions { max_running: 4, max_waiting: 4 };
    let options = ServedOptions { inline_limit: Duration::ZERO, gate };
    let served = Served::new(&id, Box::new(model), "fake", options, Arc::new(NoObserver));
    let tenancy = Tenancy::new(id, Arc::new(served), 1, || {});
    let inference = Inference::new(Arc::new(One(tenancy)), Arc::new(known), Arc::new(NoObserver));
    routes(inference, Arc::new(OneModel), how)
}

/// Serves on a port of its own until the test ends.
async fn serve() -> (SocketAddr, UnboundedReceiver<&'static str>) {
    let (router, events) = app();
    (serve_app(router).await, events)
}

async fn serve_app(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn channel() -> Channel {
    connect(serve().await.0).await
}

async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}
