"""Class activation maps are what Grad-CAM gives, computed by hand."""

from __future__ import annotations

import typing as t
from pathlib import Path

import numpy as np
import onnx
import onnx_models
import pytest
from flask import Flask
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian import demo
from flask_ailydian.engine.cam import class_activation
from flask_ailydian.engine.cam import Head
from flask_ailydian.engine.cam import Heads
from flask_ailydian.engine.cam import KEPT
from flask_ailydian.engine.expose import with_outputs
from flask_ailydian.engine.files import sha256_of
from flask_ailydian.engine.open import open_engine
from flask_ailydian.engine.probe import probe
from flask_ailydian.errors import BackendUnavailable
from flask_ailydian.errors import ModelFailed
from flask_ailydian.registration import Declared

Array = np.ndarray[t.Any, np.dtype[t.Any]]

HEADS = {
    "Gemm": {"head": "Gemm"},
    "MatMul": {"head": "MatMul"},
    "1x1 Conv": {"head": "Conv"},
    "ReduceMean": {"pool": "ReduceMean"},
    "logits": {"softmax": False},
}


def tensor(size: int = 32) -> Array:
    return np.random.default_rng(3).normal(size=(1, 3, size, size)).astype(np.float32)


def weights_of(data: bytes) -> dict[str, Array]:
    model = onnx.load_model_from_string(data)
    found = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    dense = found["dense"].reshape(found["dense"].shape[:2])
    found["dense"] = dense if dense.shape == (3, 8) else dense.T
    return found


