//! TensorFlow Serving's REST interface.

mod batching;
mod metadata;
mod path;
mod status;

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use salver_core_status::{Quoted, Status};
use salver_server_http::Account;
use salver_server_inference::{Answer, Api, Call, Method, Question, with_priority};
use salver_server_json::{
    ExamplesRequest, PredictRequest, write_classification, write_predictions, write_regression,
};

use crate::failure::{Failure, json, json_text};
use crate::head::{self, Head};
use crate::target::Target;
use crate::{App, body, work};
use path::Action;

/// Answers whatever is asked under `/v1`.
pub(crate) async fn answer(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    match path::parse(&parts.method, parts.uri.path()).map_err(Failure::v1)? {
        Action::List => Ok(json(StatusCode::OK, &status::of_all(app.inference.catalog()))),
        Action::Status(target) => {
            let document = status::of(&app.inference, &target).map_err(Failure::v1)?;
            Ok(json(StatusCode::OK, &document))
        }
        Action::Metadata(target) => {
            let deadline = Head::read(&parts.headers, app.options.timeout, Instant::now()).deadline;
            let found =
                app.inference.resolve_or_load(Api::TfServingRest, &target.model, target.choice(), deadline);
            let served = found.await.map_err(|error| Failure::v1(error.into()))?;
            Ok(json(StatusCode::OK, &metadata::of(served.id(), served.signatures())))
        }
        Action::Predict(target) => predict(&app, &parts, body, target).await,
        Action::Classify(target) => about_examples(&app, &parts, body, target, Method::Classify).await,
        Action::Regress(target) => about_examples(&app, &parts, body, target, Method::Regress).await,
    }
}

async fn predict(app: &App, parts: &Parts, body: Body, target: Target) -> Result<Response, Failure> {
    let head = Head::read(&parts.headers, app.options.timeout, Instant::now());
    let priority = head::priority(&parts.headers).map_err(Failure::v1)?;
    let body = body::read(parts, body, app.options.max_request_bytes, head.deadline).await?;
    let body_bytes = body.len();
    let (api, deadline) = (Api::TfServingRest, head.deadline);
    let found = app.inference.resolve_or_load(api, &target.model, target.choice(), deadline).await;
    // Kept by the work: what is left behind when the client goes is still in memory until it is done.
    let account = Account::of(&parts.extensions);
    let read = move || {
        let _account = account;
        // What is wrong with the body is told before what is wrong with the model, as in TensorFlow Serving.
        let request = PredictRequest::read(&body)?;
        let served = found?;
        let name = request.signature_name();
        let (index, signature) = served.signatures().get(name).ok_or_else(|| no_signature(name))?;
        let inputs = request.inputs(signature)?;
        let form = request.form();
        let mut context = head.context();
        context.parameters = with_priority(priority, context.parameters);
        let call = Call { api, served, signature: index, inputs, outputs: Vec::new(), context };
        Ok((form, call))
    };
    let outcome = async {
        let (form, call) = salver_server_http::on(body_bytes, read).await?;
        let answer = app.inference.run(call).await?;
        let write = move |answer: Answer| {
            let outputs = answer.outputs().map(|(spec, tensor)| (spec.name.as_str(), tensor.view()));
            write_predictions(form, &outputs.collect::<Vec<_>>())
        };
        salver_server_http::on(work::bytes_of(&answer, |_| true), move || write(answer)).await
    };
    let text = outcome.await.map_err(Failure::v1)?;
    Ok(json_text(StatusCode::OK, text))
}

async fn about_examples(
    app: &App,
    parts: &Parts,
    body: Body,
    target: Target,
    method: Method,
) -> Result<Response, Failure> {
    let head = Head::read(&parts.headers, app.options.timeout, Instant::now());
    let priority = head::priority(&parts.headers).map_err(Failure::v1)?;
    let most_bytes = app.options.max_request_bytes;
    let body = body::read(parts, body, most_bytes, head.deadline).await?;
    let body_bytes = body.len();
    let (api, deadline) = (Api::TfServingRest, head.deadline);
    let found = app.inference.resolve_or_load(api, &target.model, target.choice(), deadline).await;
    let account = Account::of(&parts.extensions);
    let read = move || {
        let request = ExamplesRequest::read(&body)?;
        let served = found?;
        let question = Question::new(&served, method, request.signature_name())?;
        let (examples, shared) = (request.examples(), request.context());
        let count = examples.len();
        if !shared.is_empty() {
            account.take(shared.len().saturating_mul(count).min(most_bytes))?;
        }
        let examples = salver_server_inference::examples(examples.clone(), shared, most_bytes)?;
        let mut context = head.context();
        context.parameters = with_priority(priority, context.parameters);
        Ok((count, question.call(api, served, examples, context)))
    };
    let outcome = async {
        let (count, call) = salver_server_http::on(body_bytes, read).await?;
        let answer = app.inference.run(call).await?;
        let write = move |answer: Answer| match method {
            Method::Classify => Ok(write_classification(answer.classification(count)?.rows())),
            Method::Regress => Ok(write_regression(answer.regression(count)?)),
        };
        salver_server_http::on(work::bytes_of(&answer, |_| true), move || write(answer)).await
    };
    let text = outcome.await.map_err(Failure::v1)?;
    Ok(json_text(StatusCode::OK, text))
}

/// TensorFlow Serving's words.
fn no_signature(name: &str) -> Status {
    let name = Quoted(name).to_string().replace('`', "\"");
    Status::failed_precondition(format!("Serving signature key {name} not found."))
}
