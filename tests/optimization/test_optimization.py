"""A variant is registered with its proof, or not at all."""

from __future__ import annotations

import json
import tempfile
import typing as t
from pathlib import Path

import numpy as np
import onnx
import onnx_models
import pytest
from flask import Flask
from pictures import encoded
from PIL import Image

from flask_ailydian import current_ailydian
from flask_ailydian import optimization
from flask_ailydian import samples
from flask_ailydian.engine import optimize
from flask_ailydian.engine.optimize import Measured
from flask_ailydian.errors import Conflict
from flask_ailydian.errors import ModelRefused
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.registration import Declared
from flask_ailydian.registry import ModelRecord

COLOURS = ["red", "green", "blue"]


def paint(folder: Path, count: int = 60) -> Path:
    """Draw noisy pictures of one colour each, in folders that bear its name."""
    rng = np.random.default_rng(1)
    for i in range(count):
        kind = i % 3
        pixels = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8)
        pixels[:, :, kind] += rng.integers(110, 160, dtype=np.uint8)
        target = folder / COLOURS[kind] / f"{i}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encoded(Image.fromarray(pixels)))
    return folder


def register(data: bytes, *, task: str | None = None) -> ModelRecord:
    return current_ailydian.registry.register(
        data,
        "colours",
        "v1",
        Declared(
            labels=COLOURS if task is None else ["yes", "no"],
            domain="legal",
            task=task,
            mean=(0.5, 0.5, 0.5) if task is None else None,
            std=(0.5, 0.5, 0.5) if task is None else None,
            description="<b>Colours</b>",
        ),
        activate=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("colours"))


def run(app: Flask, *arguments: str) -> t.Any:
    return app.test_cli_runner().invoke(args=["ailydian", "models", "optimize", *arguments])


