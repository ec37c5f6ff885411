#!/usr/bin/env python3
"""Trains the two versions of the sample model `digits`, and picks real digits as sample requests.

    pip install numpy onnx scikit-learn && python examples/train_digits.py

The data are scikit-learn's digits: 1797 handwritten digits, 8 x 8 pixels of 0 to 16 (UCI ML repository, E. Alpaydin and
C. Kaynak, 1998). A quarter is held out; the accuracy printed is that of the ONNX files on it. Running the script again
makes the same models, up to rounding.
"""

import json
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = pathlib.Path(__file__).parent
SEED = 1998
BRIGHTEST = 16.0
SAMPLES = 5


def save(path, layers):
    """Writes dense layers, [(weights, bias)], as `pixels` [n, 64] -> `digit` [n], `probabilities` [n, 10]."""
    initializers = [numpy_helper.from_array(numpy.float32(BRIGHTEST), "brightest")]
    nodes = [helper.make_node("Div", ["pixels", "brightest"], ["layer_0"])]
    for index, (weights, bias) in enumerate(layers):
        names = [f"layer_{index}", f"weights_{index}", f"bias_{index}"]
        initializers += [
            numpy_helper.from_array(weights.astype(numpy.float32), names[1]),
            numpy_helper.from_array(bias.astype(numpy.float32), names[2]),
        ]
        is_last = index + 1 == len(layers)
        out = "logits" if is_last else f"dense_{index}"
        nodes.append(helper.make_node("Gemm", names, [out]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [out], [f"layer_{index + 1}"]))
    nodes += [
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["digit"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])],
        [
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path)


def write(name, content):
    (HERE / "requests" / name).write_text(json.dumps(content) + "\n")


def main():
    pixels, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        pixels, digits, test_size=0.25, random_state=SEED, stratify=digits
    )

    linear = LogisticRegression(C=0.3, max_iter=1000).fit(train_x / BRIGHTEST, train_y)
    mlp = MLPClassifier((128,), alpha=0.01, max_iter=1000, random_state=SEED).fit(train_x / BRIGHTEST, train_y)
    versions = {1: [(linear.coef_.T, linear.intercept_)], 2: list(zip(mlp.coefs_, mlp.intercepts_))}
    for version, layers in versions.items():
        path = HERE / "models" / "digits" / str(version) / "model.onnx"
        save(path, layers)
        found, _ = ReferenceEvaluator(str(path)).run(None, {"pixels": test_x.astype(numpy.float32)})
        print(f"version {version}: accuracy {(found == test_y).mean():.4f}, {path.stat().st_size} bytes")

    rows = test_x[:SAMPLES].astype(int).tolist()
    write("digits.json", {"pixels": rows, "digit": test_y[:SAMPLES].tolist()})
    write("digits.predict.json", {"instances": rows})
    flat = [pixel for row in rows for pixel in row]
    write("digits.infer.json", {"inputs": [{"name": "pixels", "shape": [SAMPLES, 64], "datatype": "FP32", "data": flat}]})


if __name__ == "__main__":
    main()
