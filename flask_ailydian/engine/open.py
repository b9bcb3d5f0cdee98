"""Which engine runs which type of model: the one place that knows."""

from __future__ import annotations

import typing as t

from ..errors import BackendUnavailable
from .sessions import Engine
from .sessions import OnnxEngine
from .signature import TensorSpec
from .torch_engine import TorchEngine
from .watchdog import Watchdog


def open_engine(
    model_type: str,
    data: bytes,
    *,
    threads: int = 0,
    watchdog: Watchdog | None = None,
    expose: t.Sequence[str] = (),
    inputs: t.Sequence[TensorSpec] = (),
    outputs: t.Sequence[TensorSpec] = (),
) -> Engine:
    """Return the engine of a model, from the bytes of its file.

    :param threads: For one run; 0 for one per core.
    :param expose: Inner values that a run can return besides the outputs.
    :param inputs: As the probe found them, with *outputs*; PyTorch's files need not say it.
    :raises ModelFailed: when the engine does not take the model.
    :raises BackendUnavailable: for a type that nothing here can run.
    """
    if model_type == "onnx":
        return OnnxEngine(data, threads=threads, watchdog=watchdog, expose=expose)
    if model_type in ("torchscript", "pytorch"):
        return TorchEngine(model_type, data, inputs=inputs, outputs=outputs)
    raise BackendUnavailable(f"Models of type {model_type!r} cannot be run here.")