def test_a_variant_that_agrees_is_registered_with_its_proof(
    make_app: t.Callable[..., Flask], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    app = make_app()
    app.extensions["test_ailydian"].gate.may(lambda actor, action: True)
    with app.app_context():
        before = register(onnx_models.convolutional())
        said = run(app, "colours", "--images", str(folder), "--json")
        assert said.exit_code == 0, said.output
        after = current_ailydian.registry.get("colours", "v1-int8")
    answer = json.loads(said.stdout)
    proof = answer["proof"]
    assert answer["registered"] is True
    assert answer["model"]["proof"] == proof == after.proof
    assert (after.status, after.description) == ("testing", before.description)
    for kept in ("labels", "preprocessing", "task", "domain", "inputs"):
        assert getattr(after, kept) == getattr(before, kept)
    assert after.report.ends_in_probabilities
    assert proof["of"] == {"version": "v1", "sha256": before.sha256}
    assert (proof["calibration_samples"], proof["proof_samples"]) == (20, 40)
    assert proof["agreement"] == 1.0 and 0.9 < proof["agreement_at_least"] < 1.0
    assert 0 < proof["change"]["mean"] <= proof["change"]["largest"] < 0.1
    assert proof["accuracy"] == {"before": 1.0, "after": 1.0, "samples": 40}
    assert proof["bytes"] == {"before": before.file_bytes, "after": after.file_bytes}
    assert min(*proof["ms"].values(), *proof["peak_bytes"].values()) > 0
    # The very file that was judged, in integers, as the API shows it.
    with app.app_context():
        stored = current_ailydian.registry.read(after)
    kinds = {n.op_type for n in onnx.load_model_from_string(stored).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    body = app.test_client().get("/api/pytorch/models/colours/v1-int8").json
    assert body is not None and body["model"]["proof"] == proof
    listed = app.test_cli_runner().invoke(args=["ailydian", "models", "list", "--json"])
    found = {m["version"]: m["proof"] for m in json.loads(listed.stdout)}
    assert found == {"v1": None, "v1-int8": proof}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_figures_are_those_of_the_served_answers(
    make_app: t.Callable[..., Flask], folder: Path
) -> None:
    app = make_app()
    with app.app_context():
        record = register(onnx_models.convolutional(softmax=False))
        split = optimization.plan(record, samples.images(folder, COLOURS))
        outcome = optimization.optimise(
            current_ailydian.registry,
            current_ailydian.settings,
            record,
            split,
            version="small",
            min_agreement=0.9,
        )
        largest = 0.0
        for sample in split.judged:
            assert sample.path is not None
            image = sample.path.read_bytes()
            old, new = (
                current_ailydian.predict("colours", image=image, model_version=version)
                for version in ("v1", "small")
            )
            for label in COLOURS:
                a, b = (x["probabilities"][label]["probability"] for x in (old, new))
                largest = max(largest, abs(a - b))
        maps = [
            current_ailydian.predict("colours", image=image, model_version=v, explain=True)
            for v in ("v1", "small")
        ]
    assert outcome.proof["change"]["largest"] == pytest.approx(largest, abs=1e-6)
    whole, rounded = (np.array(body["explanation"]["grid"]) for body in maps)
    assert [body["explanation"]["method"] for body in maps] == ["cam", "cam"]
    assert abs(whole - rounded).max() < 0.03 * abs(whole).max()


def test_a_variant_that_disagrees_is_not_registered(
    make_app: t.Callable[..., Flask], folder: Path
) -> None:
    app = make_app()
    with app.app_context():
        register(onnx_models.convolutional(shrink=1e-4))
        said = run(app, "colours", "--images", str(folder))
        versions = [r.version for r in current_ailydian.registry.versions("colours")]
        files = list(current_ailydian.registry.folder.iterdir())
    assert said.exit_code == 1
    assert "agreement    0." in said.stdout and "nothing was registered" in said.output
    assert "accuracy     1.0000 -> 0." in said.stdout
    assert versions == ["v1"] and len(files) == 1


def test_an_old_opset_is_converted(make_app: t.Callable[..., Flask], folder: Path) -> None:
    app = make_app()
    with app.app_context():
        register(onnx_models.convolutional(opset=11))
        said = run(app, "colours", "--images", str(folder))
    assert said.exit_code == 0, said.output


def test_a_model_of_text_is_judged_on_lines(
    make_app: t.Callable[..., Flask], tmp_path: Path
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(["evet", *(f"hayır {i}" for i in range(40)), "", "evet"]))
    app = make_app()
    with app.app_context():
        register(onnx_models.text_classifier(), task="text-classification")
        said = run(app, "colours", "--texts", str(lines), "--json")
    assert said.exit_code == 0, said.output
    proof = json.loads(said.stdout)["proof"]
    assert (proof["method"], proof["calibration_samples"]) == ("int8-dynamic", 0)
    # The blank line and the repeated one are no samples.
    assert (proof["proof_samples"], proof["agreement"]) == (41, 1.0)


def test_what_cannot_be_optimised_is_told_before_any_work(
    make_app: t.Callable[..., Flask], folder: Path, tmp_path: Path
) -> None:
    app = make_app()
    with app.app_context():
        record = register(onnx_models.convolutional())
        found = samples.images(folder, COLOURS)
        with pytest.raises(ValidationFailed, match="48 different images"):
            optimization.plan(record, [*found[:40], *found[:40]])
        with pytest.raises(Conflict):
            optimization.optimise(
                current_ailydian.registry,
                current_ailydian.settings,
                record,
                optimization.plan(record, found),
                version="v1",
                min_agreement=0.9,
            )
        sums = current_ailydian.registry.register(onnx_models.adder(), "sums", "v1", Declared())
        with pytest.raises(ModelRefused, match="classifiers"):
            optimization.plan(sums, found)
        assert "--images" in run(app, "colours").output
        assert run(app, "nobody", "--images", str(folder)).exit_code == 1


def test_a_model_without_layers_has_nothing_to_win(
    make_app: t.Callable[..., Flask], tmp_path: Path
) -> None:
    node = onnx.helper.make_node(
        "LabelEncoder",
        ["text"],
        ["found"],
        domain="ai.onnx.ml",
        keys_strings=["evet"],
        values_floats=[2.0],
        default_float=-2.0,
    )
    data = onnx_models.build(
        [node],
        [onnx_models.value("text", ["n"], onnx.TensorProto.STRING)],
        [onnx_models.value("found", ["n"])],
        opsets={"ai.onnx.ml": 3},
    )
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(map(str, range(40))))
    app = make_app()
    with app.app_context():
        current_ailydian.registry.register(data, "plain", "v1", Declared())
        said = run(app, "plain", "--texts", str(lines))
    assert said.exit_code == 1 and "nothing that int8 would make quicker" in said.output


def test_images_that_cannot_be_read_are_counted(
    make_app: t.Callable[..., Flask], tmp_path: Path
) -> None:
    folder = paint(tmp_path / "images", 70)
    for i in range(5):
        (folder / f"{i}.png").write_bytes(b"no image %d" % i)
    app = make_app()
    with app.app_context():
        register(onnx_models.convolutional())
        said = run(app, "colours", "--images", str(folder), "--json")
    proof = json.loads(said.stdout)["proof"]
    assert proof["unreadable_samples"] == 5
    assert proof["calibration_samples"] + proof["proof_samples"] == 70


def test_a_split_goes_by_bytes_alone_and_keeps_both_halves_apart(tmp_path: Path) -> None:
    one = paint(tmp_path / "one", 30)
    other = paint(tmp_path / "other", 30)
    for path in sorted(other.rglob("*.png")):
        path.rename(path.with_name(f"renamed-{path.name}"))
    first, second = (samples.split(samples.images(f, ()), 10, most=15) for f in (one, other))
    assert [s.digest for s in first.fitted] == [s.digest for s in second.fitted]
    assert [s.digest for s in first.judged] == [s.digest for s in second.judged]
    twice = samples.split([*samples.images(one, ()), *samples.images(other, ())], 10, most=100)
    assert (len(twice.fitted), len(twice.judged)) == (10, 20)
    assert not {s.digest for s in twice.fitted} & {s.digest for s in twice.judged}


def test_labels_come_from_a_table_or_from_folders(tmp_path: Path) -> None:
    folder = paint(tmp_path / "images", 6)
    table = tmp_path / "labels.csv"
    table.write_text("\ufefffile,label\nred/0.png,blue\n")
    from_table = samples.images(folder, COLOURS, samples.read_table(table, COLOURS))
    assert [s.label for s in from_table if s.label] == ["blue"]
    assert {s.label for s in samples.images(folder, ["red"])} == {"red", None}
    table.write_text("red/0.png,violet\n")
    with pytest.raises(ValidationFailed) as caught:
        samples.read_table(table, COLOURS)
    assert "'violet'" in str(caught.value.fields)


def test_weights_keep_a_bit_free_where_products_would_overflow(
    make_app: t.Callable[..., Flask], folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert optimize.weight_bits("x86_64", "flags : avx2 avx512_vnni") == 8
    assert optimize.weight_bits("x86_64", "flags : avx2 avx512f") == 7
    assert optimize.weight_bits("aarch64", "Features : asimd") == 8
    monkeypatch.setattr(optimize.platform, "machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text("flags : avx2")
    monkeypatch.setattr(optimize, "CPU_INFO", tmp_path / "cpuinfo")
    app = make_app()
    with app.app_context():
        record = register(onnx_models.convolutional())
        split = optimization.plan(record, samples.images(folder, COLOURS))
        outcome = optimization.optimise(
            current_ailydian.registry,
            current_ailydian.settings,
            record,
            split,
            version="v1-int8",
            min_agreement=0.9,
        )
        assert outcome.record is not None
        stored = current_ailydian.registry.read(outcome.record)
    assert outcome.proof["weight_bits"] == 7
    graph = onnx.load_model_from_string(stored).graph
    tensors = [onnx.numpy_helper.to_array(w) for w in graph.initializer]
    largest = max(int(abs(w).max()) for w in tensors if w.dtype == np.int8 and w.size > 1)
    assert 60 <= largest <= 64


def test_the_arithmetic_of_a_proof() -> None:
    old = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    new = np.array([[0.8, 0.2], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]], np.float32)
    found = optimization.compare(
        Measured(old, 4.0, 100, "x"), Measured(new, 1.0, 50, "x"), already=True
    )
    assert found["agreement"] == 0.75
    # Wilson's interval for 3 of 4, as the textbooks have it: 0.3006 to 0.9544.
    assert found["agreement_at_least"] == 0.3006
    assert found["change"]["largest"] == pytest.approx(0.2)
    assert found["change"]["mean"] == pytest.approx(0.6 / 8)
    judged = [samples.Sample(str(i), label=name) for i, name in enumerate(["a", "b", "b", None])]
    right = optimization.accuracy(old, new, judged, ["a", "b"])
    assert right == {"before": pytest.approx(2 / 3), "after": 1.0, "samples": 3}


def test_a_real_photo_classifier_keeps_its_answers(
    make_app: t.Callable[..., Flask], data: Path, tmp_path: Path
) -> None:
    photo = Image.open(data / "models" / "parrot.jpg").convert("RGB")
    rng = np.random.default_rng(0)
    for i in range(60):
        side = int(rng.uniform(0.4, 1) * min(photo.size))
        x, y = (int(rng.uniform(0, whole - side + 1)) for whole in photo.size)
        (tmp_path / f"{i}.png").write_bytes(encoded(photo.crop((x, y, x + side, y + side))))
    app = make_app()
    with app.app_context():
        current_ailydian.registry.register(
            (data / "models" / "mobilenet_v2_1.0_224.onnx").read_bytes(),
            "photo",
            "v1",
            Declared(mean=(0.50196,) * 3, std=(0.50196,) * 3, size=(224, 224)),
        )
        said = run(app, "photo", "--images", str(tmp_path), "--min-agreement", "0.95", "--json")
    assert said.exit_code == 0, said.output
    proof = json.loads(said.stdout)["proof"]
    assert proof["bytes"]["after"] < 0.3 * proof["bytes"]["before"]
