"""Triton's own client over HTTP, with tensors as JSON and in binary."""

import json
import urllib.request

import numpy as np
import pytest
import tritonclient.http as client
from tritonclient.utils import InferenceServerException

from conftest import ADDRESS, NUMBERS, PATIENCE, STRINGS, TEXTS, same

KINDS = [dtype for dtype in NUMBERS if not dtype.startswith("COMPLEX")]
# What JSON cannot carry by the protocol's rules.
BINARY_ONLY = ["FP16", "BF16"]


@pytest.fixture(scope="module")
def server():
    with client.InferenceServerClient(ADDRESS, concurrency=4) as server:
        yield server


def echo(server, dtype, array, binary_in, binary_out):
    tensor = client.InferInput("x", list(array.shape), dtype)
    tensor.set_data_from_numpy(array, binary_data=binary_in)
    output = client.InferRequestedOutput("x", binary_data=binary_out)
    result = server.infer(f"echo_{dtype.lower()}", [tensor], outputs=[output])
    assert result.get_output("x")["datatype"] == dtype
    assert ("data" in result.get_output("x")) == (not binary_out)
    return result.as_numpy("x")


FORMS = [
    (dtype, binary_in, binary_out)
    for dtype in KINDS
    for binary_in in (True, False)
    for binary_out in (True, False)
    if dtype not in BINARY_ONLY or (binary_in and binary_out)
]


@pytest.mark.parametrize("dtype, binary_in, binary_out", FORMS)
def test_numbers_come_back_bit_for_bit(server, dtype, binary_in, binary_out):
    sent = NUMBERS[dtype]
    assert same(echo(server, dtype, sent, binary_in, binary_out), sent)


@pytest.mark.parametrize("dtype", BINARY_ONLY)
def test_numbers_that_json_does_not_have_are_refused_as_json(server, dtype):
    with pytest.raises(InferenceServerException) as error:
        echo(server, dtype, NUMBERS[dtype], True, False)
    assert error.value.status() == "400"


def test_strings_of_any_bytes_come_back_in_binary(server):
    assert same(echo(server, "BYTES", STRINGS, True, True), STRINGS)


def test_texts_come_back_as_json(server):
    found = echo(server, "BYTES", TEXTS, False, False)
    assert [value if isinstance(value, str) else value.decode() for value in found.ravel()] == TEXTS.ravel().tolist()


@pytest.mark.parametrize("shape", [[], [0], [0, 5], [1], [2, 0, 3], [2, 1, 3, 1, 2]])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_any_shape_comes_back(server, shape, binary):
    sent = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    assert same(echo(server, "FP32", sent, binary, binary), sent)


def tagged(server, version="", **more):
    tensor = client.InferInput("x", [2, 2], "FP32")
    tensor.set_data_from_numpy(np.zeros([2, 2], np.float32))
    return server.infer("tagged", [tensor], model_version=version, **more)


@pytest.mark.parametrize("asked, answered", [("", 2), ("1", 1), ("2", 2)])
def test_the_version_asked_for_answers(server, asked, answered):
    result = tagged(server, asked, request_id="mine")
    assert result.as_numpy("version").tolist() == [answered, answered]
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("tagged", str(answered), "mine")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_and_answers_are_read(server, algorithm):
    result = tagged(server, request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
    assert result.as_numpy("version").tolist() == [2, 2]


def test_metadata_and_health_are_told(server):
    metadata = server.get_model_metadata("tagged")
    assert metadata["platform"] == "echo" and sorted(metadata["versions"]) == ["1", "2"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert server.is_server_live() and server.is_server_ready()
    assert server.is_model_ready("tagged", "2") and not server.is_model_ready("nobody")
    assert server.get_server_metadata()["name"] == "salver"


def post(path, body):
    request = urllib.request.Request(f"http://{ADDRESS}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


def test_plain_json_is_answered_flat_and_in_json():
    nested = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3.5, -4]]}]}
    expected = [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2.0, 3.5, -4.0]}]
    answer = post("/v2/models/echo_fp32/infer", nested)
    assert answer == {"model_name": "echo_fp32", "model_version": "1", "outputs": expected}


def test_large_tensors_come_back(server):
    sent = np.random.default_rng(1).random([4, 1 << 20], np.float32)
    assert same(echo(server, "FP32", sent, True, True), sent)