def features(image: Array, kernels: Array) -> Array:
    """The convolution and the rectifier of the test model, place by place."""
    padded = np.pad(image[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    side = image.shape[2] // 2
    out = np.zeros((8, side, side))
    for row in range(side):
        for column in range(side):
            part = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            out[:, row, column] = (kernels * part).sum(axis=(1, 2, 3))
    return np.maximum(out, 0)


def grad_cam(maps: Array, score: t.Callable[[Array], float]) -> Array:
    """Selvaraju et al., 2017, with gradients by differences; before the negative is dropped."""
    channel_weights = np.zeros(len(maps))
    for channel in range(len(maps)):
        for place in np.ndindex(maps.shape[1:]):
            up, down = maps.copy(), maps.copy()
            up[(channel, *place)] += 0.5
            down[(channel, *place)] -= 0.5
            channel_weights[channel] += score(up) - score(down)
    channel_weights /= maps[0].size
    return np.tensordot(channel_weights, maps, axes=1)


@pytest.mark.parametrize("kind", HEADS)
def test_a_map_equals_grad_cam_by_hand(kind: str) -> None:
    data = onnx_models.convolutional(16, **HEADS[kind])  # type: ignore[arg-type]
    report = probe(data)
    assert report.cam is not None and len(report.outputs) == 1
    engine = open_engine("onnx", data, threads=1, expose=report.exposed)
    image = tensor(16)
    found = engine.run({"input": image}, deadline=None, exposed=True)
    known = weights_of(data)
    maps = features(image, known["kernels"])
    weights = Head.from_json(report.cam).weights(data)
    assert weights.tolist() == known["dense"].tolist()
    for chosen in range(3):

        def score(maps: Array, chosen: int = chosen) -> float:
            return float(known["dense"][chosen] @ maps.mean(axis=(1, 2)) + known["bias"][chosen])

        grid = np.array(class_activation(found[report.exposed[0]], weights, chosen))
        assert np.allclose(grid, grad_cam(maps, score), atol=1e-4)
        # What the places add, and the offset, is the score.
        assert grid.sum() + known["bias"][chosen] == pytest.approx(score(maps), abs=1e-4)


def test_what_is_exposed_is_not_among_the_outputs_unless_asked_for() -> None:
    data = onnx_models.convolutional()
    engine = open_engine("onnx", data, threads=1, expose=["features"])
    assert [spec.name for spec in engine.outputs] == ["probabilities"]
    plain = open_engine("onnx", data, threads=1).run({"input": tensor()}, deadline=None)
    first = engine.run({"input": tensor()}, deadline=None)
    both = engine.run({"input": tensor()}, deadline=None, exposed=True)
    assert (list(first), list(both)) == (["probabilities"], ["probabilities", "features"])
    assert plain["probabilities"].tolist() == both["probabilities"].tolist()


def test_an_added_output_leaves_the_rest_of_the_file_as_it_was() -> None:
    data = onnx_models.convolutional()
    before, after = (
        onnx.load_model_from_string(x) for x in (data, with_outputs(data, ["features", "maps"]))
    )
    assert [o.name for o in after.graph.output] == ["probabilities", "features", "maps"]
    del after.graph.output[1:]
    assert after == before
    assert with_outputs(data, []) is data
    long = with_outputs(data, ["x" * 300])
    assert onnx.load_model_from_string(long).graph.output[-1].name == "x" * 300


def test_a_network_without_such_a_head_has_no_map() -> None:
    assert probe(onnx_models.classifier()).cam is None
    assert probe(onnx_models.adder()).cam is None
    assert probe(onnx_models.text_classifier()).exposed == ()


def test_scales_by_class_and_odd_readers_of_the_map_are_no_such_head() -> None:
    model = onnx.load_model_from_string(onnx_models.convolutional(softmax=False))
    scales = onnx.numpy_helper.from_array(np.array([1.0, 2.0, 3.0], np.float32), "scales")
    model.graph.initializer.append(scales)
    model.graph.node[-1].output[0] = "raw"
    model.graph.node.append(onnx.helper.make_node("Mul", ["raw", "scales"], ["logits"]))
    assert probe(model.SerializeToString()).cam is None
    scales.CopyFrom(onnx.numpy_helper.from_array(np.array(2.0, np.float32), "scales"))
    model.graph.initializer[-1].CopyFrom(scales)
    report = probe(model.SerializeToString())
    assert report.cam is not None and report.cam["factor"] == 2.0


def test_map_and_weights_that_do_not_fit_are_a_failure_of_the_model() -> None:
    with pytest.raises(ModelFailed):
        class_activation(np.zeros((1, 4, 2, 2), np.float32), np.zeros((3, 8), np.float32), 0)
    with pytest.raises(ModelFailed):
        class_activation(np.full((1, 8, 2, 2), np.nan, np.float32), np.ones((3, 8), np.float32), 0)


def test_weights_are_read_once_and_only_a_few_are_kept() -> None:
    data = onnx_models.convolutional()
    found = probe(data).cam
    assert found is not None
    heads, reads = Heads(), []

    def draw(digest: str) -> None:
        def read() -> bytes:
            reads.append(digest)
            return data

        heads.draw(digest, found, read, np.ones((1, 8, 2, 2), np.float32), 0)

    for digest in ["0", "0", *map(str, range(KEPT + 1)), "0"]:
        draw(digest)
    assert reads == ["0", *map(str, range(1, KEPT + 1)), "0"]


def test_an_unknown_type_of_model_has_no_engine() -> None:
    with pytest.raises(BackendUnavailable):
        open_engine("keras", b"")


@pytest.mark.parametrize("kind", ["tiny", "demo"])
def test_an_answer_is_explained_by_its_map(make_app: t.Callable[..., Flask], kind: str) -> None:
    app = make_app()
    data = onnx_models.convolutional() if kind == "tiny" else demo.read()
    with app.app_context():
        record = current_ailydian.registry.register(data, "model", "v1", Declared())
        body = current_ailydian.predict("model", image=encoded(), explain=True)
        assert current_ailydian.registry.verify(record) is None
        assert record.sha256 == sha256_of(data)
        plain = current_ailydian.predict("model", image=encoded())
    assert body["explanation"]["method"] == "cam"
    assert body["explanation"]["class"] == body["prediction"]
    side = {"tiny": 16, "demo": 7}[kind]
    assert np.array(body["explanation"]["grid"]).shape == (side, side)
    assert body["probabilities"] == plain["probabilities"]
    assert "outputs" not in body and "explanation" not in plain


def test_a_real_photo_is_explained_where_the_bird_is(
    make_app: t.Callable[..., Flask], data: Path
) -> None:
    photo = data / "models" / "parrot.jpg"
    app = make_app()
    with app.app_context():
        current_ailydian.registry.register(
            (data / "models" / "mobilenet_v2_1.0_224.onnx").read_bytes(),
            "photo",
            "v1",
            Declared(mean=(0.50196,) * 3, std=(0.50196,) * 3, size=(224, 224)),
        )
        body = current_ailydian.predict("photo", image=photo.read_bytes(), explain=True)
    grid = np.array(body["explanation"]["grid"])
    assert (body["explanation"]["method"], grid.shape) == ("cam", (7, 7))
    # The bird fills the middle; the corners are leaves.
    assert grid[2:5, 2:5].mean() > 2 * grid[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
