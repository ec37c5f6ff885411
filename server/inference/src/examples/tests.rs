use super::*;

use std::sync::Arc;
use std::time::Duration;

use salver_core_observe::NoObserver;
use salver_core_platform::{Model, RunRequest};
use salver_core_servable::{ServableId, Tenancy, Version};
use salver_core_signature::{ShapeSpec, SignatureSet, TensorSpec};
use salver_core_status::Code;

use crate::{GateOptions, ServedOptions};

/// Returns the same outputs whatever it is asked.
struct Fixed(SignatureSet, Vec<Tensor>);

impl Model for Fixed {
    fn signatures(&self) -> &SignatureSet {
        &self.0
    }

    fn run(&self, request: &RunRequest<'_>) -> Result<Vec<Tensor>, Status> {
        Ok(request.outputs.iter().map(|&output| self.1[output].clone()).collect())
    }
}

fn signature(inputs: &[&str], outputs: &[&str]) -> Signature {
    let spec = |name: &&str| TensorSpec::new(*name, DType::String, ShapeSpec::any());
    Signature::predict(inputs.iter().map(spec).collect(), outputs.iter().map(spec).collect())
}

#[track_caller]
fn outputs(method: Method, inputs: &[&str], outputs: &[&str]) -> Result<Vec<String>, (Code, String)> {
    method.outputs(&signature(inputs, outputs)).map_err(|status| (status.code(), status.message().to_owned()))
}

#[test]
fn a_signature_is_for_a_method_by_its_inputs_and_outputs() {
    let (classify, regress) = (Method::Classify, Method::Regress);
    let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(outputs(classify, &["inputs"], &["scores", "classes"]), names(&["classes", "scores"]));
    assert_eq!(outputs(classify, &["inputs"], &["scores"]), names(&["scores"]));
    assert_eq!(outputs(classify, &["inputs"], &["classes", "else"]), names(&["classes"]));
    assert_eq!(outputs(regress, &["inputs"], &["outputs"]), names(&["outputs"]));
    let invalid = |message: &str| Err((Code::InvalidArgument, message.to_owned()));
    let wrong = |message: &str| Err((Code::FailedPrecondition, message.to_owned()));
    assert_eq!(
        outputs(classify, &["inputs", "x"], &["scores"]),
        invalid("Expected one input Tensor, signature `serving_default` has 2")
    );
    assert_eq!(
        outputs(classify, &["inputs"], &["classes", "scores", "y"]),
        invalid("Expected one or two output Tensors, signature `serving_default` has 3")
    );
    assert_eq!(
        outputs(regress, &["inputs"], &["outputs", "y"]),
        invalid("Expected one output Tensor, signature `serving_default` has 2")
    );
    assert_eq!(
        outputs(regress, &["x"], &["outputs"]),
        wrong("the input of signature `serving_default` is `x`, wanted `inputs`")
    );
    assert_eq!(
        outputs(classify, &["inputs"], &["y"]),
        wrong("signature `serving_default` has no output `classes` or `scores`, wanted to answer from")
    );
}

#[test]
fn methods_have_tensorflow_s_names() {
    assert_eq!(Method::from_name("tensorflow/serving/classify"), Ok(Method::Classify));
    assert_eq!(Method::from_name("tensorflow/serving/regress"), Ok(Method::Regress));
    assert_eq!(Method::from_name("tensorflow/serving/predict").unwrap_err().code(), Code::Unimplemented);
}

