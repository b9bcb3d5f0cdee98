"""Texts as vectors of unit length, by a registered model of the task ``text-embedding``."""

from __future__ import annotations

import typing as t

import numpy as np

from ..inference import Inference
from ..prediction import Given
from ..prediction import is_floats
from ..records import ModelRecord
from .backends.base import BackendFailure

Floats = np.ndarray[t.Any, np.dtype[np.float64]]


def vector_of(inference: Inference, record: ModelRecord, text: str, deadline: float) -> Floats:
    """Return the vector of one text.

    :raises BackendFailure: when the model makes no vector of it.
    """
    _, outputs = inference.run(record, Given(record.name, text=text), deadline)
    floats = [x for x in outputs.values() if is_floats(x)]
    if not floats:
        raise BackendFailure("broken_vector")
    found = np.asarray(floats[0], np.float64)
    if found.ndim == 3:
        # A vector for each token: their mean stands for the text, or the first one.
        first = (record.preprocessing or {}).get("pooling") == "first"
        found = found[:, 0] if first else found.mean(axis=1)
    found = found.reshape(-1)
    length = float(np.linalg.norm(found))
    if not np.isfinite(length):
        raise BackendFailure("broken_vector")
    return t.cast(Floats, found / max(length, 1e-12))
