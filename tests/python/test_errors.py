"""Every kind of mistake, over every interface: the code that a client of that interface expects."""

import json
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tritonclient.grpc
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from conftest import ADDRESS, PATIENCE

pb = tritonclient.grpc.service_pb2
TENSORFLOW = {"FP32": (types_pb2.DT_FLOAT, np.float32), "INT64": (types_pb2.DT_INT64, np.int64)}

X = {"x": ("FP32", [1, 2], [1.0, 2.0])}
HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

# Mistake: the request, and the code. REST has the status that belongs to the code.
CASES = {
    "a model that is not there": (dict(model="nobody"), "NOT_FOUND"),
    "a version that is not there": (dict(version=9), "NOT_FOUND"),
    "a model that does not load": (dict(model="broken"), None),
    "an input that is not there": (dict(inputs={**X, "z": ("FP32", [1], [1.0])}), "INVALID_ARGUMENT"),
    "an input that is missing": (dict(inputs={}), "INVALID_ARGUMENT"),
    "a wrong element type": (dict(inputs={"x": ("INT64", [1, 2], [1, 2])}), "INVALID_ARGUMENT"),
    "a wrong size of a dimension": (dict(inputs={"x": ("FP32", [1, 3], [1.0, 2.0, 3.0])}), "INVALID_ARGUMENT"),
    "a wrong rank": (dict(inputs={"x": ("FP32", [2], [1.0, 2.0])}), "INVALID_ARGUMENT"),
    "a tensor shorter than its shape": (dict(inputs={"x": ("FP32", [2, 2], [1.0, 2.0])}), "INVALID_ARGUMENT"),
    "a tensor longer than its shape": (dict(inputs={"x": ("FP32", [1, 2], [1.0, 2.0, 3.0])}), "INVALID_ARGUMENT"),
    "a negative dimension": (dict(inputs={"x": ("FP32", [-1, 2], [1.0, 2.0])}), "INVALID_ARGUMENT"),
    "an output that is not there": (dict(outputs=["z"]), "INVALID_ARGUMENT"),
    "an output asked for twice": (dict(outputs=["x", "x"]), "INVALID_ARGUMENT"),
    "a signature that is not there": (dict(signature="none"), "FAILED_PRECONDITION"),
    "no name of a model": (dict(model=""), "INVALID_ARGUMENT"),
    "a model that is not available just now": (dict(model="out_of_tea"), "UNAVAILABLE"),
    "a model that fails": (dict(model="broken_run"), "INTERNAL"),
    "a deadline that passes": (dict(model="slow"), "DEADLINE_EXCEEDED"),
}


def seconds(model):
    return 1 if model == "slow" else PATIENCE


def tensorflow_serving_grpc(model, version, signature, inputs, outputs):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name, request.model_spec.signature_name = model, signature
    if version is not None:
        request.model_spec.version.value = version
    for name, (dtype, shape, values) in inputs.items():
        kind, array = TENSORFLOW[dtype]
        dim = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in shape]
        request.inputs[name].CopyFrom(
            tensor_pb2.TensorProto(
                dtype=kind,
                tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dim),
                tensor_content=array(values).tobytes(),
            )
        )
    with grpc.insecure_channel(ADDRESS) as channel:
        try:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=seconds(model))
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return "OK", ""


def open_inference_grpc(model, version, signature, inputs, outputs):
    request = pb.ModelInferRequest(model_name=model, model_version="" if version is None else str(version))
    for name, (dtype, shape, values) in inputs.items():
        request.inputs.add(name=name, datatype=dtype, shape=shape)
        request.raw_input_contents.append(TENSORFLOW[dtype][1](values).tobytes())
    for name in outputs:
        request.outputs.add(name=name)
    with grpc.insecure_channel(ADDRESS) as channel:
        try:
            stub = tritonclient.grpc.service_pb2_grpc.GRPCInferenceServiceStub(channel)
            stub.ModelInfer(request, timeout=seconds(model))
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return "OK", ""


def post(path, body):
    request = urllib.request.Request(f"http://{ADDRESS}{path}", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]


def tensorflow_serving_rest(model, version, signature, inputs, outputs):
    path = f"/v1/models/{model}" + ("" if version is None else f"/versions/{version}") + ":predict"
    columns = {}
    for name, (_, shape, values) in inputs.items():
        columns[name] = np.array(values).reshape(shape).tolist()
    body = {"inputs": columns}
    if signature:
        body["signature_name"] = signature
    return post(path, body)


