"""TensorFlow Serving's own client over gRPC: the package `tensorflow-serving-api`.

The cases follow tensorflow_model_server_test.py in TensorFlow Serving's repository.
"""

import grpc
import numpy as np
import pytest
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from conftest import ADDRESS, NUMBERS, PATIENCE, STRINGS

# The protocol's name: TensorFlow's type, the field for its values, and how a value is put there.
KINDS = {
    "BOOL": ("DT_BOOL", "bool_val", bool),
    "UINT8": ("DT_UINT8", "int_val", int),
    "UINT16": ("DT_UINT16", "int_val", int),
    "UINT32": ("DT_UINT32", "uint32_val", int),
    "UINT64": ("DT_UINT64", "uint64_val", int),
    "INT8": ("DT_INT8", "int_val", int),
    "INT16": ("DT_INT16", "int_val", int),
    "INT32": ("DT_INT32", "int_val", int),
    "INT64": ("DT_INT64", "int64_val", int),
    "FP16": ("DT_HALF", "half_val", lambda value: int(value.view(np.uint16))),
    "BF16": ("DT_BFLOAT16", "half_val", lambda value: int(value.view(np.uint16))),
    "FP32": ("DT_FLOAT", "float_val", float),
    "FP64": ("DT_DOUBLE", "double_val", float),
}


def shape_of(dims):
    dim = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in dims]
    return tensor_shape_pb2.TensorShapeProto(dim=dim)


def content(array, dtype):
    kind = getattr(types_pb2, dtype)
    return tensor_pb2.TensorProto(dtype=kind, tensor_shape=shape_of(array.shape), tensor_content=array.tobytes())


def listed(array, dtype, field, convert):
    tensor = tensor_pb2.TensorProto(dtype=getattr(types_pb2, dtype), tensor_shape=shape_of(array.shape))
    getattr(tensor, field).extend(convert(value) for value in array.ravel())
    return tensor


def array_of(tensor, dtype, like):
    """The array in a tensor, as `tf.make_ndarray` reads it."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    assert tensor.dtype == getattr(types_pb2, dtype)
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, like.dtype).reshape(shape)
    values = getattr(tensor, KINDS_BY_TYPE[dtype])
    if dtype in ("DT_HALF", "DT_BFLOAT16"):
        return np.array(values, np.uint16).view(like.dtype).reshape(shape)
    return np.array(values, like.dtype).reshape(shape)


KINDS_BY_TYPE = {dtype: field for dtype, field, _ in KINDS.values()}


@pytest.fixture(scope="module")
def channel():
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(ADDRESS, options=options) as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def request_of(model, tensor, version=None, signature="", outputs=()):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if tensor is not None:
        request.inputs["x"].CopyFrom(tensor)
    return request


@pytest.mark.parametrize("form", ["content", "list"])
@pytest.mark.parametrize("dtype", KINDS)
def test_numbers_come_back_bit_for_bit(prediction, dtype, form):
    kind, field, convert = KINDS[dtype]
    sent = NUMBERS[dtype]
    tensor = content(sent, kind) if form == "content" else listed(sent, kind, field, convert)
    response = prediction.Predict(request_of(f"echo_{dtype.lower()}", tensor), timeout=PATIENCE)
    found = array_of(response.outputs["x"], kind, sent)
    assert found.shape == sent.shape and found.tobytes() == sent.tobytes()


@pytest.mark.parametrize("dtype, kind, field", [
    ("COMPLEX64", "DT_COMPLEX64", "scomplex_val"),
    ("COMPLEX128", "DT_COMPLEX128", "dcomplex_val"),
])
def test_complex_numbers_come_back_bit_for_bit(prediction, dtype, kind, field):
    sent = NUMBERS[dtype]
    pairs = tensor_pb2.TensorProto(dtype=getattr(types_pb2, kind), tensor_shape=shape_of(sent.shape))
    getattr(pairs, field).extend(float(part) for value in sent.ravel() for part in (value.real, value.imag))
    for tensor in (content(sent, kind), pairs):
        output = prediction.Predict(request_of(f"echo_{dtype.lower()}", tensor), timeout=PATIENCE).outputs["x"]
        parts = np.frombuffer(output.tensor_content, sent.dtype).ravel() if output.tensor_content else None
        if parts is None:
            values = np.array(getattr(output, field), sent.real.dtype)
            parts = values.view(sent.dtype)
        assert parts.tobytes() == sent.tobytes()


def test_strings_of_any_bytes_come_back(prediction):
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape_of(STRINGS.shape))
    tensor.string_val.extend(STRINGS.ravel().tolist())
    output = prediction.Predict(request_of("echo_bytes", tensor), timeout=PATIENCE).outputs["x"]
    assert list(output.string_val) == STRINGS.ravel().tolist()
    assert [dim.size for dim in output.tensor_shape.dim] == [2, 2]


def test_one_value_stands_for_all(prediction):
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape_of([2, 3]), float_val=[1.5])
    output = prediction.Predict(request_of("echo_fp32", tensor), timeout=PATIENCE).outputs["x"]
    assert array_of(output, "DT_FLOAT", np.zeros(0, np.float32)).tolist() == [[1.5] * 3] * 2


def test_predict_with_and_without_an_output_filter(prediction):
    """testPredictSavedModel."""
    tensor = content(np.array([2.0], np.float32), "DT_FLOAT")
    for outputs in ([], ["y"]):
        response = prediction.Predict(request_of("half_plus_two", tensor, outputs=outputs), timeout=PATIENCE)
        assert array_of(response.outputs["y"], "DT_FLOAT", np.zeros(0, np.float32)).tolist() == [2.0]
        assert list(response.outputs) == ["y"]
        spec = response.model_spec
        assert (spec.name, spec.signature_name, spec.version.value) == ("half_plus_two", "serving_default", 123)


def test_the_status_of_the_only_version(models):
    """testGetModelStatus."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "half_plus_two"
    status = models.GetModelStatus(request, timeout=PATIENCE).model_version_status
    assert len(status) == 1
    assert status[0].version == 123
    assert status[0].state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert status[0].status.error_code == 0 and status[0].status.error_message == ""


