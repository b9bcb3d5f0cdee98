"""One budget of memory for every model of a process."""

from __future__ import annotations

import random
import threading
import time
import typing as t

import numpy as np
import onnx_models
import pytest

from flask_ailydian.engine.onnx_engine import OnnxEngine
from flask_ailydian.engine.sessions import SessionPool
from flask_ailydian.errors import BackendUnavailable
from flask_ailydian.errors import ModelFailed
from flask_ailydian.errors import Overloaded

CLASSIFIER = onnx_models.classifier(labels=3, size=8)


class Counted:
    """An engine that knows whether it was closed, and how many there are."""

    open = 0

    def __init__(self) -> None:
        self.inner = OnnxEngine(CLASSIFIER, threads=1)
        self.closed = False
        Counted.open += 1

    def run(self, *args: t.Any, **options: t.Any) -> t.Any:
        assert not self.closed, "a closed engine was lent"
        return self.inner.run(*args, **options)

    def close(self) -> None:
        assert not self.closed
        self.closed = True
        Counted.open -= 1
        self.inner.close()


def later(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def test_concurrent_first_calls_make_one_engine() -> None:
    pool, made, engines = SessionPool(budget=100), list[int](), list[t.Any]()
    barrier = threading.Barrier(8)

    def make() -> t.Any:
        made.append(1)
        time.sleep(0.05)
        return Counted()

    def first() -> None:
        barrier.wait()
        with pool.lease("a", 10, make, deadline=later()) as engine:
            engines.append(engine)

    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(made), len(set(map(id, engines))), pool.loaded()) == (1, 1, ["a"])
    pool.clear()
    assert (pool.loaded(), pool.bytes_used) == ([], 0)


def test_the_longest_unused_makes_room_and_one_in_use_never_does() -> None:
    pool = SessionPool(budget=3)
    for key in "abc":
        pool.preload(key, 1, t.cast(t.Any, Counted), later())
    with pool.lease("a", 1, t.cast(t.Any, Counted), deadline=later()) as held:
        pool.preload("d", 1, t.cast(t.Any, Counted), later())
        assert pool.loaded() == ["c", "a", "d"]
        pool.preload("e", 2, t.cast(t.Any, Counted), later())
        assert pool.loaded() == ["a", "e"]
        assert not t.cast(t.Any, held).closed
    assert pool.bytes_used == 3
    pool.clear()


def test_what_finds_no_room_waits_for_it_and_no_longer_than_its_deadline() -> None:
    pool, entered, leave = SessionPool(budget=1), threading.Event(), threading.Event()

    def hold() -> None:
        with pool.lease("a", 1, t.cast(t.Any, Counted), deadline=later()):
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    with pytest.raises(Overloaded):
        pool.preload("b", 1, t.cast(t.Any, Counted), later(0.05))
    threading.Timer(0.05, leave.set).start()
    pool.preload("b", 1, t.cast(t.Any, Counted), later())
    holder.join(30)
    assert pool.loaded() == ["b"]
    pool.clear()


def test_a_model_larger_than_the_budget_is_refused_with_both_sizes() -> None:
    pool = SessionPool(budget=2**30)
    with pytest.raises(BackendUnavailable, match="2048 MiB.*AILYDIAN_MODEL_MEMORY_BYTES.*1024"):
        pool.preload("a", 2**31, t.cast(t.Any, Counted), later())


def test_a_failed_load_takes_no_memory_and_is_tried_again() -> None:
    pool = SessionPool(budget=1)

    def broken() -> t.Any:
        raise ModelFailed("no")

    with pytest.raises(ModelFailed):
        pool.preload("a", 1, broken, later())
    pool.preload("a", 1, t.cast(t.Any, Counted), later())
    assert pool.loaded() == ["a"]
    pool.clear()


def test_a_dropped_engine_is_closed_when_its_last_user_is_done() -> None:
    pool = SessionPool(budget=10)
    with pool.lease("a", 1, t.cast(t.Any, Counted), deadline=later()) as engine:
        pool.drop("a")
        assert not pool.holds("a") and not t.cast(t.Any, engine).closed
    assert t.cast(t.Any, engine).closed


def test_many_models_share_a_small_budget_without_an_error() -> None:
    pool, errors, before = SessionPool(budget=4), list[Exception](), Counted.open
    zeros = {"input": np.zeros((1, 3, 8, 8), np.float32)}

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(40):
                key = str(chance.randrange(12))
                with pool.lease(key, 1, t.cast(t.Any, Counted), deadline=later()) as engine:
                    engine.run(zeros, deadline=later())
                    assert pool.bytes_used <= 4
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert Counted.open - before == len(pool.loaded()) <= 4
    pool.clear()
    assert Counted.open == before
