"""The sample digits over all four interfaces: the same answers, to the last bit."""

import json
import os
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from conftest import ADDRESS, PATIENCE

SAMPLES = json.loads((Path(os.environ["SALVER_ROOT"]) / "examples/requests/digits.json").read_text())
PIXELS = np.array(SAMPLES["pixels"], np.float32)


def over_tensorflow_serving_grpc():
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in PIXELS.shape]
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims),
        tensor_content=PIXELS.tobytes(),
    )
    request = predict_pb2.PredictRequest(inputs={"pixels": tensor})
    request.model_spec.name = "digits"
    with grpc.insecure_channel(ADDRESS) as channel:
        outputs = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=PATIENCE).outputs
    assert outputs["probabilities"].dtype == types_pb2.DT_FLOAT
    return list(outputs["digit"].int64_val), list(outputs["probabilities"].float_val)


def over_tensorflow_serving_rest():
    body = json.dumps({"inputs": SAMPLES["pixels"]}).encode()
    with urllib.request.urlopen(f"http://{ADDRESS}/v1/models/digits:predict", body, timeout=PATIENCE) as response:
        outputs = json.load(response)["outputs"]
    return outputs["digit"], np.array(outputs["probabilities"]).ravel().tolist()


def over_open_inference(client, **form):
    tensor = client.InferInput("pixels", list(PIXELS.shape), "FP32")
    tensor.set_data_from_numpy(PIXELS, **form)
    outputs = [client.InferRequestedOutput(name, **form) for name in ("digit", "probabilities")]
    with client.InferenceServerClient(ADDRESS) as server:
        result = server.infer("digits", [tensor], outputs=outputs)
    return result.as_numpy("digit").tolist(), result.as_numpy("probabilities").ravel().tolist()


def test_the_digits_are_the_same_over_every_interface():
    answers = {
        "TensorFlow Serving gRPC": over_tensorflow_serving_grpc(),
        "TensorFlow Serving REST": over_tensorflow_serving_rest(),
        "Open Inference gRPC": over_open_inference(tritonclient.grpc),
        "Open Inference REST, binary": over_open_inference(tritonclient.http, binary_data=True),
        "Open Inference REST, JSON": over_open_inference(tritonclient.http, binary_data=False),
    }
    digits, probabilities = answers["Open Inference gRPC"]
    assert digits == SAMPLES["digit"]
    assert np.array(probabilities).reshape(len(digits), 10).argmax(axis=1).tolist() == digits
    for name, (found, likely) in answers.items():
        assert found == digits, name
        assert np.array(likely, np.float32).tobytes() == np.array(probabilities, np.float32).tobytes(), name
