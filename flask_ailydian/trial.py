"""One inference on an empty input, as the doctor asks for it."""

from __future__ import annotations

import typing as t

from .engine.open import open_engine
from .errors import AilydianError
from .health import Finding
from .records import trial_arrays


def try_one(state: t.Any) -> Finding:
    """Run the first model that would answer on zeros; nothing is recorded, nobody asked."""
    record = state.registry.servable()[0]
    arrays = trial_arrays(record)
    try:
        data, report = state.registry.read(record), record.report
        remote = state.registry.storage.remote
        engine = open_engine(record.type, data, threads=1, remote=remote, **report.opening)
        try:
            engine.run(arrays, deadline=None)
        finally:
            engine.close()
    except AilydianError as error:
        return Finding(False, f"{record.name} failed: {error}", "Activate another version.")
    return Finding(True, f"{record.name} {record.version} answers.")
