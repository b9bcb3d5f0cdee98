"""Batches: each its own answer, and no neighbour's failure."""

from __future__ import annotations

import threading
import time
import typing as t

import numpy as np
import onnx_models
import pytest

from flask_ailydian.engine.batching import Batcher
from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.errors import ModelFailed
from flask_ailydian.errors import Timeout

Arrays = dict[str, t.Any]


def later(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def together(batcher: Batcher, inputs: list[Arrays], run: t.Any) -> list[t.Any]:
    found: list[t.Any] = [None] * len(inputs)

    def one(i: int) -> None:
        try:
            found[i] = batcher.run(inputs[i], run, deadline=later())
        except Exception as error:
            found[i] = error

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_everybody_gets_the_answer_to_the_own_question() -> None:
    engine = OnnxEngine(onnx_models.classifier(labels=3, size=8), threads=1)
    rng = np.random.default_rng(0)
    inputs = [{"input": rng.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(8)]
    sizes = []

    def run(arrays: Arrays, deadline: float) -> Arrays:
        sizes.append(len(arrays["input"]))
        return engine.run(arrays, deadline=deadline)

    found = together(Batcher(8, 5.0), inputs, run)
    assert sizes == [8]
    for arrays, answer in zip(inputs, found, strict=True):
        alone = engine.run(arrays, deadline=None)["probabilities"]
        np.testing.assert_allclose(answer["probabilities"], alone, atol=1e-6)


def test_one_who_stays_alone_runs_after_the_delay() -> None:
    started = time.monotonic()
    seen = []

    def run(arrays: Arrays, _: float) -> Arrays:
        seen.append(arrays["x"].shape)
        return arrays

    answer = Batcher(8, 0.05).run({"x": np.ones((1, 2))}, run, deadline=later())
    assert answer["x"].tolist() == [[1, 1]] and seen == [(1, 2)]
    assert 0.05 <= time.monotonic() - started < 5


def test_inputs_of_other_shapes_run_apart() -> None:
    def run(arrays: Arrays, _: float) -> Arrays:
        return {"y": arrays["x"] * 2}

    found = together(Batcher(2, 0.1), [{"x": np.ones((1, n))} for n in (1, 2, 1, 2)], run)
    assert [answer["y"].shape for answer in found] == [(1, 1), (1, 2), (1, 1), (1, 2)]


def test_a_bad_input_fails_alone() -> None:
    def run(arrays: Arrays, _: float) -> Arrays:
        if (arrays["x"] < 0).any():
            raise ModelFailed("a negative number")
        return {"y": arrays["x"]}

    inputs = [{"x": np.array([[float(n)]])} for n in (1, -1, 2)]
    good, bad, other = together(Batcher(3, 5.0), inputs, run)
    assert (good["y"].item(), other["y"].item()) == (1, 2)
    assert isinstance(bad, ModelFailed)


@pytest.mark.parametrize("answers", [1, 3])
def test_a_model_that_gives_another_number_of_answers_is_not_believed(answers: int) -> None:
    sizes = []

    def run(arrays: Arrays, _: float) -> Arrays:
        sizes.append(len(arrays["x"]))
        return {"y": np.zeros((answers if len(arrays["x"]) > 1 else 1, 1))}

    found = together(Batcher(2, 5.0), [{"x": np.zeros((1, 1))}] * 2, run)
    # The batch is thrown away, and each asks for itself.
    assert sorted(sizes) == [1, 1, 2] and all(a["y"].shape == (1, 1) for a in found)


def test_a_follower_waits_no_longer_than_its_deadline() -> None:
    batcher, leave = Batcher(2, 5.0), threading.Event()

    def run(arrays: Arrays, _: float) -> Arrays:
        leave.wait(30)
        return arrays

    leader = threading.Thread(
        target=lambda: batcher.run({"x": np.ones((1, 1))}, run, deadline=later())
    )
    leader.start()
    while not batcher._open:
        time.sleep(0.002)
    with pytest.raises(Timeout):
        batcher.run({"x": np.ones((1, 1))}, run, deadline=later(0.1))
    leave.set()
    leader.join(30)
