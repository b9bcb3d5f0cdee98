"""``tritonclient`` as it is, on a real port: every call that there is a route for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import typing as t
from pathlib import Path

import numpy as np
import onnx_models
import onnxruntime
import pytest
from flask import Flask
from live import rows
from live import serving
from PIL import Image
from servers import serve

from flask_ailydian import current_ailydian
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.registration import Declared

pytest.importorskip("tritonclient.http", reason="pip install 'tritonclient[http]'")
import tritonclient.http as triton  # noqa: E402
import tritonclient.http.aio as triton_aio  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402

RED = np.zeros((8, 8, 3), np.uint8) + np.array([250, 10, 10], np.uint8)


@pytest.fixture
def host(app: Flask) -> Flask:
    """A host that lets everybody do everything; it has the model `shapes`, of images."""
    app.extensions["test_ailydian"].gate.may(lambda who, action: True)
    return app


def add(host: Flask, name: str) -> None:
    """Register a model of plain tensors, or one of texts."""
    with host.app_context():
        if name == "adder":
            current_ailydian.registry.register(onnx_models.adder(), name, "v1", Declared())
        if name == "yesno":
            labels = Declared(labels=["evet", "hayir"])
            current_ailydian.registry.register(onnx_models.text_classifier(), name, "v1", labels)


@pytest.fixture
def url(host: Flask) -> t.Iterator[str]:
    with serving(host) as port:
        yield f"127.0.0.1:{port}/api/pytorch"


@pytest.fixture
def client(url: str) -> t.Iterator[t.Any]:
    with triton.InferenceServerClient(url) as found:
        yield found


def tensor(name: str, array: t.Any, datatype: str, *, binary: bool = True) -> t.Any:
    found = triton.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def png(pixels: t.Any = RED) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def prepared(pixels: t.Any = RED) -> t.Any:
    """The tensor that the model `shapes` gets for an image of its own size."""
    return ((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None].astype(np.float32)


def test_the_server_and_its_models_say_what_they_are(client: t.Any, host: Flask) -> None:
    add(host, "yesno")
    assert client.is_server_live() and client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.is_model_ready("shapes") and client.is_model_ready("shapes", "v1")
    assert not client.is_model_ready("nobody") and not client.is_model_ready("shapes", "v2")
    found = client.get_model_metadata("shapes", "v1")
    assert found["versions"] == ["v1"]
    assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 3, 8, 8]}]
    assert client.get_model_metadata("yesno")["inputs"][0]["datatype"] == "BYTES"
    names = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
    assert names == {"shapes": "READY", "yesno": "READY"}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tensors_go_there_and_come_back(
    client: t.Any, host: Flask, binary: bool, compression: str | None
) -> None:
    add(host, "adder")
    a, b = np.arange(3000, dtype=np.float32), np.ones(3000, np.float32)
    result = client.infer(
        "adder",
        [tensor("a", a, "FP32", binary=binary), tensor("b", b, "FP32", binary=binary)],
        outputs=[triton.InferRequestedOutput("sum", binary_data=binary)],
        request_id="seven",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    np.testing.assert_array_equal(result.as_numpy("sum"), a + 1)
    answer = result.get_response()
    assert answer["id"] == "seven" and answer["model_version"] == "v1"
    (row,) = rows(host)
    assert row.id == answer["parameters"]["audit_id"]
    assert row.status == "success" and len(row.input_hash) == 64


def test_an_image_model_takes_tensors_and_the_file_itself(client: t.Any, host: Flask) -> None:
    by_tensor = client.infer("shapes", [tensor("input", prepared(), "FP32")])
    file = np.array([png()], dtype=object)
    by_file = client.infer("shapes", [tensor("input", file, "BYTES")])
    also = client.infer("shapes", [tensor("image", file.reshape(1, 1), "BYTES")])
    expected = by_tensor.as_numpy("probabilities")
    np.testing.assert_allclose(by_file.as_numpy("probabilities"), expected, atol=1e-6)
    np.testing.assert_array_equal(also.as_numpy("probabilities"), by_file.as_numpy("probabilities"))
    with host.app_context():
        body = current_ailydian.predict("shapes", image=png())
    chances = [entry["probability"] for entry in body["probabilities"].values()]
    np.testing.assert_allclose(by_file.as_numpy("probabilities")[0], chances, atol=1e-6)
    found = rows(host)
    # The same file has the same fingerprint, whichever way it came.
    assert len(found) == 4 and len({row.input_hash for row in found[1:]}) == 1
    assert {row.status for row in found} == {"success"} and None not in [r.result for r in found]


def test_each_input_of_a_batch_is_on_record(client: t.Any, host: Flask) -> None:
    rng = np.random.default_rng(3)
    batch = rng.normal(size=(5, 3, 8, 8)).astype(np.float32)
    result = client.infer("shapes", [tensor("input", batch, "FP32")])
    together = result.as_numpy("probabilities")
    for i in range(5):
        one = client.infer("shapes", [tensor("input", batch[i : i + 1], "FP32")])
        np.testing.assert_array_equal(one.as_numpy("probabilities")[0], together[i])
    assert len(rows(host)) == 10
    ids = result.get_response()["parameters"]["audit_id"].split(",")
    assert {row.id for row in rows(host)} >= set(ids) and len(ids) == 5


def test_texts_are_bytes(client: t.Any, host: Flask) -> None:
    add(host, "yesno")
    for binary in (True, False):
        texts = np.array([b"evet", "hayır".encode()], dtype=object)
        result = client.infer("yesno", [tensor("text", texts, "BYTES", binary=binary)])
        assert result.as_numpy("scores").argmax(axis=1).tolist() == [0, 1]


def test_classes_by_name(client: t.Any) -> None:
    outputs = [triton.InferRequestedOutput("probabilities", class_count=2)]
    result = client.infer("shapes", [tensor("input", prepared(), "FP32")], outputs=outputs)
    found = result.as_numpy("probabilities")
    assert found.shape == (1, 2)
    score, place, label = found[0, 0].decode().split(":")
    assert label == ["circle", "square", "star"][int(place)] and 0 < float(score) <= 1


@pytest.mark.parametrize(
    ("model", "inputs", "outputs", "status", "word"),
    [
        ("nobody", [("a", np.ones(2, np.float32), "FP32")], None, "404", "model_not_found"),
        ("adder", [("a", np.ones(2, np.float32), "FP32")], None, "400", "unknown_tensor"),
        ("shapes", [("other", np.ones(2, np.float32), "FP32")], None, "400", "unknown_tensor"),
        ("shapes", [("input", np.ones(2, np.float32), "FP32")], None, "400", "wrong_shape"),
        (
            "shapes",
            [("input", np.ones((1, 3, 8, 8), np.float64), "FP64")],
            None,
            "400",
            "wrong_datatype",
        ),
        (
            "shapes",
            [("input", np.ones((1, 3, 8, 8), np.float32), "FP32")],
            "nothing",
            "400",
            "unknown_tensor",
        ),
        ("shapes", [("input", np.array([b"noise"], object), "BYTES")], None, "400", "image"),
        ("yesno", [("text", np.array([b"\xff"], object), "BYTES")], None, "400", "invalid_input"),
        (
            "shapes",
            [("input", np.ones((40, 3, 8, 8), np.float32), "FP32")],
            None,
            "400",
            "wrong_shape",
        ),
    ],
)
def test_what_is_wrong_is_said_and_on_record(
    client: t.Any,
    host: Flask,
    model: str,
    inputs: t.Any,
    outputs: str | None,
    status: str,
    word: str,
) -> None:
    add(host, model)
    wanted = None if outputs is None else [triton.InferRequestedOutput(outputs)]
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, [tensor(*one) for one in inputs], outputs=wanted)
    assert caught.value.status() == status and word in caught.value.message()
    (row,) = rows(host)
    assert row.status == "failed" and row.error in caught.value.message()


def test_models_are_loaded_and_unloaded(client: t.Any, host: Flask) -> None:
    client.unload_model("shapes")
    assert not client.is_model_ready("shapes")
    with pytest.raises(InferenceServerException, match="model_not_found"):
        client.infer("shapes", [tensor("input", prepared(), "FP32")])
    states = {x["name"]: x["state"] for x in client.get_model_repository_index()}
    assert states["shapes"] == "UNAVAILABLE"
    client.load_model("shapes")
    assert client.is_model_ready("shapes")
    with pytest.raises(InferenceServerException, match="model_not_found"):
        client.load_model("nobody")
    host.extensions["test_ailydian"].gate.may(lambda who, action: action == "infer")
    for call in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="unauthenticated"):
            call("shapes")


def test_a_configuration_says_what_metadata_does(client: t.Any, host: Flask) -> None:
    add(host, "yesno")
    add(host, "adder")
    assert "model_configuration" in client.get_server_metadata()["extensions"]
    with host.app_context():
        serving_options = {"max_batch": 8, "max_delay_ms": 3.0}
        current_ailydian.registry.update("shapes", "v1", serving=serving_options)
    assert client.get_model_config("shapes", "v1") == client.get_model_config("shapes")
    found = client.get_model_config("shapes")
    assert found["platform"] == "onnxruntime_onnx" and found["max_batch_size"] == 32
    assert found["input"] == [{"name": "input", "data_type": "TYPE_FP32", "dims": [3, 8, 8]}]
    assert found["output"] == [{"name": "probabilities", "data_type": "TYPE_FP32", "dims": [3]}]
    assert found["dynamic_batching"]["max_queue_delay_microseconds"] == 3000
    assert client.get_model_config("yesno")["input"][0]["data_type"] == "TYPE_STRING"
    with pytest.raises(InferenceServerException, match="model_not_found"):
        client.get_model_config("shapes", "v9")


#: What only Triton has, as its client asks for it.
ELSEWHERE: dict[str, tuple[t.Any, ...]] = {
    "get_inference_statistics": (),
    "get_trace_settings": (),
    "update_trace_settings": ("shapes", {"trace_level": ["TIMESTAMPS"]}),
    "get_log_settings": (),
    "update_log_settings": ({"log_info": True},),
    "get_system_shared_memory_status": (),
    "register_system_shared_memory": ("part", "/part", 64),
    "unregister_system_shared_memory": ("part",),
    "get_cuda_shared_memory_status": (),
    "register_cuda_shared_memory": ("part", b"handle", 0, 64),
    "unregister_cuda_shared_memory": (),
}
HERE = {
    *("is_server_live", "is_server_ready", "is_model_ready", "get_server_metadata"),
    *("get_model_metadata", "get_model_config", "get_model_repository_index"),
    *("load_model", "unload_model", "infer", "async_infer"),
}
#: What calls no server.
LOCAL = {"generate_request_body", "parse_response_body", "close"}
LOCAL |= {"plugin", "register_plugin", "unregister_plugin"}


@pytest.mark.parametrize("kind", [triton.InferenceServerClient, triton_aio.InferenceServerClient])
def test_every_call_of_the_client_is_one_that_is_tried_here(kind: type) -> None:
    calls = {name for name in dir(kind) if not name.startswith("_")}
    assert calls <= HERE | LOCAL | set(ELSEWHERE)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_only_triton_has_is_not_found(client: t.Any, url: str, name: str) -> None:
    with pytest.raises(InferenceServerException, match="not_found") as caught:
        getattr(client, name)(*ELSEWHERE[name])
    assert caught.value.status() == "404"

    async def ask() -> None:
        async with triton_aio.InferenceServerClient(url) as other:
            await getattr(other, name)(*ELSEWHERE[name])

    with pytest.raises(InferenceServerException, match="not_found") as caught:
        asyncio.run(ask())
    assert caught.value.status() == "404"


def test_a_model_is_loaded_as_it_was_registered_and_with_nothing_else(client: t.Any) -> None:
    with pytest.raises(InferenceServerException, match="invalid_input") as caught:
        client.load_model("shapes", config='{"max_batch_size": 4}')
    assert caught.value.status() == "400"
    client.unload_model("shapes", unload_dependents=True)
    client.load_model("shapes")
    assert client.is_model_ready("shapes")


def test_a_call_in_the_background(client: t.Any) -> None:
    calls = [
        client.async_infer("shapes", [tensor("input", prepared(), "FP32")], timeout=5_000_000)
        for _ in range(4)
    ]
    for call in calls:
        assert call.get_result().as_numpy("probabilities").shape == (1, 3)


def test_a_deadline_in_microseconds_is_kept(client: t.Any) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("shapes", [tensor("input", prepared(), "FP32")], timeout=1)
    assert caught.value.status() == "504"


def test_the_client_for_asyncio(url: str) -> None:
    async def ask() -> t.Any:
        async with triton_aio.InferenceServerClient(url) as client:
            assert await client.is_server_ready() and await client.is_model_ready("shapes")
            assert (await client.get_model_metadata("shapes"))["name"] == "shapes"
            assert (await client.get_model_config("shapes", "v1"))["name"] == "shapes"
            assert await client.is_server_live() and await client.get_server_metadata()
            await client.unload_model("shapes")
            assert (await client.get_model_repository_index())[0]["state"] == "UNAVAILABLE"
            await client.load_model("shapes")
            calls = [
                client.infer(
                    "shapes",
                    [tensor("input", prepared(), "FP32")],
                    response_compression_algorithm="gzip",
                )
                for _ in range(4)
            ]
            return await asyncio.gather(*calls)

    for result in asyncio.run(ask()):
        assert result.as_numpy("probabilities").shape == (1, 3)


def test_a_person_keeps_the_arm_of_a_test(client: t.Any, host: Flask) -> None:
    with host.app_context():
        declared = Declared(labels=["circle", "square", "star"])
        other = onnx_models.classifier(labels=3, size=8, seed=7)
        current_ailydian.registry.register(other, "shapes", "v2", declared)
        current_ailydian.experiments.create(
            "both", "shapes:v1", "shapes:v2", plan=Plan(unit="user")
        )
    seen: dict[str, set[str]] = {}
    for user in [f"user{i}" for i in range(12)] * 2:
        inputs = [tensor("input", prepared(), "FP32")]
        answer = client.infer("shapes", inputs, parameters={"user_id": user}).get_response()
        seen.setdefault(user, set()).add(answer["model_version"])
    assert all(len(versions) == 1 for versions in seen.values())
    assert {v for versions in seen.values() for v in versions} == {"v1", "v2"}


def test_a_batch_in_a_test_names_the_version_of_each_input(client: t.Any, host: Flask) -> None:
    with host.app_context():
        declared = Declared(labels=["circle", "square", "star"])
        other = onnx_models.classifier(labels=3, size=8, seed=7)
        current_ailydian.registry.register(other, "shapes", "v2", declared)
        current_ailydian.experiments.create("both", "shapes:v1", "shapes:v2")
    batch = np.ones((32, 3, 8, 8), np.float32)
    answer = client.infer("shapes", [tensor("input", batch, "FP32")])
    versions = answer.get_response()["parameters"]["versions"].split(",")
    assert len(versions) == 32 and set(versions) == {"v1", "v2"}
    found = answer.as_numpy("probabilities")
    same = {
        version: {tuple(row) for row, v in zip(found, versions, strict=True) if v == version}
        for version in ("v1", "v2")
    }
    assert len(same["v1"]) == len(same["v2"]) == 1 and same["v1"] != same["v2"]


def test_many_clients_under_gunicorn(tmp_path: Path) -> None:
    with serve(tmp_path, "--threads", "8") as server:
        url = f"127.0.0.1:{server.port}/api/pytorch"

        def ask(start: int) -> list[t.Any]:
            rng = np.random.default_rng(start)
            found = []
            with triton.InferenceServerClient(url) as client:
                for _ in range(20):
                    array = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
                    result = client.infer("shapes", [tensor("input", array, "FP32")])
                    found.append((array, result.as_numpy("probabilities")))
            return found

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = [pair for pairs in pool.map(ask, range(6)) for pair in pairs]
    session = onnxruntime.InferenceSession(
        onnx_models.classifier(labels=3, size=8), providers=["CPUExecutionProvider"]
    )
    assert len(answers) == 120
    for array, given in answers:
        np.testing.assert_allclose(session.run(None, {"input": array})[0], given, atol=1e-5)
