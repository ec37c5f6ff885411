#!/usr/bin/env python3
"""Classifies the sample digits over all four interfaces of a server, and says whether the answers agree.

    classify.py 127.0.0.1:8500 [MODEL...]

Asks `digits`, or the models named: the same weights on several platforms give the same answers, within what floats round.

Needs what tests/python/requirements.txt lists, and stubs made of proto/proto; `cargo xtask demo` has both.
"""

import json
import sys
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc

SAMPLES = Path(__file__).parent / "requests" / "digits.json"


# How far apart probabilities may be that are computed by different kernels, in another order.
TOLERANCE = 1e-5


def tensorflow_serving_grpc(address, model, pixels):
    """`tensorflow.serving.PredictionService/Predict`, with stubs that grpc_tools made."""
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(
            dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in pixels.shape]
        ),
        tensor_content=pixels.tobytes(),
    )
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=model), inputs={"pixels": tensor})
    with grpc.insecure_channel(address) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=10)
    return list(response.outputs["digit"].int64_val), list(response.outputs["probabilities"].float_val)


def tensorflow_serving_rest(address, model, pixels):
    """`POST /v1/models/MODEL:predict`, with nothing but the standard library."""
    body = json.dumps({"inputs": pixels.tolist()}).encode()
    url = f"http://{address}/v1/models/{model}:predict"
    with urllib.request.urlopen(url, data=body, timeout=10) as response:
        outputs = json.load(response)["outputs"]
    return outputs["digit"], outputs["probabilities"]


def open_inference(client, address, model, pixels):
    """The Open Inference Protocol: Triton's clients for gRPC and REST differ only in their module."""
    tensor = client.InferInput("pixels", list(pixels.shape), "FP32")
    tensor.set_data_from_numpy(pixels)
    with client.InferenceServerClient(address) as server:
        answer = server.infer(model, [tensor])
    return answer.as_numpy("digit").tolist(), answer.as_numpy("probabilities")


INTERFACES = {
    "TensorFlow Serving gRPC": tensorflow_serving_grpc,
    "TensorFlow Serving REST": tensorflow_serving_rest,
    "Open Inference gRPC": lambda *request: open_inference(tritonclient.grpc, *request),
    "Open Inference REST": lambda *request: open_inference(tritonclient.http, *request),
}


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: classify.py HOST:PORT [MODEL...]")
    address, models = sys.argv[1], sys.argv[2:] or ["digits"]
    samples = json.loads(SAMPLES.read_text())
    pixels = np.array(samples["pixels"], dtype=np.float32)
    truth = samples["digit"]

    width = max(map(len, models)) + 26
    print(f"{'written by hand':{width}}", *truth)
    answers = []
    for model in models:
        for name, classify in INTERFACES.items():
            digits, probabilities = classify(address, model, pixels)
            answers.append((digits, np.array(probabilities, dtype=np.float64).ravel()))
            print(f"{model + ', ' + name if len(models) > 1 else name:{width}}", *digits)
    digits, probabilities = answers[0]
    apart = max(np.abs(found - probabilities).max() for _, found in answers)
    if any(found != digits for found, _ in answers) or apart > TOLERANCE:
        sys.exit(f"the answers do not agree; probabilities are {apart:.2g} apart")
    right = sum(answer == digit for answer, digit in zip(digits, truth))
    among = f"{len(models)} models on all" if len(models) > 1 else "all"
    print(f"{among} {len(INTERFACES)} interfaces agree, to {apart:.2g}; {right} of {len(truth)} digits are right")


if __name__ == "__main__":
    main()
