use super::*;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use salver_core_observe::NoObserver;
use salver_core_platform::{Model, RunRequest};
use salver_core_servable::{
    Handle, Lookup, LookupError, ServableId, ServableState, StreamName, Tenancy, Version, VersionChoice,
};
use salver_core_signature::{ShapeSpec, Signature, SignatureSet, TensorSpec};
use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, Tensor, f16};
use salver_server_inference::{Catalog, GateOptions, Readiness, Served, ServedOptions, VersionStatus};
use tower::ServiceExt;

mod hostile;
mod v1;
mod v2;

type Run = fn(&RunRequest<'_>) -> Result<Vec<Tensor>, Status>;

struct Fake(SignatureSet, Run);

impl Model for Fake {
    fn signatures(&self) -> &SignatureSet {
        &self.0
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        (self.1)(request)
    }
}

/// `y = x / 2 + 2`, TensorFlow Serving's example.
fn half_plus_two() -> Fake {
    let spec = |name| TensorSpec::new(name, DType::F32, ShapeSpec::of(&[-1]));
    let signature = Signature::predict(vec![spec("x")], vec![spec("y")]);
    Fake(SignatureSet::new(vec![signature]).unwrap(), |request| {
        let x = request.input(0)?;
        let y = x.as_slice::<f32>()?.iter().map(|x| x / 2.0 + 2.0).collect();
        Ok(vec![Tensor::from_vec(x.shape().clone(), y)?])
    })
}

/// Returns its inputs `a` (INT64) and `s` (strings), and beside them one half as 16-bit float.
fn mixed() -> Fake {
    let any = |name, dtype| TensorSpec::new(name, dtype, ShapeSpec::any());
    let inputs = vec![any("a", DType::I64), any("s", DType::String)];
    let outputs = vec![any("a", DType::I64), any("s", DType::String), any("h", DType::F16)];
    Fake(SignatureSet::new(vec![Signature::predict(inputs, outputs)]).unwrap(), |request| {
        let a = request.input(0)?;
        let s = request.input(1)?;
        let strings = s.strings().into_iter().flat_map(|strings| strings.iter()).collect();
        let outputs = [
            Tensor::from_vec(a.shape().clone(), a.as_slice::<i64>()?.to_vec())?,
            Tensor::from_strings(s.shape().clone(), strings)?,
            Tensor::from_vec(Shape::scalar(), vec![f16::from_f32(0.5)])?,
        ];
        Ok(request.outputs.iter().map(|output| outputs[*output].clone()).collect())
    })
}

/// Of each example its first two bytes as the only class and its length as the score, and its length as its value.
fn lengths() -> Fake {
    let spec = |name, dtype, dims| TensorSpec::new(name, dtype, ShapeSpec::of(dims));
    let signature = |name: &str, outputs| {
        let inputs = vec![spec("inputs", DType::String, &[-1])];
        Signature { name: name.to_owned(), ..Signature::predict(inputs, outputs) }
    };
    let classes = vec![spec("classes", DType::String, &[-1, 1]), spec("scores", DType::F32, &[-1, 1])];
    let values = vec![spec("outputs", DType::F32, &[-1])];
    let signatures = vec![signature("classify", classes), signature("regress", values)];
    Fake(SignatureSet::new(signatures).unwrap(), |request| {
        let examples: Vec<_> = request.input(0)?.strings().unwrap().iter().collect();
        let count = examples.len() as i64;
        let lengths: Vec<_> = examples.iter().map(|example| example.len() as f32).collect();
        if request.signature == 1 {
            return Ok(vec![Tensor::from_vec(Shape::new(&[count])?, lengths)?]);
        }
        let firsts = examples.iter().map(|example| &example[..2]).collect();
        let shape = Shape::new(&[count, 1])?;
        Ok(vec![Tensor::from_strings(shape.clone(), firsts)?, Tensor::from_vec(shape, lengths)?])
    })
}

/// Runs until its caller no longer waits.
fn endless() -> Fake {
    let Fake(signatures, _) = half_plus_two();
    Fake(signatures, |request| {
        loop {
            request.context.check(std::time::Instant::now())?;
            std::thread::yield_now();
        }
    })
}

/// Returns as many zeros as its input says.
fn zeros() -> Fake {
    let spec = |dtype, dims| TensorSpec::new("x", dtype, ShapeSpec::of(dims));
    let signature = Signature::predict(vec![spec(DType::I64, &[1])], vec![spec(DType::U8, &[-1])]);
    Fake(SignatureSet::new(vec![signature]).unwrap(), |request| {
        let count = request.input(0)?.as_slice::<i64>()?[0];
        let shape = Shape::new(&[count])?;
        Ok(vec![Tensor::from_vec(shape.clone(), vec![0u8; shape.element_count()])?])
    })
}

/// Version 123 of some models, `stable` its label.
struct Models(Vec<Tenancy<Served>>);

impl Models {
    fn new() -> Self {
        let models = [
            ("half", half_plus_two()),
            ("mixed", mixed()),
            ("endless", endless()),
            ("zeros", zeros()),
            ("lengths", lengths()),
        ];
        let tenancy = |(name, model): (&str, Fake)| {
            let id = ServableId::new(name, version(123));
            let gate = GateOptions { max_running: 4, max_waiting: 4 };
            let options = ServedOptions { inline_limit: Duration::ZERO, gate };
            let served = Served::new(&id, Box::new(model), "fake", options, Arc::new(NoObserver));
            Tenancy::new(id, Arc::new(served), 1, || {})
        };
        Self(models.into_iter().map(tenancy).collect())
    }
}

impl Lookup<Served> for Models {
    fn get(&self, name: &str, choice: VersionChoice<'_>) -> Result<Handle<Served>, LookupError> {
        let tenancy = self.0.iter().find(|tenancy| tenancy.id().name.as_str() == name);
        let tenancy = tenancy.ok_or_else(|| LookupError::Name(name.to_owned()))?;
        match choice {
            VersionChoice::Specific(wanted) if wanted != version(123) => {
                Err(LookupError::Version(name.to_owned(), wanted))
            }
            VersionChoice::Label(label) if label != "stable" => Err(LookupError::Label(label.to_owned())),
            _ => Ok(tenancy.handle(0)),
        }
    }
}

struct Known(Readiness);

impl Catalog for Known {
    fn models(&self) -> Vec<StreamName> {
        ["failed", "half", "loading"].map(StreamName::from).to_vec()
    }

    fn versions(&self, model: &str) -> Option<Vec<VersionStatus>> {
        let (state, error) = match model {
            "half" | "mixed" | "endless" | "zeros" => (ServableState::Available, None),
            "loading" => (ServableState::Loading, None),
            "failed" => (ServableState::End, Some(Status::data_loss("bad magic"))),
            _ => return None,
        };
        Some(vec![VersionStatus::new(version(123), state, error)])
    }

    fn trouble(&self, _model: &str) -> Option<Status> {
        None
    }

    fn readiness(&self) -> Readiness {
        self.0
    }
}

fn version(number: i64) -> Version {
    Version::new(number).unwrap()
}

const OPTIONS: Options = Options { max_request_bytes: 4 << 20, timeout: None, any_origin: false };

fn app(readiness: Readiness, options: Options) -> Router {
    let inference = Inference::new(Arc::new(Models::new()), Arc::new(Known(readiness)), Arc::new(NoObserver));
    routes(inference, options)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

async fn ask(
    app: Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(path: &str) -> Answer {
    ask(app(Readiness::Ready, OPTIONS), "GET", path, &[], "").await
}

async fn post(path: &str, body: impl Into<Body>) -> Answer {
    ask(app(Readiness::Ready, OPTIONS), "POST", path, &[], body).await
}

#[tokio::test]
async fn pages_of_any_origin_may_ask_where_that_is_allowed_and_nowhere_else() {
    let origin = ("origin", "https://page.example");
    let preflight = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let open = || app(Readiness::Ready, Options { any_origin: true, ..OPTIONS });
    for path in ["/v1/models/half:predict", "/v2/models/half/infer"] {
        let answer = ask(open(), "OPTIONS", path, &preflight, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), "POST,GET");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "content-type,inference-header-content-length"
        );
        let closed = ask(app(Readiness::Ready, OPTIONS), "OPTIONS", path, &preflight, "").await;
        assert!(closed.status.is_client_error(), "{path}: {}", closed.status);
        assert!(!closed.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let row = r#"{"instances": [2.0]}"#;
    for (status, path) in [(200, "/v1/models/half:predict"), (404, "/v1/models/none:predict")] {
        let answer = ask(open(), "POST", path, &[origin], row).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (status, "*"));
    }
}

/// Checks the status and the whole body of an answer, which is always JSON.
#[track_caller]
fn check(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status.as_u16(), answer.text()), (status, body));
    assert_eq!(answer.header("content-type"), "application/json");
}

/// Checks the status and the message of a failure.
#[track_caller]
fn refused(answer: &Answer, status: u16, message: &str) {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let expected = serde_json::json!({ "error": message });
    assert_eq!((answer.status.as_u16(), body), (status, expected));
    assert_eq!(answer.header("content-type"), "application/json");
}
