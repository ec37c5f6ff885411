//! TensorFlow Serving's calls about examples.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::try_join_all;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::Tensor;
use salver_proto::tensorflow::serving::inference_result::Result as TaskResult;
use salver_proto::tensorflow::serving::{
    ClassificationRequest, ClassificationResponse, InferenceResult, InferenceTask, Input, ModelSpec,
    MultiInferenceRequest, MultiInferenceResponse, RegressionRequest, RegressionResponse,
};
use salver_server_inference::{Answer, Api, Method, Question};
use salver_server_wire as wire;

use crate::App;
use crate::metadata::Head;
use crate::reply::Reply;
use crate::tensorflow::{context, missing_spec, named};

const API: Api = Api::TfServingGrpc;

/// Tells which classes examples belong to.
///
/// # Errors
/// As TensorFlow Serving has them; INVALID_ARGUMENT for a signature that the model lacks, or that is not for this.
pub(crate) async fn classify(
    app: Arc<App>,
    head: Head,
    request: ClassificationRequest,
) -> Result<Reply, Status> {
    let ClassificationRequest { model_spec, input } = request;
    let (answer, examples) = ask(&app, head, Method::Classify, named(model_spec)?, input).await?;
    let result = Some(wire::classification_result(answer.classification(examples)?.rows())?);
    Reply::new(&ClassificationResponse { model_spec: Some(spec_of(&answer)), result })
}

/// Tells a value of each example.
///
/// # Errors
/// As [`classify`].
pub(crate) async fn regress(app: Arc<App>, head: Head, request: RegressionRequest) -> Result<Reply, Status> {
    let RegressionRequest { model_spec, input } = request;
    let (answer, examples) = ask(&app, head, Method::Regress, named(model_spec)?, input).await?;
    let result = Some(wire::regression_result(answer.regression(examples)?));
    Reply::new(&RegressionResponse { model_spec: Some(spec_of(&answer)), result })
}

/// Classifies and regresses the same examples by several signatures of one model, each in a run of its own. The version of
/// the first task answers all.
///
/// # Errors
/// As [`classify`], and INVALID_ARGUMENT where tasks name different models or the same signature; UNIMPLEMENTED for any
/// other method. One task that fails fails the call.
pub(crate) async fn multi_inference(
    app: Arc<App>,
    head: Head,
    request: MultiInferenceRequest,
) -> Result<Reply, Status> {
    let MultiInferenceRequest { tasks, input } = request;
    let specs: Vec<_> = tasks.iter().map(task_spec).collect::<Result<_, _>>()?;
    let Some(first) = specs.first() else {
        return Err(Status::invalid_argument("the request has no tasks, wanted at least one"));
    };
    if let Some(other) = specs.iter().find(|spec| spec.name != first.name) {
        let (other, first) = (Quoted(&other.name), Quoted(&first.name));
        return Err(Status::invalid_argument(format!(
            "All ModelSpecs in a MultiInferenceRequest must access the same model name. Found {first} and {other}"
        )));
    }
    let version = wire::version_choice(first)?;
    let served = app.inference.resolve_or_load(API, &first.name, version, head.deadline).await?;
    let mut signatures = HashSet::new();
    let mut questions = Vec::with_capacity(tasks.len().min(served.signatures().as_slice().len()));
    for (task, spec) in tasks.iter().zip(&specs) {
        let method = Method::from_name(&task.method_name)?;
        let question = Question::new(&served, method, &spec.signature_name)?;
        if !signatures.insert(question.signature()) {
            let name = Quoted(&spec.signature_name);
            return Err(Status::invalid_argument(format!("Duplicate evaluation of signature: {name}")));
        }
        questions.push(question);
    }
    let tensor = examples(&app, &head, input)?;
    let count = tensor.view().len();
    let answers = questions.into_iter().map(|question| {
        let (method, context) = (question.method(), context(&head));
        let call = question.call(API, served.clone(), tensor.clone(), context);
        let inference = &app.inference;
        async move {
            let answer = inference.run(call).await?;
            let result = match method {
                Method::Classify => TaskResult::ClassificationResult(wire::classification_result(
                    answer.classification(count)?.rows(),
                )?),
                Method::Regress => {
                    TaskResult::RegressionResult(wire::regression_result(answer.regression(count)?))
                }
            };
            Ok::<_, Status>(InferenceResult { model_spec: Some(spec_of(&answer)), result: Some(result) })
        }
    });
    Reply::new(&MultiInferenceResponse { results: try_join_all(answers).await? })
}

/// The answer of the model that `spec` names, and how many examples it is about.
async fn ask(
    app: &App,
    head: Head,
    method: Method,
    spec: ModelSpec,
    input: Option<Input>,
) -> Result<(Answer, usize), Status> {
    let version = wire::version_choice(&spec)?;
    let served = app.inference.resolve_or_load(API, &spec.name, version, head.deadline).await?;
    let question = Question::new(&served, method, &spec.signature_name)?;
    let tensor = examples(app, &head, input)?;
    let count = tensor.view().len();
    let call = question.call(API, served, tensor, context(&head));
    Ok((app.inference.run(call).await?, count))
}

/// The examples of a request, for which its account is charged with what their context makes of them.
fn examples(app: &App, head: &Head, input: Option<Input>) -> Result<Tensor, Status> {
    let (examples, shared) = wire::decode_examples(input);
    if !shared.is_empty() {
        head.account.take(shared.len().saturating_mul(examples.len()).min(app.options.max_request_bytes))?;
    }
    salver_server_inference::examples(examples, &shared, app.options.max_request_bytes)
}

fn task_spec(task: &InferenceTask) -> Result<&ModelSpec, Status> {
    let spec = task.model_spec.as_ref().ok_or_else(missing_spec)?;
    if spec.name.is_empty() {
        return Err(Status::invalid_argument("Found ModelSpec with an empty model name."));
    }
    Ok(spec)
}

fn spec_of(answer: &Answer) -> ModelSpec {
    wire::model_spec(answer.id(), answer.signature().map_or("", |signature| &signature.name))
}
