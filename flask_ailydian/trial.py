"""One inference on an empty input, as the doctor asks for it."""

from __future__ import annotations

import typing as t

import numpy as np

from .engine.open import open_engine
from .errors import AilydianError
from .health import Finding


def try_one(state: t.Any) -> Finding:
    """Run the first model that would answer on zeros; nothing is recorded, nobody asked."""
    record = state.registry.servable()[0]
    if any(spec.dtype == "string" for spec in record.inputs):
        zeros: t.Any = ""
    else:
        zeros = 0
    size = iter((record.preprocessing or {}).get("size", ()))
    arrays = {}
    for spec in record.inputs:
        shape = [d if isinstance(d, int) else 1 for d in spec.shape]
        for axis in range(1, len(shape)):
            if not isinstance(spec.shape[axis], int):
                shape[axis] = next(size, 1)
        dtype = object if spec.dtype == "string" else spec.dtype
        arrays[spec.name] = np.full(shape, zeros, dtype=dtype)
    try:
        data, report = state.registry.read(record), record.report
        engine = open_engine(record.type, data, threads=state.settings.threads, **report.opening)
        try:
            engine.run(arrays, deadline=None)
        finally:
            engine.close()
    except AilydianError as error:
        return Finding(False, f"{record.name} failed: {error}", "Activate another version.")
    return Finding(True, f"{record.name} {record.version} answers.")
