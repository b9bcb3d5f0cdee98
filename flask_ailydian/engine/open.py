"""Which engine runs which type of model: the one place that knows."""

from __future__ import annotations

import typing as t

from ..errors import BackendUnavailable
from .onnx_engine import OnnxEngine
from .protocol import Engine
from .remote.options import RemoteOptions
from .remote.remote_engine import RemoteEngine
from .signature import TensorSpec
from .torch_engine import TorchEngine


def open_engine(
    model_type: str,
    source: bytes | str,
    *,
    threads: int = 0,
    providers: t.Sequence[str] = ("cpu",),
    expose: t.Sequence[str] = (),
    inputs: t.Sequence[TensorSpec] = (),
    outputs: t.Sequence[TensorSpec] = (),
    remote: RemoteOptions | None = None,
) -> Engine:
    """Return the engine of a model.

    :param source: The bytes of its file, or the path of its saved graph.
    :param threads: For a caller who is alone; 0 for one per core.
    :param providers: ONNX Runtime's, for models that it runs.
    :param expose: Inner values that a run can return besides the outputs.
    :param inputs: As the probe found them, with *outputs*; PyTorch's files need not say it.
    :param remote: How other servers are called.
    :raises ModelFailed: when the engine does not take the model.
    :raises BackendUnavailable: for a type that nothing here can run.
    """
    if model_type == "onnx":
        return OnnxEngine(source, threads=threads, providers=providers, expose=expose)
    if model_type in ("torchscript", "pytorch") and isinstance(source, bytes):
        return TorchEngine(model_type, source, inputs=inputs, outputs=outputs)
    if model_type == "remote" and isinstance(source, bytes):
        return RemoteEngine(source, remote or RemoteOptions())
    raise BackendUnavailable(f"Models of type {model_type!r} cannot be run here.")
