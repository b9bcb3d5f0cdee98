"""A model file is tried where it can do no harm."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

import onnx_models
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flask_ailydian.engine.child import ask
from flask_ailydian.engine.probe import inline_external_data
from flask_ailydian.engine.probe import ModelReport
from flask_ailydian.engine.probe import probe
from flask_ailydian.engine.probe import ProbeLimits
from flask_ailydian.engine.probe import REFUSALS
from flask_ailydian.errors import ModelRefused

LIMITS = ProbeLimits(wall_seconds=20, cpu_seconds=3)


def test_a_report_says_what_a_model_takes_and_gives() -> None:
    report = probe(onnx_models.classifier(labels=3, size=8))
    (given,), (gives,) = report.inputs, report.outputs
    assert (given.name, given.dtype, given.shape) == ("input", "float32", ("batch", 3, 8, 8))
    assert (gives.name, gives.shape) == ("probabilities", ("batch", 3))
    assert (report.opset, report.ran, report.ends_in_probabilities) == (17, True, True)
    assert report.load_ms > 0 and report.peak_bytes > 10**6
    assert ModelReport.from_json(report.to_json()) == report


def test_logits_are_told_from_probabilities() -> None:
    assert not probe(onnx_models.classifier(softmax=False)).ends_in_probabilities


def test_a_model_of_strings_is_tried_as_well() -> None:
    report = probe(onnx_models.text_classifier())
    assert (report.inputs[0].dtype, report.ran) == ("string", True)


@pytest.mark.parametrize("name", sorted(onnx_models.HOSTILE))
def test_a_hostile_file_is_refused_in_one_sentence_of_ours(name: str) -> None:
    with pytest.raises(ModelRefused) as caught:
        probe(onnx_models.HOSTILE[name](), limits=LIMITS)
    text = str(caught.value)
    assert text.endswith(".") and "/" not in text and "\n" not in text


@pytest.mark.parametrize("make", [onnx_models.division_trap, onnx_models.scalar_dft])
def test_a_model_that_kills_its_process_kills_only_that(make: t.Callable[[], bytes]) -> None:
    with pytest.raises(ModelRefused):
        probe(make(), limits=LIMITS)


def test_a_model_that_sleeps_is_ended() -> None:
    with pytest.raises(ModelRefused, match="in time"):
        probe(onnx_models.endless(), limits=ProbeLimits(wall_seconds=1.5, cpu_seconds=60))


def test_too_little_memory_is_a_refusal_and_no_crash() -> None:
    with pytest.raises(ModelRefused):
        probe(onnx_models.classifier(), limits=ProbeLimits(memory_bytes=2**26))


def test_the_child_sees_nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "onnx.py").write_text("raise SystemExit(3)")
    assert probe(onnx_models.adder()).ran
    assert [p.name for p in tmp_path.iterdir()] == ["onnx.py"]


@given(place=st.integers(0, 700), change=st.binary(min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_any_mutant_is_a_report_or_a_refusal(place: int, change: bytes) -> None:
    good = onnx_models.classifier()
    mutant = good[:place] + change + good[place + len(change) :]
    try:
        assert isinstance(probe(mutant, limits=LIMITS), ModelReport)
    except ModelRefused as error:
        assert "/" not in str(error)


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.external_data())
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    whole = inline_external_data(path, max_bytes=10**6)
    assert probe(whole).ran


@pytest.mark.parametrize(
    "location", ["../weights.bin", "/etc/hostname", "sub/../../weights.bin", "link.bin", "hard.bin"]
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    secret = tmp_path / "weights.bin"
    secret.write_bytes(b"S" * 16)
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.bin").symlink_to(secret)
    os.link(secret, folder / "hard.bin")
    path = folder / "m.onnx"
    path.write_bytes(onnx_models.external_data(location))
    with pytest.raises(ModelRefused, match="outside its folder"):
        inline_external_data(path, max_bytes=10**6)


def test_an_answer_beyond_its_limit_is_a_refusal_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.classifier(size=256))
    data, request = path.read_bytes(), {"mode": "inline", "folder": str(tmp_path)}
    started = time.monotonic()
    with pytest.raises(ModelRefused, match="larger than"):
        request |= {"max_bytes": 10**9}
        ask("_probe_child", request, data, LIMITS, most=1000)
    assert time.monotonic() - started < LIMITS.wall_seconds / 2


def test_every_refusal_is_one_sentence() -> None:
    assert all(text.endswith(".") and text[0].isupper() for text in REFUSALS.values())
