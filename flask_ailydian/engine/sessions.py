"""Engines and the sessions behind them, one pool per process."""

from __future__ import annotations

import collections.abc as c
import os
import threading
import time
import typing as t
import weakref

import numpy as np

from ..errors import BackendUnavailable
from ..errors import ModelFailed
from ..errors import Timeout
from ..errors import ValidationFailed
from . import runtime
from .expose import with_outputs
from .files import sha256_of
from .signature import TensorSpec
from .watchdog import Watchdog

Array = np.ndarray[t.Any, np.dtype[t.Any]]


class Engine(t.Protocol):
    """Arrays in, arrays out."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(
        self, arrays: dict[str, Array], *, deadline: float | None, exposed: bool = False
    ) -> dict[str, Array]:
        """Return the outputs by name, before ``time.monotonic()`` passes *deadline*.

        :param exposed: Return the exposed inner values as well, after the outputs.
        """

    def close(self) -> None:
        """Give back what the engine holds."""


class OnnxEngine:
    """An ONNX model in ONNX Runtime.

    :param threads: For one run; 0 for one per core.
    :param expose: Values of the graph that a run can return besides the outputs.
    :raises ModelFailed: when ONNX Runtime does not take the model.
    """

    def __init__(
        self,
        data: bytes,
        *,
        threads: int = 0,
        watchdog: Watchdog | None = None,
        expose: t.Sequence[str] = (),
    ) -> None:
        self._runtime = runtime.load()
        self._watchdog = watchdog or Watchdog()
        try:
            self._session = runtime.open_session(with_outputs(data, expose), threads=threads)
        # ONNX Runtime's exceptions have no common base, and their texts hold paths.
        except Exception as error:
            raise ModelFailed("The model could not be loaded.") from error
        self.inputs = tuple(map(TensorSpec.from_json, runtime.specs(self._session.get_inputs())))
        outputs = tuple(map(TensorSpec.from_json, runtime.specs(self._session.get_outputs())))
        self.outputs = outputs[: len(outputs) - len(expose)]
        self._exposed = tuple(expose)

    def run(
        self, arrays: dict[str, Array], *, deadline: float | None, exposed: bool = False
    ) -> dict[str, Array]:
        """Run the model.

        :raises ValidationFailed: when an array does not fit the model's inputs.
        :raises Timeout: when the deadline passes first; the run is ended.
        :raises ModelFailed: for everything that goes wrong in ONNX Runtime.
        """
        check(self.inputs, arrays)
        options = self._runtime.RunOptions()
        # A run that was ended is announced as an error, which is ours to tell.
        options.log_severity_level = 4
        names = [spec.name for spec in self.outputs] + list(self._exposed if exposed else ())
        ticket = None
        if deadline is not None:
            if deadline <= time.monotonic():
                raise Timeout()
            ticket = self._watchdog.watch(deadline, lambda: setattr(options, "terminate", True))
        try:
            results = self._session.run(names, arrays, options)
        except Exception as error:
            if options.terminate:
                raise Timeout() from error
            raise ModelFailed() from error
        finally:
            if ticket is not None:
                self._watchdog.call_off(ticket)
        return dict(zip(names, results, strict=True))

    def close(self) -> None:
        """Drop the session; its memory goes back once no run holds it."""
        self._session = None


def check(specs: t.Iterable[TensorSpec], arrays: dict[str, Array]) -> None:
    """Raise :class:`ValidationFailed` for arrays that are not what a model takes."""
    wrong: dict[str, list[str]] = {}
    for spec in specs:
        array = arrays.get(spec.name)
        if array is None:
            wrong[spec.name] = ["This input is missing."]
            continue
        dtype = "string" if array.dtype.kind in "OUS" else array.dtype.name
        fits = len(array.shape) == len(spec.shape) and all(
            not isinstance(want, int) or want == have
            for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if dtype != spec.dtype or not fits:
            shape = ", ".join(str(d if d is not None else "any") for d in spec.shape)
            wrong[spec.name] = [f"The model takes {spec.dtype} of shape [{shape}]."]
    if wrong:
        raise ValidationFailed(fields={"inputs": wrong})


class SessionPool:
    """The engines of one process, made on first use.

    Sessions do not survive a fork, so a child starts with an empty pool.
    """

    def __init__(self, *, threads: int = 0) -> None:
        self._threads = threads
        self._start_anew()
        _pools.add(self)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._engines: dict[str, Engine] = {}
        self._watchdog = Watchdog()

    def get(
        self,
        digest: str,
        loader: c.Callable[[], bytes],
        opener: c.Callable[..., Engine] = OnnxEngine,
    ) -> Engine:
        """Return the engine of the file with this digest, making it at most once.

        :param opener: Called with the bytes, ``threads`` and ``watchdog``.
        :raises BackendUnavailable: when the bytes do not have the digest.
        """
        engine = self._engines.get(digest)
        if engine is not None:
            return engine
        with self._lock:
            making = self._making.setdefault(digest, threading.Lock())
        with making:
            engine = self._engines.get(digest)
            if engine is None:
                data = loader()
                if sha256_of(data) != digest:
                    raise BackendUnavailable("The model file has changed since it was registered.")
                engine = opener(data, threads=self._threads, watchdog=self._watchdog)
                self._engines[digest] = engine
        return engine

    def drop(self, digest: str) -> None:
        """Forget an engine; runs that hold it end as they would."""
        self._engines.pop(digest, None)

    def loaded(self) -> list[str]:
        """Return the digests of the engines at hand."""
        return list(self._engines)

    def clear(self) -> None:
        """Forget every engine."""
        self._engines.clear()


_pools: weakref.WeakSet[SessionPool] = weakref.WeakSet()
_left_to_the_parent: list[dict[str, Engine]] = []


def _after_fork() -> None:
    for pool in _pools:
        # What the parent had is leaked on purpose: closing it would wait for its threads.
        _left_to_the_parent.append(pool._engines)
        pool._start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