def open_inference_rest(model, version, signature, inputs, outputs):
    path = f"/v2/models/{model}" + ("" if version is None else f"/versions/{version}") + "/infer"
    tensors = [
        {"name": name, "datatype": dtype, "shape": shape, "data": values}
        for name, (dtype, shape, values) in inputs.items()
    ]
    body = {"inputs": tensors}
    if outputs:
        body["outputs"] = [{"name": name} for name in outputs]
    return post(path, body)


INTERFACES = [tensorflow_serving_grpc, open_inference_grpc, tensorflow_serving_rest, open_inference_rest]

# What an interface has no way to say.
NOT_SAID = {
    "a signature that is not there": [open_inference_grpc, open_inference_rest],
    "an output that is not there": [tensorflow_serving_rest],
    "an output asked for twice": [tensorflow_serving_rest],
    "a tensor shorter than its shape": [tensorflow_serving_rest],
    "a tensor longer than its shape": [tensorflow_serving_rest],
    "a negative dimension": [tensorflow_serving_rest],
    # Numbers are not typed in JSON: whole ones are floats too.
    "a wrong element type": [tensorflow_serving_rest],
    # No name, no path.
    "no name of a model": [tensorflow_serving_rest, open_inference_rest],
}

# As Triton has it, no name is a name that nobody has.
OTHERWISE = {("no name of a model", open_inference_grpc): "NOT_FOUND"}

# As TensorFlow Serving has it, extra keys in a columnar request are ignored.
LENIENT = {("an input that is not there", tensorflow_serving_rest)}

TABLE = [
    (case, interface) for case in CASES for interface in INTERFACES if interface not in NOT_SAID.get(case, [])
]


@pytest.mark.parametrize("case, interface", TABLE, ids=[f"{case}-{face.__name__}" for case, face in TABLE])
def test_code(case, interface):
    changes, code = CASES[case]
    code = OTHERWISE.get((case, interface), code)
    request = dict(model="pair", version=None, signature="", inputs=X, outputs=[]) | changes
    found, message = interface(**request)
    if (case, interface) in LENIENT:
        assert found == 200, message
        return
    if code is None:
        # It was there to be loaded, and failed: not found, or not available.
        assert found in ("NOT_FOUND", "UNAVAILABLE", 404, 503), message
    elif interface in (tensorflow_serving_grpc, open_inference_grpc):
        assert found == code, message
    else:
        assert found == HTTP[code], message
    assert message


def test_a_message_names_what_is_at_fault():
    for interface in INTERFACES:
        _, message = interface("pair", None, "", {"x": ("FP32", [1, 3], [1.0, 2.0, 3.0])}, [])
        assert "x" in message and "3" in message and "2" in message, message
        _, message = interface("nobody", None, "", X, [])
        assert "nobody" in message, message
        _, message = interface("pair", 9, "", X, [])
        assert "pair" in message and "9" in message, message


def test_a_text_for_a_number_is_refused():
    status, message = post("/v1/models/pair:predict", {"inputs": {"x": [["1", "2"]]}})
    assert status == 400, message
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": ["1", "2"]}]}
    status, message = post("/v2/models/pair/infer", body)
    assert status == 400, message


def test_typed_and_raw_contents_together_are_refused():
    request = pb.ModelInferRequest(model_name="pair", raw_input_contents=[b"\0" * 8])
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    tensor.contents.fp32_contents.extend([1.0, 2.0])
    with grpc.insecure_channel(ADDRESS) as channel:
        stub = tritonclient.grpc.service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(request, timeout=PATIENCE)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("version", ["x", "-1", "1.0", "99999999999999999999"])
def test_versions_that_are_no_numbers_are_refused(version):
    request = pb.ModelInferRequest(model_name="pair", model_version=version)
    with grpc.insecure_channel(ADDRESS) as channel:
        stub = tritonclient.grpc.service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(request, timeout=PATIENCE)
    assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


def test_the_status_of_a_model_that_is_not_there_is_not_found():
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "nobody"
    with grpc.insecure_channel(ADDRESS) as channel:
        with pytest.raises(grpc.RpcError) as error:
            model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=PATIENCE)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_label_that_is_not_there_is_an_invalid_argument():
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.version_label = "pair", "canary"
    with grpc.insecure_channel(ADDRESS) as channel:
        with pytest.raises(grpc.RpcError) as error:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=PATIENCE)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_path_that_is_not_there_has_an_error_for_a_body():
    for path, statuses in [("/v1/models/pair:classify", (400,)), ("/v2/models/pair/nothing", (404,)), ("/v2/nothing", (404,))]:
        status, message = post(path, {})
        assert status in statuses and message, path
