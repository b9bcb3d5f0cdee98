"""Which engine runs which type of model: the one place that knows."""

from __future__ import annotations

import typing as t

from ..errors import BackendUnavailable
from .sessions import Engine
from .sessions import OnnxEngine
from .watchdog import Watchdog


def open_engine(
    model_type: str,
    data: bytes,
    *,
    threads: int = 0,
    watchdog: Watchdog | None = None,
    expose: t.Sequence[str] = (),
) -> Engine:
    """Return the engine of a model, from the bytes of its file.

    :param threads: For one run; 0 for one per core.
    :param expose: Inner values that a run can return besides the outputs.
    :raises ModelFailed: when the engine does not take the model.
    :raises BackendUnavailable: for a type that nothing here can run.
    """
    if model_type == "onnx":
        return OnnxEngine(data, threads=threads, watchdog=watchdog, expose=expose)
    raise BackendUnavailable(f"Models of type {model_type!r} cannot be run here.")
