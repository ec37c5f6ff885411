#!/usr/bin/env python3
"""Classifies the sample digits over all four interfaces of a server, and says whether the answers agree.

    classify.py 127.0.0.1:8500

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


def tensorflow_serving_grpc(address, pixels):
    """`tensorflow.serving.PredictionService/Predict`, with stubs that grpc_tools made."""
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(
            dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in pixels.shape]
        ),
        tensor_content=pixels.tobytes(),
    )
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="digits"), inputs={"pixels": tensor})
    with grpc.insecure_channel(address) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=10)
    return list(response.outputs["digit"].int64_val)


def tensorflow_serving_rest(address, pixels):
    """`POST /v1/models/digits:predict`, with nothing but the standard library."""
    body = json.dumps({"instances": pixels.tolist()}).encode()
    url = f"http://{address}/v1/models/digits:predict"
    with urllib.request.urlopen(url, data=body, timeout=10) as response:
        return [prediction["digit"] for prediction in json.load(response)["predictions"]]


def open_inference(client, address, pixels):
    """The Open Inference Protocol: Triton's clients for gRPC and REST differ only in their module."""
    tensor = client.InferInput("pixels", list(pixels.shape), "FP32")
    tensor.set_data_from_numpy(pixels)
    with client.InferenceServerClient(address) as server:
        return server.infer("digits", [tensor]).as_numpy("digit").tolist()


INTERFACES = {
    "TensorFlow Serving gRPC": tensorflow_serving_grpc,
    "TensorFlow Serving REST": tensorflow_serving_rest,
    "Open Inference gRPC": lambda *request: open_inference(tritonclient.grpc, *request),
    "Open Inference REST": lambda *request: open_inference(tritonclient.http, *request),
}


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: classify.py HOST:PORT")
    samples = json.loads(SAMPLES.read_text())
    pixels = np.array(samples["pixels"], dtype=np.float32)
    truth = samples["digit"]

    print(f"{'written by hand':24}", *truth)
    answers = []
    for name, classify in INTERFACES.items():
        answers.append(classify(sys.argv[1], pixels))
        print(f"{name:24}", *answers[-1])
    if any(answer != answers[0] for answer in answers):
        sys.exit("the interfaces do not agree")
    right = sum(answer == digit for answer, digit in zip(answers[0], truth))
    print(f"all {len(answers)} interfaces agree; {right} of {len(truth)} digits are right")


if __name__ == "__main__":
    main()
