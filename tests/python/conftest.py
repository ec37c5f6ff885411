"""The server under test, and tensors of every type to send it.

`SALVER_ADDRESS` is where the server listens; tests/tests/python_clients.rs starts it with the models used here.
"""

import os

import ml_dtypes
import numpy as np
import pytest

ADDRESS = os.environ["SALVER_ADDRESS"]

# How long a request may take, in seconds: longer than any does, even on a machine that is busy.
PATIENCE = 60

# By the protocol's name: values that show a type's edges, in a shape of two rows.
NUMBERS = {
    "BOOL": np.array([[True, False], [False, True]]),
    "UINT8": np.array([[0, 1], [127, 255]], np.uint8),
    "UINT16": np.array([[0, 1], [32768, 65535]], np.uint16),
    "UINT32": np.array([[0, 1], [2**31, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 1], [2**63, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, -1], [0, 127]], np.int8),
    "INT16": np.array([[-(2**15), -1], [0, 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), -1], [0, 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), -1], [0, 2**63 - 1]], np.int64),
    "FP16": np.array([[0.5, -2.0], [65504.0, 6e-8]], np.float16),
    "BF16": np.array([[0.5, -2.0], [3.3895314e38, 1e-38]], ml_dtypes.bfloat16),
    "FP32": np.array([[0.1, -2.5], [3.4028235e38, 1.4e-45]], np.float32),
    "FP64": np.array([[0.1, -2.5], [1.7976931348623157e308, 5e-324]], np.float64),
    "COMPLEX64": np.array([[0.5 + 1j, -2.0], [3e38, -1e-38j]], np.complex64),
    "COMPLEX128": np.array([[0.5 + 1j, -2.0], [1e308, -1e-308j]], np.complex128),
}
# With NUL, empty, and no UTF-8.
STRINGS = np.array([[b"plain", b""], [b"nul\0inside\0", b"\xff\xfe\x80"]], dtype=object)
TEXTS = np.array([["plain", ""], ["ünïcödé \U0001f375", "quote \" and \\ and \n"]], dtype=object)


@pytest.fixture
def address():
    return ADDRESS


def same(found, sent):
    """Whether two arrays are the same to the last bit."""
    found, sent = np.asarray(found), np.asarray(sent)
    if sent.dtype == object:
        return found.shape == sent.shape and found.ravel().tolist() == sent.ravel().tolist()
    return found.shape == sent.shape and found.dtype == sent.dtype and found.tobytes() == sent.tobytes()