def test_the_status_of_a_version_that_does_not_load(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "broken"
    (status,) = models.GetModelStatus(request, timeout=PATIENCE).model_version_status
    assert status.state == get_model_status_pb2.ModelVersionStatus.END
    assert status.status.error_code == grpc.StatusCode.DATA_LOSS.value[0]
    assert "the disk is on fire" in status.status.error_message


def test_versions_are_listed_newest_first_and_can_be_asked_for(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tagged"
    statuses = models.GetModelStatus(request, timeout=PATIENCE).model_version_status
    assert [status.version for status in statuses] == [2, 1]
    request.model_spec.version.value = 1
    (status,) = models.GetModelStatus(request, timeout=PATIENCE).model_version_status
    assert status.version == 1


def test_metadata_has_exactly_the_signatures(prediction):
    """testGetModelMetadata."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "half_plus_two"
    response = prediction.GetModelMetadata(request, timeout=PATIENCE)
    assert (response.model_spec.name, response.model_spec.version.value) == ("half_plus_two", 123)
    assert list(response.metadata) == ["signature_def"]
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert list(signature.inputs) == ["x"] and list(signature.outputs) == ["y"]
    assert signature.inputs["x"].dtype == types_pb2.DT_FLOAT
    assert [dim.size for dim in signature.inputs["x"].tensor_shape.dim] == [-1]


@pytest.mark.parametrize("asked, answered", [(None, 2), (1, 1), (2, 2)])
def test_the_version_asked_for_answers(prediction, asked, answered):
    tensor = content(np.zeros([3, 2], np.float32), "DT_FLOAT")
    response = prediction.Predict(request_of("tagged", tensor, asked), timeout=PATIENCE)
    assert response.model_spec.version.value == answered
    assert array_of(response.outputs["version"], "DT_INT64", np.zeros(0, np.int64)).tolist() == [answered] * 3


def test_a_signature_can_be_chosen(prediction):
    tensor = content(np.ones([1, 2], np.float32), "DT_FLOAT")
    response = prediction.Predict(request_of("pair", tensor, signature="renamed"), timeout=PATIENCE)
    assert list(response.outputs) == ["y"] and response.model_spec.signature_name == "renamed"
    response = prediction.Predict(request_of("pair", tensor), timeout=PATIENCE)
    assert sorted(response.outputs) == ["bias", "x"]


def test_a_deadline_is_kept(prediction):
    tensor = content(np.zeros([1], np.float32), "DT_FLOAT")
    with pytest.raises(grpc.RpcError) as error:
        prediction.Predict(request_of("slow", tensor), timeout=0.2)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_model_that_takes_no_examples_is_not_asked_about_them(prediction):
    from tensorflow_serving.apis import classification_pb2

    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "half_plus_two"
    request.input.example_list.examples.add()
    with pytest.raises(grpc.RpcError) as error:
        prediction.Classify(request, timeout=PATIENCE)
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "wanted `inputs`" in error.value.details()


def test_calls_that_salver_does_not_serve_are_unimplemented():
    with grpc.insecure_channel(ADDRESS) as channel:
        call = channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")
        with pytest.raises(grpc.RpcError) as error:
            call(b"", timeout=PATIENCE)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_large_tensors_come_back(prediction):
    sent = np.random.default_rng(1).random([8, 1 << 20], np.float32)
    response = prediction.Predict(request_of("echo_fp32", content(sent, "DT_FLOAT")), timeout=PATIENCE)
    assert array_of(response.outputs["x"], "DT_FLOAT", sent).tobytes() == sent.tobytes()
