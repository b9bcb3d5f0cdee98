"""The model repository for Triton."""

from __future__ import annotations

import json
from pathlib import Path

import onnx_models
import pytest
from flask import Flask

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

PHOTO = """\
name: "shapes"
backend: "onnxruntime"
max_batch_size: 8
input {
  name: "input"
  data_type: TYPE_FP32
  dims: [ 3, 8, 8 ]
}
output {
  name: "probabilities"
  data_type: TYPE_FP32
  dims: [ 3 ]
  label_filename: "labels.txt"
}
dynamic_batching { max_queue_delay_microseconds: 2000 }
version_policy { all { } }
"""


def export(app: Flask, folder: Path, *names: str) -> tuple[int, str]:
    words = ["ailydian", "models", "export", "--triton", str(folder), "--json", *names]
    done = app.test_cli_runner().invoke(args=words)
    return done.exit_code, done.output


def test_the_active_version_is_written_as_triton_loads_it(app: Flask, tmp_path: Path) -> None:
    status, said = export(app, tmp_path / "repository")
    assert status == 0 and json.loads(said) == [{"name": "shapes", "version": "v1", "number": 1}]
    home = tmp_path / "repository" / "shapes"
    assert (home / "config.pbtxt").read_text() == PHOTO
    assert (home / "labels.txt").read_text() == "circle\nsquare\nstar\n"
    assert (home / "1" / "model.onnx").read_bytes() == onnx_models.classifier(labels=3, size=8)
    assert not list(home.rglob(".*"))


def test_versions_are_counted_and_old_ones_stay(app: Flask, tmp_path: Path) -> None:
    export(app, tmp_path)
    with app.app_context():
        newer = onnx_models.classifier(labels=3, size=8, seed=2)
        declared = Declared(serving={"max_batch": 4, "max_delay_ms": 1.5})
        current_ailydian.registry.register(newer, "shapes", "v2", declared, activate=True)
    export(app, tmp_path, "shapes")
    assert {file.name for file in (tmp_path / "shapes").iterdir() if file.is_dir()} == {"1", "2"}
    text = (tmp_path / "shapes" / "config.pbtxt").read_text()
    assert "max_batch_size: 4" in text and "max_queue_delay_microseconds: 1500" in text


def test_texts_and_inputs_without_a_batch(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        labels = Declared(labels=['say "yes"', "hayır"])
        current_ailydian.registry.register(onnx_models.text_classifier(), "words", "v1", labels)
        current_ailydian.registry.register(onnx_models.adder(), "adder", "v1", Declared())
    assert export(app, tmp_path)[0] == 0
    words = (tmp_path / "words" / "config.pbtxt").read_text()
    assert "max_batch_size: 0" in words and "TYPE_STRING" in words and "dims: [ -1, 2 ]" in words
    assert (tmp_path / "words" / "labels.txt").read_text().startswith('say "yes"\n')
    assert "dynamic_batching" not in (tmp_path / "adder" / "config.pbtxt").read_text()


@pytest.mark.parametrize("name", ["nobody", "../shapes"])
def test_what_is_not_there_is_not_written(app: Flask, tmp_path: Path, name: str) -> None:
    status, said = export(app, tmp_path / "out", name)
    assert status != 0 and "Traceback" not in said and not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, said = export(app, tmp_path / "file" / "inside")
    assert status != 0 and "cannot be written" in said
