//! TensorFlow Serving's calls about examples, through its stubs.

use super::*;
use salver_proto::tensorflow::serving::inference_result::Result as TaskResult;
use salver_proto::tensorflow::serving::input::Kind;
use tfs::model_spec::VersionChoice as Choice;

/// Of each example its bytes as the only class and its length as the score, and its length as its value.
struct Lengths(SignatureSet);

impl Lengths {
    fn new() -> Self {
        let spec = |name, dtype, dims| TensorSpec::new(name, dtype, ShapeSpec::of(dims));
        let signature = |name: &str, outputs| {
            let inputs = vec![spec("inputs", DType::String, &[-1])];
            Signature { name: name.to_owned(), ..Signature::predict(inputs, outputs) }
        };
        let classes = vec![spec("classes", DType::String, &[-1, 1]), spec("scores", DType::F32, &[-1, 1])];
        let values = vec![spec("outputs", DType::F32, &[-1])];
        let signatures = vec![signature("serving_default", classes), signature("regress", values)];
        Self(SignatureSet::new(signatures).unwrap())
    }
}

impl Model for Lengths {
    fn signatures(&self) -> &SignatureSet {
        &self.0
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        let examples = request.input(0)?.strings().unwrap();
        let count = examples.len() as i64;
        let lengths: Vec<_> = examples.iter().map(|example| example.len() as f32).collect();
        if request.signature == 1 {
            return Ok(vec![Tensor::from_vec(Shape::new(&[count])?, lengths)?]);
        }
        let shape = Shape::new(&[count, 1])?;
        let classes = Tensor::from_strings(shape.clone(), examples.iter().collect())?;
        Ok(vec![classes, Tensor::from_vec(shape, lengths)?])
    }
}

async fn client() -> PredictionServiceClient<Channel> {
    let router = app_with(Lengths::new(), Known::default());
    PredictionServiceClient::new(connect(serve_app(router).await).await)
}

fn spec(signature_name: &str) -> tfs::ModelSpec {
    let (name, signature_name) = ("echo".into(), signature_name.into());
    tfs::ModelSpec { name, signature_name, version_choice: None }
}

