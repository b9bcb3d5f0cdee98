"""TorchScript and ``torch.export`` files in PyTorch; imported on first use, as it is large."""

from __future__ import annotations

import collections.abc as c
import importlib
import io
import time
import typing as t
import warnings

from ..errors import BackendUnavailable
from ..errors import ModelFailed
from ..errors import Timeout
from . import archives
from .protocol import Array
from .protocol import check
from .signature import TensorSpec


def load() -> t.Any:
    """Import PyTorch.

    :raises BackendUnavailable: when it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise BackendUnavailable(
            "This model needs PyTorch: pip install flask-ailydian[torch]."
        ) from error


def load_module(model_type: str, data: bytes, torch: t.Any) -> t.Any:
    """Return the callable module of a file; what it raises is PyTorch's own."""
    with warnings.catch_warnings():
        # PyTorch 2.13 calls TorchScript deprecated; the files are there all the same.
        warnings.simplefilter("ignore")
        if model_type == "torchscript":
            return torch.jit.load(io.BytesIO(data), map_location="cpu").eval()
        program = torch.export.load(io.BytesIO(archives.exported_program(data)))
        return program.module(check_guards=False)


class TorchEngine:
    """A TorchScript or ``torch.export`` model, one thread a run.

    A run cannot be ended from outside: one that passes its deadline ends late, and its answer is
    thrown away.

    :param inputs: What the probe found out; the files themselves need not say it.
    :raises ModelFailed: when PyTorch does not take the model.
    """

    def __init__(
        self,
        model_type: str,
        data: bytes,
        *,
        inputs: t.Sequence[TensorSpec],
        outputs: t.Sequence[TensorSpec],
    ) -> None:
        self._torch = load()
        # For the whole process: many requests share the cores better than one run's threads.
        self._torch.set_num_threads(1)
        try:
            self._module: t.Any = load_module(model_type, data, self._torch)
        except Exception as error:
            raise ModelFailed("The model could not be loaded.") from error
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    def run(
        self,
        arrays: dict[str, Array],
        *,
        deadline: float | None,
        gone: c.Callable[[], bool] | None = None,
        alone: bool = False,
        exposed: bool = False,
    ) -> dict[str, Array]:
        """Run the model.

        :raises ValidationFailed: when an array does not fit the model's inputs.
        :raises Timeout: when the deadline had passed, before or after the run.
        :raises ModelFailed: for everything that goes wrong in PyTorch.
        """
        check(self.inputs, arrays)
        if deadline is not None and deadline <= time.monotonic():
            raise Timeout()
        try:
            results = call(self._torch, self._module, [arrays[s.name] for s in self.inputs])
        except Exception as error:
            raise ModelFailed() from error
        if deadline is not None and deadline <= time.monotonic():
            raise Timeout()
        if len(results) != len(self.outputs):
            raise ModelFailed()
        return {spec.name: value for spec, value in zip(self.outputs, results, strict=True)}

    def warm_up(self, arrays: dict[str, Array], *, deadline: float) -> None:
        """Run once: PyTorch compiles and lays out in the first run."""
        self.run(arrays, deadline=deadline)

    def close(self) -> None:
        """Drop the module; its memory goes back once no run holds it."""
        self._module = None


def call(torch: t.Any, module: t.Any, arrays: t.Sequence[Array]) -> list[Array]:
    """Return what a module gives for arrays: a tensor, or a flat list, tuple or dict of them."""
    with torch.inference_mode():
        # A copy: PyTorch warns of arrays that it could write to and must not.
        found = module(*(torch.from_numpy(array.copy()) for array in arrays))
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list | tuple):
        found = [found]
    return [value.detach().numpy() for value in found]
