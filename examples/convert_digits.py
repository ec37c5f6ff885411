#!/usr/bin/env python3
"""Makes the sample model `digits` again for other platforms, with the weights of its second version as ONNX.

    pip install tensorflow-cpu==2.21.0 onnx && python examples/convert_digits.py

`digits-torchscript` is a TorchScript module, `digits-savedmodel` a SavedModel.
"""

import os
import pathlib
import shutil
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import onnx  # noqa: E402
import tensorflow as tf  # noqa: E402
from onnx import numpy_helper  # noqa: E402

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "platforms/libtorch/tests/fixtures"))
import torchscript  # noqa: E402

BRIGHTEST = 16.0

FORWARD = """\
  def forward(self: __torch__.M,
    pixels: Tensor) -> Dict[str, Tensor]:
    weights_0 = self.weights_0
    bias_0 = self.bias_0
    weights_1 = self.weights_1
    bias_1 = self.bias_1
    scaled = torch.div(pixels, 16.)
    hidden = torch.relu(torch.add(torch.matmul(scaled, weights_0), bias_0))
    logits = torch.add(torch.matmul(hidden, weights_1), bias_1)
    _0 = {"digit": torch.argmax(logits, 1), "probabilities": torch.softmax(logits, 1)}
    return _0
"""

SETTINGS = """\
[signature]
inputs = [{ name = "pixels", dtype = "FP32", shape = [-1, 64] }]
outputs = [
    { name = "digit", dtype = "INT64", shape = [-1] },
    { name = "probabilities", dtype = "FP32", shape = [-1, 10] },
]
"""


class Digits(tf.Module):
    def __init__(self, weights):
        self.weights = {name: tf.Variable(value) for name, value in weights.items()}

    @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="pixels")])
    def __call__(self, pixels):
        weights = self.weights
        hidden = tf.nn.relu(tf.matmul(pixels / BRIGHTEST, weights["weights_0"]) + weights["bias_0"])
        logits = tf.matmul(hidden, weights["weights_1"]) + weights["bias_1"]
        return {"digit": tf.argmax(logits, 1), "probabilities": tf.nn.softmax(logits)}


def main():
    graph = onnx.load(HERE / "models/digits/2/model.onnx").graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name: arrays[name] for name in ["weights_0", "bias_0", "weights_1", "bias_1"]}

    folder = HERE / "platforms/digits-torchscript"
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "model.toml").write_text(SETTINGS)
    tensors = {name: torchscript.Tensor(array.ravel().tolist(), array.shape) for name, array in weights.items()}
    torchscript.write(folder / "1/model.pt", FORWARD, tensors)

    folder = HERE / "platforms/digits-savedmodel/1"
    shutil.rmtree(folder, ignore_errors=True)
    module = Digits(weights)
    tf.saved_model.save(module, str(folder), signatures=module.__call__)
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    # What only the run that made it needs.
    shutil.rmtree(folder / "assets", ignore_errors=True)


if __name__ == "__main__":
    main()