/// Examples are bytes to everybody but the model, and these are none to anybody else.
fn list(examples: &[&'static str]) -> Option<tfs::Input> {
    let examples = examples.iter().map(|example| example.as_bytes().into()).collect();
    Some(tfs::Input { kind: Some(Kind::ExampleList(tfs::ExampleList { examples })) })
}

fn with_context(examples: &[&'static str], context: &'static str) -> Option<tfs::Input> {
    let examples = examples.iter().map(|example| example.as_bytes().into()).collect();
    let list = tfs::ExampleListWithContext { examples, context: context.as_bytes().into() };
    Some(tfs::Input { kind: Some(Kind::ExampleListWithContext(list)) })
}

fn labels(result: tfs::ClassificationResult) -> Vec<(String, f32)> {
    let class = |c: tfs::Classifications| {
        let [class] = &c.classes[..] else { panic!("{c:?}") };
        (class.label.clone(), class.score)
    };
    result.classifications.into_iter().map(class).collect()
}

fn values(result: tfs::RegressionResult) -> Vec<f32> {
    result.regressions.into_iter().map(|regression| regression.value).collect()
}

#[track_caller]
fn answered_by(found: Option<tfs::ModelSpec>, signature: &str) {
    let version_choice = Some(Choice::Version(3));
    assert_eq!(found, Some(tfs::ModelSpec { version_choice, ..spec(signature) }));
}

#[tokio::test]
async fn examples_are_classified() {
    let mut client = client().await;
    let request = tfs::ClassificationRequest { model_spec: Some(spec("")), input: list(&["a", "", "bcd"]) };
    let answer = client.classify(request.clone()).await.unwrap().into_inner();
    answered_by(answer.model_spec, "serving_default");
    let labelled = |label: &str, score| (label.to_owned(), score);
    assert_eq!(labels(answer.result.unwrap()), [labelled("a", 1.0), labelled("", 0.0), labelled("bcd", 3.0)]);
    let input = with_context(&["a", ""], "X");
    let answer = client.classify(tfs::ClassificationRequest { input, ..request }).await.unwrap().into_inner();
    assert_eq!(labels(answer.result.unwrap()), [labelled("Xa", 2.0), labelled("X", 1.0)]);
}

#[tokio::test]
async fn examples_are_regressed() {
    let request =
        tfs::RegressionRequest { model_spec: Some(spec("regress")), input: with_context(&["ab", "c"], "XY") };
    let answer = client().await.regress(request).await.unwrap().into_inner();
    answered_by(answer.model_spec, "regress");
    assert_eq!(values(answer.result.unwrap()), [4.0, 3.0]);
}

fn task(signature: &str, method: &str) -> tfs::InferenceTask {
    let method_name = format!("tensorflow/serving/{method}");
    tfs::InferenceTask { model_spec: Some(spec(signature)), method_name }
}

#[tokio::test]
async fn several_questions_about_the_same_examples_are_answered_in_order() {
    let tasks = vec![task("regress", "regress"), task("", "classify")];
    let request = tfs::MultiInferenceRequest { tasks, input: list(&["abc"]) };
    let answer = client().await.multi_inference(request).await.unwrap().into_inner();
    let [first, second] = <[_; 2]>::try_from(answer.results).unwrap();
    answered_by(first.model_spec, "regress");
    answered_by(second.model_spec, "serving_default");
    let Some(TaskResult::RegressionResult(first)) = first.result else { panic!("no value") };
    let Some(TaskResult::ClassificationResult(second)) = second.result else { panic!("no classes") };
    assert_eq!((values(first), labels(second)), (vec![3.0], vec![("abc".to_owned(), 3.0)]));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_as_tensorflow_serving_does() {
    let mut client = client().await;
    let request =
        |signature: &str, input| tfs::ClassificationRequest { model_spec: Some(spec(signature)), input };
    let cases = [
        (tfs::ClassificationRequest::default(), Code::InvalidArgument, "Missing ModelSpec"),
        (request("", None), Code::InvalidArgument, "Input is empty."),
        (request("", list(&[])), Code::InvalidArgument, "Input is empty."),
        (request("", with_context(&[], "X")), Code::InvalidArgument, "Input is empty."),
        (request("none", list(&["a"])), Code::InvalidArgument, "No signature was found with the name: none"),
        (
            request("regress", list(&["a"])),
            Code::FailedPrecondition,
            "signature `regress` has no output `classes` or `scores`, wanted to answer from",
        ),
    ];
    for (request, code, message) in cases {
        let refused = client.classify(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, message));
    }
    // 2 kB of context with each of two thousand examples: 4 MB, of 1 MB that are allowed.
    let examples = vec![bytes::Bytes::new(); 2000];
    let large = tfs::ExampleListWithContext { examples, context: vec![b'x'; 2000].into() };
    let input = Some(tfs::Input { kind: Some(Kind::ExampleListWithContext(large)) });
    let refused = client.classify(request("", input)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn questions_that_do_not_go_together_are_refused() {
    let mut client = client().await;
    let elsewhere = tfs::InferenceTask {
        model_spec: Some(tfs::ModelSpec { name: "other".into(), ..spec("regress") }),
        ..task("", "regress")
    };
    let nameless = tfs::InferenceTask { model_spec: Some(tfs::ModelSpec::default()), ..task("", "regress") };
    let (invalid, classify) = (Code::InvalidArgument, || task("", "classify"));
    let cases = [
        (vec![], invalid, "the request has no tasks, wanted at least one"),
        (vec![classify(), nameless], invalid, "Found ModelSpec with an empty model name."),
        (
            vec![classify(), elsewhere],
            invalid,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name. Found `echo` and `other`",
        ),
        (
            vec![classify(), task("serving_default", "classify")],
            invalid,
            "Duplicate evaluation of signature: `serving_default`",
        ),
        (
            vec![classify(), task("regress", "predict")],
            Code::Unimplemented,
            "Unsupported signature method_name: `tensorflow/serving/predict`, wanted `tensorflow/serving/classify` or \
             `tensorflow/serving/regress`",
        ),
        (
            vec![classify(), task("regress", "classify")],
            Code::FailedPrecondition,
            "signature `regress` has no output `classes` or `scores`, wanted to answer from",
        ),
    ];
    for (tasks, code, message) in cases {
        let request = tfs::MultiInferenceRequest { tasks, input: list(&["a"]) };
        let refused = client.multi_inference(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, message));
    }
}
