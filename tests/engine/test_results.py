"""The cache of answers: bounded, expiring, never another model's, one run at a time."""

from __future__ import annotations

import threading
import time
import typing as t

import numpy as np
import pytest

from flask_ailydian.engine.results import OVERHEAD
from flask_ailydian.engine.results import ResultCache
from flask_ailydian.errors import ClientGone
from flask_ailydian.errors import ModelFailed
from flask_ailydian.errors import Timeout


class Model:
    """Counts its runs."""

    def __init__(self, size: int = 1) -> None:
        self.runs = 0
        self.size = size

    def __call__(self) -> dict[str, t.Any]:
        self.runs += 1
        return {"y": np.full(self.size, self.runs, np.float64)}


def ask(
    cache: ResultCache, model: t.Any, key: str = "k", name: str = "m", **options: t.Any
) -> t.Any:
    options = {"entries": 10, "seconds": 60.0, "deadline": time.monotonic() + 30} | options
    return cache.get_or_run(name, (key,), model, **options)


def test_a_repeat_gets_the_first_answer_and_says_so() -> None:
    cache, model = ResultCache(2**20), Model()
    assert ask(cache, model)[1] is False
    outputs, cached = ask(cache, model)
    assert cached and outputs["y"].tolist() == [1] and model.runs == 1


def test_nothing_is_shared_across_models_versions_or_inputs() -> None:
    cache, model = ResultCache(2**20), Model()
    for name, key in (("m", "k"), ("n", "k"), ("m", "l")):
        assert ask(cache, model, key, name)[1] is False
    assert model.runs == 3


def test_an_answer_expires() -> None:
    moment = [0.0]
    cache, model = ResultCache(2**20, lambda: moment[0]), Model()
    ask(cache, model, seconds=5.0, deadline=100.0)
    moment[0] = 4.9
    assert ask(cache, model, deadline=100.0)[1]
    moment[0] = 5.0
    assert not ask(cache, model, deadline=100.0)[1]


def test_entries_are_bounded_by_model_and_the_longest_unused_goes() -> None:
    cache, model = ResultCache(2**20), Model()
    for key in "abc":
        ask(cache, model, key, entries=3)
    ask(cache, model, "other", "n")
    ask(cache, model, "a", entries=3)
    ask(cache, model, "d", entries=3)
    assert [ask(cache, model, key, entries=3)[1] for key in "acd"] == [True, True, True]
    assert ask(cache, model, "other", "n")[1]
    assert len(cache) == 4


def test_bytes_are_bounded_over_all_models() -> None:
    size = OVERHEAD + 800
    cache, model = ResultCache(3 * size), Model(100)
    for key in "abcde":
        ask(cache, model, key, name=key)
        assert cache.bytes_used <= 3 * size
    assert len(cache) == 3
    ask(cache, Model(10_000), "huge")
    assert len(cache) == 3 and not ask(cache, model, "huge")[1]


def test_a_kept_answer_cannot_be_changed_by_who_got_it() -> None:
    cache, model = ResultCache(2**20), Model()
    outputs, _ = ask(cache, model)
    with pytest.raises(ValueError, match="read-only"):
        outputs["y"][0] = 5


def test_identical_inputs_at_once_run_once() -> None:
    cache, runs, found = ResultCache(2**20), list[int](), list[t.Any]()
    barrier = threading.Barrier(8)

    def run() -> dict[str, t.Any]:
        runs.append(1)
        time.sleep(0.05)
        return {"y": np.ones(1)}

    def one() -> None:
        barrier.wait()
        found.append(ask(cache, run)[0]["y"].item())

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(runs), found) == (1, [1.0] * 8)


@pytest.mark.parametrize(("error", "others"), [(ClientGone, "run"), (ModelFailed, "fail")])
def test_what_one_caller_gave_up_the_next_takes_over(error: type[Exception], others: str) -> None:
    cache, entered, leave = ResultCache(2**20), threading.Event(), threading.Event()

    def leading() -> t.NoReturn:
        entered.set()
        leave.wait(30)
        raise error()

    def lead() -> None:
        with pytest.raises(error):
            ask(cache, leading)

    leader = threading.Thread(target=lead)
    leader.start()
    assert entered.wait(30)
    threading.Timer(0.05, leave.set).start()
    model = Model()
    if others == "run":
        assert ask(cache, model)[0]["y"].item() == 1
    else:
        # The same input would fail the same way: it is not run for everybody who asked.
        with pytest.raises(error):
            ask(cache, model)
        assert model.runs == 0
    leader.join(30)
    assert ask(cache, model)[0]["y"].item() == 1


def test_who_waits_for_another_s_run_waits_no_longer_than_the_own_deadline() -> None:
    cache, entered, leave = ResultCache(2**20), threading.Event(), threading.Event()

    def slow() -> dict[str, t.Any]:
        entered.set()
        leave.wait(30)
        return {"y": np.ones(1)}

    leader = threading.Thread(target=lambda: ask(cache, slow))
    leader.start()
    assert entered.wait(30)
    with pytest.raises(Timeout):
        ask(cache, slow, deadline=time.monotonic() + 0.05)
    leave.set()
    leader.join(30)


def test_texts_have_no_size_that_is_known_and_are_not_kept() -> None:
    cache = ResultCache(2**20)
    ask(cache, lambda: {"y": np.array(["a"], dtype=object)})
    assert len(cache) == 0
