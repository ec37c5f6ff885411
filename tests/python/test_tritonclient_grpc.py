"""Triton's own client over gRPC."""

import numpy as np
import pytest
import tritonclient.grpc as client
from tritonclient.utils import InferenceServerException

from conftest import ADDRESS, NUMBERS, PATIENCE, STRINGS, same

# What Triton's client has a name for.
KINDS = [dtype for dtype in NUMBERS if not dtype.startswith("COMPLEX")]


@pytest.fixture(scope="module")
def server():
    with client.InferenceServerClient(ADDRESS) as server:
        yield server


def echo(server, dtype, array, model=None):
    tensor = client.InferInput("x", list(array.shape), dtype)
    tensor.set_data_from_numpy(array)
    result = server.infer(model or f"echo_{dtype.lower()}", [tensor])
    return result.as_numpy("x"), result.get_output("x").datatype


@pytest.mark.parametrize("dtype", KINDS)
def test_numbers_come_back_bit_for_bit(server, dtype):
    sent = NUMBERS[dtype]
    found, kind = echo(server, dtype, sent)
    assert kind == dtype
    assert same(found, sent)


def test_strings_of_any_bytes_come_back(server):
    found, kind = echo(server, "BYTES", STRINGS)
    assert kind == "BYTES"
    assert same(found, STRINGS)


@pytest.mark.parametrize("shape", [[], [0], [0, 5], [1], [2, 0, 3], [2, 1, 3, 1, 2]])
def test_any_shape_comes_back(server, shape):
    sent = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    assert same(echo(server, "FP32", sent)[0], sent)


TYPED = {
    "BOOL": ("bool_contents", bool),
    "UINT8": ("uint_contents", int),
    "UINT16": ("uint_contents", int),
    "UINT32": ("uint_contents", int),
    "UINT64": ("uint64_contents", int),
    "INT8": ("int_contents", int),
    "INT16": ("int_contents", int),
    "INT32": ("int_contents", int),
    "INT64": ("int64_contents", int),
    "FP32": ("fp32_contents", float),
    "FP64": ("fp64_contents", float),
}


@pytest.mark.parametrize("dtype", TYPED)
def test_typed_contents_are_answered_raw(server, dtype):
    field, python_type = TYPED[dtype]
    sent = NUMBERS[dtype]
    request = client.service_pb2.ModelInferRequest(model_name=f"echo_{dtype.lower()}", id="typed")
    tensor = request.inputs.add(name="x", datatype=dtype, shape=sent.shape)
    getattr(tensor.contents, field).extend(python_type(value) for value in sent.ravel())
    response = server._client_stub.ModelInfer(request)
    assert response.id == "typed"
    assert list(response.raw_output_contents) == [sent.tobytes()]
    assert not response.outputs[0].HasField("contents")


def test_typed_strings_are_answered_raw(server):
    request = client.service_pb2.ModelInferRequest(model_name="echo_bytes")
    tensor = request.inputs.add(name="x", datatype="BYTES", shape=STRINGS.shape)
    tensor.contents.bytes_contents.extend(STRINGS.ravel().tolist())
    response = server._client_stub.ModelInfer(request)
    raw = b"".join(len(text).to_bytes(4, "little") + text for text in STRINGS.ravel())
    assert list(response.raw_output_contents) == [raw]


def tagged(server, version="", **more):
    tensor = client.InferInput("x", [2, 2], "FP32")
    tensor.set_data_from_numpy(np.zeros([2, 2], np.float32))
    return server.infer("tagged", [tensor], model_version=version, **more)


@pytest.mark.parametrize("asked, answered", [("", 2), ("1", 1), ("2", 2)])
def test_the_version_asked_for_answers(server, asked, answered):
    result = tagged(server, asked)
    assert result.as_numpy("version").tolist() == [answered, answered]
    assert result.get_response().model_version == str(answered)
    assert result.get_response().model_name == "tagged"


def test_only_the_outputs_asked_for_are_returned(server):
    result = tagged(server, outputs=[client.InferRequestedOutput("version")], request_id="mine")
    assert [output.name for output in result.get_response().outputs] == ["version"]
    assert result.get_response().id == "mine"


def test_the_outputs_are_in_the_order_asked_for(server):
    wanted = [client.InferRequestedOutput(name) for name in ["version", "x"]]
    result = tagged(server, outputs=wanted)
    assert [output.name for output in result.get_response().outputs] == ["version", "x"]


def test_an_input_that_may_be_left_out_has_its_default(server):
    tensor = client.InferInput("x", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.ones([1, 2], np.float32))
    result = server.infer("pair", [tensor])
    assert result.as_numpy("bias").tolist() == 7


def test_metadata_describes_the_model(server):
    metadata = server.get_model_metadata("tagged", as_json=True)
    assert metadata["name"] == "tagged"
    assert sorted(metadata["versions"]) == ["1", "2"]
    assert metadata["platform"] == "echo"
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "2"]}]
    assert metadata["outputs"][0] == {"name": "x", "datatype": "FP32", "shape": ["-1", "2"]}
    assert metadata["outputs"][1] == {"name": "version", "datatype": "INT64", "shape": ["-1"]}


def test_the_server_is_live_and_ready_and_has_a_name(server):
    assert server.is_server_live() and server.is_server_ready()
    assert server.is_model_ready("tagged") and server.is_model_ready("tagged", "1")
    assert not server.is_model_ready("tagged", "9") and not server.is_model_ready("nobody")
    assert not server.is_model_ready("broken")
    assert server.get_server_metadata().name == "salver"


def test_concurrent_calls_get_each_its_own_answer(server):
    import queue

    answers = queue.Queue()
    for number in range(100):
        tensor = client.InferInput("x", [1], "INT32")
        tensor.set_data_from_numpy(np.array([number], np.int32))
        server.async_infer(
            "echo_int32", [tensor], lambda result, error: answers.put((result, error)), request_id=str(number)
        )
    seen = set()
    for _ in range(100):
        result, error = answers.get(timeout=PATIENCE)
        assert error is None
        assert result.get_response().id == str(result.as_numpy("x")[0])
        seen.add(result.get_response().id)
    assert len(seen) == 100


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_calls_are_answered(server, compression):
    assert tagged(server, compression_algorithm=compression).as_numpy("version").tolist() == [2, 2]


def test_a_deadline_is_kept(server):
    tensor = client.InferInput("x", [1], "FP32")
    tensor.set_data_from_numpy(np.zeros([1], np.float32))
    with pytest.raises(InferenceServerException) as error:
        server.infer("slow", [tensor], client_timeout=0.2)
    assert error.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_large_tensors_come_back(server):
    sent = np.random.default_rng(1).random([8, 1 << 20], np.float32)
    assert same(echo(server, "FP32", sent)[0], sent)
