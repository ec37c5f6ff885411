"""TensorFlow Serving's REST interface, with nothing but the standard library.

The cases follow tensorflow_model_server_test.py in TensorFlow Serving's repository.
"""

import gzip
import json
import math
import urllib.error
import urllib.request

import pytest

from conftest import ADDRESS, PATIENCE


def ask(path, body=None, headers=None):
    """The status and the text of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{ADDRESS}{path}", data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def predict(model, body):
    status, text = ask(f"/v1/models/{model}:predict", body)
    assert status == 200, text
    return json.loads(text)


def test_predict_by_rows():
    """testPredictREST."""
    assert predict("half_plus_two", {"instances": [2.0, 3.0, 4.0]}) == {"predictions": [2.0, 3.0, 4.0]}


def test_predict_by_columns():
    """testPredictColumnarREST."""
    assert predict("half_plus_two", {"inputs": [2.0, 3.0, 4.0]}) == {"outputs": [2.0, 3.0, 4.0]}


def test_the_version_in_the_path_answers():
    for version in (1, 2):
        answer = predict(f"tagged/versions/{version}", {"instances": [[1, 2]]})
        assert answer == {"predictions": [{"x": [1.0, 2.0], "version": version}]}
    assert predict("tagged", {"instances": [[1, 2]]})["predictions"][0]["version"] == 2


def test_status():
    """testGetStatusREST."""
    status, text = ask("/v1/models/half_plus_two")
    assert status == 200
    assert json.loads(text) == {
        "model_version_status": [
            {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert ask("/v1/models/half_plus_two/versions/123") == (status, text)


def test_metadata():
    """testGetModelMetadataREST."""
    status, text = ask("/v1/models/half_plus_two/metadata")
    assert status == 200
    answer = json.loads(text)
    assert answer["model_spec"] == {"name": "half_plus_two", "signature_name": "", "version": "123"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    for tensor in (signature["inputs"]["x"], signature["outputs"]["y"]):
        assert tensor["dtype"] == "DT_FLOAT"
        shape = tensor["tensor_shape"]
        assert shape["unknown_rank"] is False
        assert [dim["size"] for dim in shape["dim"]] == ["-1"]


def test_prometheus():
    """testPrometheusEndpoint."""
    status, text = ask("/monitoring/prometheus/metrics")
    assert status == 200 and "# TYPE" in text


def test_several_inputs_are_objects():
    rows = {"instances": [{"x": [1, 2], "bias": 3}]}
    status, text = ask("/v1/models/pair:predict", rows)
    # A row adds a dimension to each input, and `bias` has none to give.
    assert status == 400, text
    columns = {"inputs": {"x": [[1, 2], [3, 4]], "bias": 5}}
    assert predict("pair", columns) == {"outputs": {"x": [[1.0, 2.0], [3.0, 4.0]], "bias": 5}}
    named = {"signature_name": "renamed", "inputs": {"x": [[1, 2]]}}
    assert predict("pair", named) == {"outputs": [[1.0, 2.0]]}


INTEGERS = {
    "uint8": [0, 255],
    "uint16": [0, 65535],
    "uint32": [0, 2**32 - 1],
    "uint64": [0, 2**64 - 1],
    "int8": [-128, 127],
    "int16": [-(2**15), 2**15 - 1],
    "int32": [-(2**31), 2**31 - 1],
    "int64": [-(2**63), 2**63 - 1],
}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_come_back_and_those_out_of_range_are_refused(dtype):
    values = INTEGERS[dtype]
    assert predict(f"echo_{dtype}", {"instances": values}) == {"predictions": values}
    for wrong in (values[0] - 1, values[1] + 1, 0.5, "1", True, None):
        status, text = ask(f"/v1/models/echo_{dtype}:predict", {"instances": [wrong]})
        assert status == 400 and json.loads(text)["error"], (wrong, text)


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32", "fp64"])
def test_floats_come_back(dtype):
    values = [0.5, -2.0, 0.0, 1024.0]
    assert predict(f"echo_{dtype}", {"instances": values}) == {"predictions": values}


def test_floats_are_written_so_that_they_read_back_to_the_same():
    values = [0.1, 1 / 3, 1.7976931348623157e308, 5e-324, -0.0]
    found = predict("echo_fp64", {"instances": values})["predictions"]
    assert [value.hex() for value in found] == [value.hex() for value in values]


def test_numbers_beyond_json_are_bare_words():
    status, text = ask("/v1/models/echo_fp32:predict", b'{"instances": [NaN, Infinity, -Infinity, Inf, -Inf]}')
    assert status == 200, text
    found = json.loads(text)["predictions"]
    assert math.isnan(found[0]) and found[1:] == [math.inf, -math.inf, math.inf, -math.inf]


def test_bools_come_back():
    assert predict("echo_bool", {"instances": [True, False]}) == {"predictions": [True, False]}


def test_strings_come_back_and_those_that_are_no_text_as_base64():
    values = ["plain", "", "ünïcödé", {"b64": "//6A"}, {"b64": "bnVsAGluc2lkZQA="}]
    found = predict("echo_bytes", {"instances": values})["predictions"]
    assert found == ["plain", "", "ünïcödé", {"b64": "//6A"}, "nul\0inside\0"]


def test_compressed_requests_are_read():
    body = gzip.compress(json.dumps({"instances": [1.0]}).encode())
    status, text = ask("/v1/models/half_plus_two:predict", body, {"Content-Encoding": "gzip"})
    assert (status, json.loads(text)) == (200, {"predictions": [1.0]})


def test_the_content_type_does_not_matter():
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        status, _ = ask("/v1/models/half_plus_two:predict", {"instances": [1.0]}, {"Content-Type": kind})
        assert status == 200, kind


def test_every_model_is_listed():
    status, text = ask("/v1/models")
    assert status == 200
    names = [model["name"] for model in json.loads(text)["models"]]
    assert {"half_plus_two", "tagged", "broken"} <= set(names) and names == sorted(names)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"instances": []}', b'{"instances": 1, "inputs": 1}',
                                  b'{"instances": [[1], [1, 2]]}', b'{"instances": {"x": 1}}', b"\xff"])
def test_bodies_that_make_no_sense_are_refused_before_the_model_is_looked_up(body):
    for model in ("half_plus_two", "nobody"):
        status, text = ask(f"/v1/models/{model}:predict", body or b" ")
        assert json.loads(text)["error"]
        # What is wrong without a signature is wrong for a model that is not there.
        assert status == 400 or (model == "nobody" and status == 404), (model, text)
