"""The demo model that the package ships."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL import ImageOps

from flask_ailydian import demo
from flask_ailydian.engine.files import sha256_of
from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.engine.probe import probe
from flask_ailydian.registration import Declared
from flask_ailydian.registration import describe


def test_the_file_is_small_and_takes_any_batch() -> None:
    data = demo.read()
    assert len(data) <= 4 * 2**20
    engine = OnnxEngine(data)
    for count in (1, 3):
        zeros = np.zeros((count, 3, 224, 224), np.float32)
        (out,) = engine.run({"input": zeros}, deadline=None).values()
        assert out.shape == (count, 3)
        np.testing.assert_allclose(out.sum(axis=1), 1, atol=1e-5)


def test_the_shipped_row_is_what_registering_the_file_gives() -> None:
    data, row = demo.read(), demo.row()
    measured = {"load_ms": 0.0, "run_ms": 0.0, "peak_bytes": 0}
    expected = describe(probe(data), Declared(domain="medical"))
    expected["report"] |= measured
    # A first release's row: what later steps of the schema added stays empty.
    assert expected.pop("serving") is None
    assert expected["report"].pop("loaded_bytes") > 0
    assert expected["report"].pop("remote") is None
    assert {key: row[key] for key in expected} == expected
    assert (row["file_sha256"], row["file_bytes"]) == (sha256_of(data), len(data))
    assert row["deployment_status"] == "testing"
    assert row["labels"] == ["COVID-19", "Pneumonia", "Normal"]


def test_it_says_wherever_it_speaks_that_it_is_not_for_diagnosis() -> None:
    assert "Not for diagnosis" in demo.row()["description"]
    assert "Not for diagnosis" in demo.card()
    assert "NIH Clinical Center" in demo.card() and "CC BY 3.0" in demo.card()


def test_placing_it_gives_the_path_of_the_row(tmp_path: Path) -> None:
    assert demo.place(tmp_path) == demo.row()["file_path"]
    assert (tmp_path / demo.row()["file_path"]).read_bytes() == demo.read()


def test_the_card_states_what_the_validation_images_give(data: Path) -> None:
    if not os.path.exists(data / "cxr" / "labels.csv"):
        pytest.skip("no X-rays here; set AILYDIAN_TEST_DATA to a folder that has cxr/")
    engine, labels = OnnxEngine(demo.read()), demo.row()["labels"]
    with (data / "cxr" / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    right = 0
    for row in rows:
        with Image.open(data / "cxr" / row["file"]) as image:
            fitted = ImageOps.fit(image.convert("RGB"), (224, 224), Image.Resampling.BILINEAR)
        tensor = ((np.asarray(fitted) / 255 - mean) / std).transpose(2, 0, 1)[None]
        (out,) = engine.run({"input": tensor.astype(np.float32)}, deadline=None).values()
        right += labels[int(out.argmax())] == row["cls"]
    stated = f"{right / len(rows) * 100:.1f} %"
    assert stated in demo.card()
