"""Requests that come close together run together, for engines to which that matters."""

from __future__ import annotations

import collections.abc as c
import threading
import time
import typing as t

import numpy as np

from ..errors import ModelFailed
from ..errors import Timeout
from .protocol import Array

Arrays = dict[str, Array]
Run = c.Callable[[Arrays, float], Arrays]


class _Batch:
    def __init__(self) -> None:
        self.members: list[Arrays] = []
        self.deadlines: list[float] = []
        self.full = threading.Event()
        self.done = threading.Event()
        self.answers: list[Arrays] | None = None


class Batcher:
    """Collects the inputs of one model along their first axis.

    The first to come waits for others, runs for all of them, and each takes its own answer.

    :param max_batch: Inputs in one run.
    :param max_delay: Seconds that the first waits at the most.
    """

    def __init__(self, max_batch: int, max_delay: float) -> None:
        self.max_batch = max_batch
        self.max_delay = max_delay
        self._lock = threading.Lock()
        self._open: dict[t.Any, _Batch] = {}

    def run(self, arrays: Arrays, run: Run, *, deadline: float) -> Arrays:
        """Return the outputs of one input, wherever it ran.

        :param arrays: With a first axis of 1.
        :param run: Runs a batch before a deadline.
        :raises Timeout: when the deadline passes first.
        """
        # Only inputs of one shape fit into one array.
        shape = tuple((name, array.dtype.str, array.shape[1:]) for name, array in arrays.items())
        with self._lock:
            batch = self._open.setdefault(shape, _Batch())
            place = len(batch.members)
            batch.members.append(arrays)
            batch.deadlines.append(deadline)
            if len(batch.members) >= self.max_batch:
                del self._open[shape]
                batch.full.set()
        if place == 0:
            self._lead(shape, batch, run, deadline)
        elif not batch.done.wait(max(0.0, deadline - time.monotonic())):
            raise Timeout()
        if batch.answers is None:
            # One bad input must not fail its neighbours: each runs by itself.
            return run(arrays, deadline)
        return batch.answers[place]

    def _lead(self, shape: t.Any, batch: _Batch, run: Run, deadline: float) -> None:
        left = max(0.0, deadline - time.monotonic())
        if self.max_batch > 1:
            batch.full.wait(min(self.max_delay, left))
        with self._lock:
            if self._open.get(shape) is batch:
                del self._open[shape]
        try:
            if len(batch.members) > 1:
                together = {
                    name: np.concatenate([member[name] for member in batch.members])
                    for name in batch.members[0]
                }
                batch.answers = _apart(run(together, max(batch.deadlines)), len(batch.members))
        except ModelFailed:
            batch.answers = None
        finally:
            batch.done.set()


def _apart(outputs: Arrays, count: int) -> list[Arrays]:
    """Cut the outputs of a batch into those of its members.

    :raises ModelFailed: when there are not as many answers as questions.
    """
    for array in outputs.values():
        if not isinstance(array, np.ndarray) or array.ndim == 0 or array.shape[0] != count:
            raise ModelFailed("The model gave another number of answers than it was asked.")
    return [{name: a[i : i + 1] for name, a in outputs.items()} for i in range(count)]
