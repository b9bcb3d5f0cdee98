"""Scores by a registered model that was trained on the deployment's own outcomes."""

from __future__ import annotations

import time

from ..inference import Inference
from ..prediction import Given
from ..registry import Registry
from .complexity import Classification
from .complexity import Part
from .complexity import Thresholds

TASK = "query-routing"
SECONDS = 2.0


class Learned:
    """Asks a model of the registry how much the paid backend would gain."""

    def __init__(self, registry: Registry, inference: Inference) -> None:
        self._registry = registry
        self._inference = inference

    def score(self, name: str, query: str, thresholds: Thresholds) -> Classification:
        """Return a query's rank among those that the model was trained on, from 0 to 100."""
        record = self._registry.resolve(name)
        given = Given(name, text=query)
        _, outputs = self._inference.run(record, given, time.monotonic() + SECONDS)
        rank = float(next(iter(outputs.values())).reshape(-1)[0])
        score = round(100 * min(max(rank, 0.0), 1.0), 3)
        parts = (Part("expected gain", score, f"{record.name} {record.version}"),)
        features = {"wordCount": len(query.split())}
        named = thresholds.name(score)
        return Classification(score, named, features, parts, thresholds, f"learned:{name}")
