"""TensorFlow Serving's calls about examples, by its own client and over REST, on its own first model: y = x / 2 + 2.

The cases follow tensorflow_model_server_test.py in TensorFlow Serving's repository.
"""

import base64
import json
import urllib.error
import urllib.request

import grpc
import pytest
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from conftest import ADDRESS, PATIENCE

MODEL = "half_plus_two"
CLASSIFY, REGRESS = "classify_x_to_y", "regress_x_to_y"


@pytest.fixture(scope="module")
def prediction():
    with grpc.insecure_channel(ADDRESS) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def example(x=None):
    made = example_pb2.Example()
    if x is not None:
        made.features.feature["x"].float_list.value.append(x)
    return made


def fill(request, signature, *xs):
    request.model_spec.name, request.model_spec.signature_name = MODEL, signature
    request.input.example_list.examples.extend(example(x) for x in xs)
    return request


def check_spec(spec, signature):
    assert (spec.name, spec.signature_name, spec.version.value) == (MODEL, signature, 123)


def refused(call, request):
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=PATIENCE)
    return error.value.code(), error.value.details()


def test_classify(prediction):
    """testClassify."""
    request = fill(classification_pb2.ClassificationRequest(), CLASSIFY, 2.0)
    response = prediction.Classify(request, timeout=PATIENCE)
    assert len(response.result.classifications) == 1 and len(response.result.classifications[0].classes) == 1
    expected = response.result.classifications[0].classes[0]
    assert (expected.score, expected.label) == (3.0, "")
    check_spec(response.model_spec, CLASSIFY)


def test_regress(prediction):
    """testRegress."""
    response = prediction.Regress(fill(regression_pb2.RegressionRequest(), REGRESS, 2.0, 10.0), timeout=PATIENCE)
    assert [regression.value for regression in response.result.regressions] == [3.0, 7.0]
    check_spec(response.model_spec, REGRESS)


def test_multi_inference(prediction):
    """testMultiInference."""
    request = inference_pb2.MultiInferenceRequest()
    request.input.example_list.examples.append(example(2.0))
    for signature, method in [(REGRESS, "regress"), (CLASSIFY, "classify")]:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = MODEL, signature
    first, second = prediction.MultiInference(request, timeout=PATIENCE).results
    assert first.regression_result.regressions[0].value == 3.0
    assert second.classification_result.classifications[0].classes[0].score == 3.0
    check_spec(first.model_spec, REGRESS)
    check_spec(second.model_spec, CLASSIFY)


def test_an_example_goes_before_the_context(prediction):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL, REGRESS
    request.input.example_list_with_context.context.CopyFrom(example(2.0))
    request.input.example_list_with_context.examples.extend([example(), example(10.0)])
    response = prediction.Regress(request, timeout=PATIENCE)
    assert [regression.value for regression in response.result.regressions] == [3.0, 7.0]


def test_what_is_not_there_or_not_for_this_is_told(prediction):
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    empty = fill(classification_pb2.ClassificationRequest(), CLASSIFY)
    assert refused(prediction.Classify, empty) == (invalid, "Input is empty.")
    unknown = fill(regression_pb2.RegressionRequest(), "other", 1.0)
    assert refused(prediction.Regress, unknown) == (invalid, "No signature was found with the name: other")
    wrong = fill(regression_pb2.RegressionRequest(), CLASSIFY, 1.0)
    assert refused(prediction.Regress, wrong)[0] == grpc.StatusCode.FAILED_PRECONDITION
    missing = fill(regression_pb2.RegressionRequest(), REGRESS, None)
    code, details = refused(prediction.Regress, missing)
    assert code == invalid and "x" in details, details
    elsewhere = fill(regression_pb2.RegressionRequest(), REGRESS, 1.0)
    elsewhere.model_spec.name = "nowhere"
    assert refused(prediction.Regress, elsewhere)[0] == grpc.StatusCode.NOT_FOUND
    predict = inference_pb2.MultiInferenceRequest()
    predict.tasks.add(method_name="tensorflow/serving/predict").model_spec.name = MODEL
    assert refused(prediction.MultiInference, predict)[0] == grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_example_are_told():
    message = b"\x0a\x1f\x0a\x0dhalf_plus_two\x1a\x0eregress_x_to_y\x12\x05\x0a\x03\x0a\x01\xff"
    with grpc.insecure_channel(ADDRESS) as channel:
        regress = channel.unary_unary("/tensorflow.serving.PredictionService/Regress")
        code, _ = refused(regress, message)
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def ask(verb, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{ADDRESS}/v1/models/{MODEL}:{verb}", data)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]


def test_classify_rest():
    """testClassifyREST."""
    body = {"signature_name": CLASSIFY, "examples": [{"x": 2.0}]}
    assert ask("classify", body) == (200, {"results": [[["", 3.0]]]})


def test_regress_rest():
    """testRegressREST."""
    body = {"signature_name": REGRESS, "examples": [{"x": 2.0}]}
    assert ask("regress", body) == (200, {"results": [3.0]})


def test_context_rest():
    body = {"signature_name": REGRESS, "context": {"x": [2.0]}, "examples": [{}, {"x": [10.0], "y": "z"}]}
    assert ask("regress", body) == (200, {"results": [3.0, 7.0]})


def test_wrong_bodies_rest():
    for body, wanted in [
        ({"signature_name": REGRESS}, "`examples` is not there, wanted a list of objects"),
        ({"signature_name": REGRESS, "examples": []}, "`examples` is empty, wanted at least one"),
        ({"signature_name": REGRESS, "examples": [{"x": [[1.0]]}]}, "example 0: feature `x`: found a list"),
        ({"signature_name": REGRESS, "examples": [{"x": [1.0, "a"]}]}, "wanted one kind"),
        ({"signature_name": "x", "examples": [{}]}, "No signature was found with the name: x"),
        ({"examples": [{"x": 1.0}]}, "the input of signature `serving_default` is `x`, wanted `inputs`"),
    ]:
        status, message = ask("regress", body)
        assert status == 400 and wanted in message, message


def test_predict_takes_serialised_examples_too():
    serialised = base64.b64encode(example(2.0).SerializeToString()).decode()
    body = {"signature_name": REGRESS, "instances": [{"b64": serialised}]}
    assert ask("predict", body) == (200, {"predictions": [[3.0]]})
