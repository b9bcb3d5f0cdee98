"""Tries a model on its server before it is registered, and before it is activated."""

from __future__ import annotations

import time

import numpy as np

from ...errors import ModelFailed
from ...errors import ModelRefused
from ..postprocess import is_distribution
from ..probe import ModelReport
from ..protocol import Array
from ..signature import zeros
from .address import RemoteModel
from .options import RemoteOptions
from .remote_engine import RemoteEngine
from .remote_engine import StrangeAnswer

#: What an engine without a model of its own takes: connections and what is under way.
MEMORY = 2**20
SECONDS = 30.0


def report(
    source: bytes, options: RemoteOptions, *, size: tuple[int, int] | None = None
) -> ModelReport:
    """Have every endpoint say that the model is ready, and run it on two inputs.

    :param size: Height and width to try where the model leaves them open.
    :raises ModelRefused: when an endpoint does not have it, or what it gives is not as pinned.
    :raises BackendUnavailable: when no endpoint answers.
    """
    model = RemoteModel.from_bytes(source)
    engine = RemoteEngine(source, options)
    try:
        down = engine.down(seconds=options.connect_seconds)
        if len(down) == len(model.endpoints):
            said = "; ".join(f"{name} {what}" for name, what in down.items())
            raise ModelRefused(f"The model is not ready anywhere: {said}.")
        started = time.monotonic()
        arrays = zeros(model.inputs, size or (224, 224))
        runs, run_ms = [], None
        try:
            for odd in (arrays, _odd(arrays)):
                runs.append(engine.run(odd, deadline=time.monotonic() + SECONDS))
            run_ms = (time.monotonic() - started) * 1000 / len(runs)
        except StrangeAnswer as error:
            raise ModelRefused(str(error)) from error
        except ModelFailed:
            # Some models take no empty input; they are none the worse for it.
            pass
    finally:
        engine.close()
    return ModelReport(
        opset=0,
        ir_version=0,
        producer="open inference protocol",
        inputs=model.inputs,
        outputs=model.outputs,
        metadata={},
        ends_in_probabilities=bool(runs) and all(is_distribution([*run.values()]) for run in runs),
        ran=run_ms is not None,
        load_ms=0.0,
        run_ms=run_ms,
        peak_bytes=0,
        loaded_bytes=MEMORY,
        remote=source.decode(),
    )


def _odd(arrays: dict[str, Array]) -> dict[str, Array]:
    """Return inputs of the same shapes that no model would take for empty."""
    rng = np.random.default_rng(1)
    numbers = {name: array for name, array in arrays.items() if array.dtype != object}
    odd = {n: np.asarray(rng.random(a.shape) * 2).astype(a.dtype) for n, a in numbers.items()}
    return {**arrays, **odd}
