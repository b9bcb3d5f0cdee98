"""Scores by a registered model that was trained on the deployment's own outcomes."""

from __future__ import annotations

import time
import typing as t

import numpy as np

from ..errors import ModelFailed
from ..inference import Inference
from ..prediction import Given
from ..records import ModelRecord
from ..registry import Registry
from . import surface
from .complexity import Classification
from .complexity import Part
from .complexity import Thresholds

TASK = "query-routing"
#: Says for which version of the looks a model was trained.
SURFACE = "ailydian.surface"
SECONDS = 2.0


class Learned:
    """Asks a model of the registry how much the paid backend would gain."""

    def __init__(self, registry: Registry, inference: Inference) -> None:
        self._registry = registry
        self._inference = inference

    def score(self, name: str, query: str, thresholds: Thresholds) -> Classification:
        """Return a query's rank among those that the model was trained on, from 0 to 100."""
        record = self._registry.resolve(name)
        given = Given(name, text=query, tensors=_tensors(record, query))
        _, outputs = self._inference.run(record, given, time.monotonic() + SECONDS)
        rank = float(next(iter(outputs.values())).reshape(-1)[0])
        score = round(100 * min(max(rank, 0.0), 1.0), 3)
        parts = (Part("expected gain", score, f"{record.name} {record.version}"),)
        features = {"wordCount": len(query.split())}
        named = thresholds.name(score)
        return Classification(score, named, features, parts, thresholds, f"learned:{name}")


def _tensors(record: ModelRecord, query: str) -> dict[str, t.Any] | None:
    """Return what a model takes that wants to know how a text looks, too; ``None`` for others.

    :raises ModelFailed: for a model of another version.
    """
    names = [spec.name for spec in record.inputs]
    if len(names) == 1:
        return None
    if names[1:] != ["looks"] or record.report.metadata.get(SURFACE) != str(surface.VERSION):
        raise ModelFailed("This router was trained for another version; train it again.")
    text = np.full((1,) * max(len(record.inputs[0].shape), 1), query, dtype=object)
    return {names[0]: text, "looks": surface.features(query)[None, :]}
