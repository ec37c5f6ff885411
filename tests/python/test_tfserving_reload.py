"""Which models are served, changed by TensorFlow Serving's own client while the server runs.

The server starts with a list of one model, `tagged`, at version 1. `SALVER_REPOSITORY` holds its versions 1 and 2, and
those of `half_plus_two` and `broken`. The cases follow server_core_test.cc in TensorFlow Serving's repository.
"""

import os

import grpc
import pytest
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from conftest import ADDRESS, PATIENCE

REPOSITORY = os.environ["SALVER_REPOSITORY"]


@pytest.fixture(scope="module")
def channel():
    with grpc.insecure_channel(ADDRESS) as channel:
        yield channel


@pytest.fixture
def reload(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)

    def reload(models):
        text = f"config {{ model_config_list {{ {models} }} }}"
        request = text_format.Parse(text, model_management_pb2.ReloadConfigRequest())
        return stub.HandleReloadConfigRequest(request, timeout=PATIENCE)

    yield reload
    # As it was found, for the test that comes next.
    reload(model("tagged", "specific { versions: 1 }"))


@pytest.fixture
def ask(channel):
    """Which version answers."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def ask(name="tagged", label=None):
        shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in (1, 2)])
        x = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=shape, float_val=[1, 2])
        request = predict_pb2.PredictRequest(inputs={"x": x})
        request.model_spec.name = name
        if label is not None:
            request.model_spec.version_label = label
        reply = stub.Predict(request, timeout=PATIENCE)
        return reply.model_spec.version.value

    return ask


def model(name, versions="latest { num_versions: 1 }", labels=None):
    labels = "".join(f"version_labels {{ key: '{label}' value: {version} }} " for label, version in (labels or {}).items())
    base_path = f"{REPOSITORY}/{name}"
    return f"config {{ name: '{name}' base_path: '{base_path}' model_version_policy {{ {versions} }} {labels} }} "


BOTH = "specific { versions: 1 versions: 2 }"


def code(call, *arguments, **named):
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments, **named)
    return refused.value.code(), refused.value.details()


def test_the_list_of_the_file_is_served(ask):
    assert ask() == 1


def test_a_canary_gets_its_label_with_the_same_call_that_loads_it(reload, ask):
    reload(model("tagged", BOTH, {"stable": 1, "canary": 2}))
    assert [ask(label="stable"), ask(label="canary"), ask()] == [1, 2, 2]


def test_a_label_moves_forth_and_back_while_both_versions_are_warm(reload, ask):
    reload(model("tagged", BOTH, {"stable": 1}))
    for version in [2, 1, 2, 1]:
        reload(model("tagged", BOTH, {"stable": version}))
        assert ask(label="stable") == version


def test_a_label_that_is_gone_is_not_known(reload, ask):
    reload(model("tagged", BOTH, {"stable": 1, "canary": 2}))
    reload(model("tagged", BOTH, {"stable": 1}))
    assert code(ask, label="canary") == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Unrecognized servable version label: canary",
    )


def test_a_model_left_out_is_unloaded_and_one_put_back_is_loaded_again(reload, ask):
    reload(model("half_plus_two"))
    assert code(ask)[0] == grpc.StatusCode.NOT_FOUND
    reload(model("half_plus_two") + model("tagged", "all {}"))
    assert ask() == 2


def test_a_list_that_cannot_be_changes_nothing(reload, ask):
    for models, part in [
        (model("tagged") + model("tagged"), "twice"),
        ("config { name: 'tagged' base_path: 'relative/path' }", "absolute path"),
        ("config { name: 'tagged' }", "base_path"),
        ("config { base_path: '/models' }", "name"),
    ]:
        status, details = code(reload, models)
        assert status == grpc.StatusCode.INVALID_ARGUMENT and part in details, details
        assert ask() == 1


def test_models_that_do_not_become_available_are_told_at_once_and_the_others_are_served(reload, ask):
    status, details = code(reload, model("tagged", "specific { versions: 2 }") + model("broken") + model("missing"))
    assert status == grpc.StatusCode.UNKNOWN
    assert "2 model(s) did not become available" in details
    assert "the disk is on fire" in details and "missing" in details
    assert ask() == 2


def test_a_server_of_no_models_goes_on(reload, ask, channel):
    reload("")
    assert code(ask)[0] == grpc.StatusCode.NOT_FOUND
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "tagged"
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    states = [version.state for version in stub.GetModelStatus(status, timeout=PATIENCE).model_version_status]
    assert get_model_status_pb2.ModelVersionStatus.AVAILABLE not in states