#[test]
fn a_context_goes_in_front_of_every_example() {
    let given: Strings = ["a", "", "bc"].into_iter().collect();
    let tensor = examples(given.clone(), b"X-", 6).unwrap();
    assert_eq!(tensor.shape().dims(), [3]);
    assert_eq!(tensor.strings().unwrap().iter().collect::<Vec<_>>(), ["X-a", "X-", "X-bc"]);
    let plain = examples(given.clone(), b"", 0).unwrap();
    assert_eq!(plain.strings().unwrap().buffer().as_ptr(), given.buffer().as_ptr(), "copied");
    assert_eq!(
        examples(Strings::default(), b"X-", 6).unwrap_err(),
        Status::invalid_argument("Input is empty.")
    );
    let refused = examples(given, b"X-", 5).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

fn labels(dims: &[i64], labels: &[&str]) -> Tensor {
    Tensor::from_strings(Shape::new(dims).unwrap(), labels.iter().collect()).unwrap()
}

fn floats(dims: &[i64], values: &[f32]) -> Tensor {
    Tensor::from_vec(Shape::new(dims).unwrap(), values.to_vec()).unwrap()
}

/// What a model with these outputs answers when it is asked about an example.
async fn answer(method: Method, outputs: Vec<(&str, Tensor)>) -> Answer {
    let spec = |(name, tensor): &(&str, Tensor)| TensorSpec::new(*name, tensor.dtype(), ShapeSpec::any());
    let inputs = vec![TensorSpec::new("inputs", DType::String, ShapeSpec::any())];
    let signature = Signature::predict(inputs, outputs.iter().map(spec).collect());
    let tensors = outputs.into_iter().map(|(_, tensor)| tensor).collect();
    let model = Box::new(Fixed(SignatureSet::new(vec![signature]).unwrap(), tensors));
    let id = ServableId::new("m", Version::new(1).unwrap());
    let gate = GateOptions { max_running: 1, max_waiting: 1 };
    let options = ServedOptions { inline_limit: Duration::ZERO, gate };
    let served = Served::new(&id, model, "fixed", options, Arc::new(NoObserver));
    let tenancy = Tenancy::new(id, Arc::new(served), 1, || {});
    let served = tenancy.handle(0);
    let question = Question::new(&served, method, "").unwrap();
    let examples = examples(["e"].into_iter().collect(), b"", 0).unwrap();
    crate::run::run(question.call(Api::Embedded, served, examples, RequestContext::default())).await.unwrap()
}

fn rows(found: Classification<'_>) -> Vec<Vec<(&str, f32)>> {
    let class = |(label, score)| (std::str::from_utf8(label).unwrap(), score);
    found.rows().map(|row| row.map(class).collect()).collect()
}

#[tokio::test]
async fn classes_have_labels_scores_or_both() {
    let (names, scores) = (labels(&[2, 2], &["a", "b", "c", "d"]), floats(&[2, 2], &[0.5, 0.25, 0.125, 1.0]));
    let both = answer(Method::Classify, vec![("scores", scores.clone()), ("classes", names.clone())]).await;
    let wanted = [vec![("a", 0.5), ("b", 0.25)], vec![("c", 0.125), ("d", 1.0)]];
    assert_eq!(rows(both.classification(2).unwrap()), wanted);
    let scored = answer(Method::Classify, vec![("scores", scores)]).await;
    assert_eq!(rows(scored.classification(2).unwrap())[1], [("", 0.125), ("", 1.0)]);
    let labelled = answer(Method::Classify, vec![("classes", names)]).await;
    assert_eq!(rows(labelled.classification(2).unwrap())[0], [("a", 0.0), ("b", 0.0)]);
    let none = answer(Method::Classify, vec![("scores", floats(&[2, 0], &[]))]).await;
    assert_eq!(rows(none.classification(2).unwrap()), [vec![], vec![]]);
}

#[tokio::test]
async fn outputs_that_are_no_classes_are_refused() {
    let cases = [
        (
            vec![("scores", floats(&[2], &[0.0; 2]))],
            "Expected output `scores` of shape [batch_size num_classes], got [2]",
        ),
        (vec![("scores", floats(&[1, 2], &[0.0; 2]))], "Expected output `scores` of batch size 2, got 1"),
        (vec![("scores", labels(&[2, 1], &["a", "b"]))], "Expected output `scores` of FP32, got BYTES"),
        (vec![("classes", floats(&[2, 1], &[0.0; 2]))], "Expected output `classes` of BYTES, got FP32"),
        (
            vec![("classes", labels(&[2, 1], &["a", "b"])), ("scores", floats(&[2, 2], &[0.0; 4]))],
            "outputs `classes` and `scores` should have as many classes, one has 2, the other 1",
        ),
    ];
    for (outputs, wanted) in cases {
        let refused = answer(Method::Classify, outputs).await.classification(2).unwrap_err();
        assert_eq!(refused, Status::invalid_argument(wanted));
    }
}

#[tokio::test]
async fn a_value_of_each_example_may_have_a_dimension_of_its_own() {
    for dims in [&[2][..], &[2, 1]] {
        let answer = answer(Method::Regress, vec![("outputs", floats(dims, &[1.5, -2.0]))]).await;
        assert_eq!(answer.regression(2).unwrap(), [1.5, -2.0]);
        assert_eq!(
            answer.regression(3).unwrap_err(),
            Status::invalid_argument("Expected output `outputs` of batch size 3, got 2")
        );
    }
    for (tensor, wanted) in [
        (
            floats(&[1, 2], &[0.0; 2]),
            "Expected output `outputs` of shape [batch_size] or [batch_size 1], got [1, 2]",
        ),
        (floats(&[], &[0.0]), "Expected output `outputs` of shape [batch_size] or [batch_size 1], got []"),
        (labels(&[2], &["a", "b"]), "Expected output `outputs` of FP32, got BYTES"),
    ] {
        let refused = answer(Method::Regress, vec![("outputs", tensor)]).await.regression(2).unwrap_err();
        assert_eq!(refused, Status::invalid_argument(wanted));
    }
}
