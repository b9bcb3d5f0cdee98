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
from .backends.base import BackendFailure
from .complexity import Classification
from .complexity import Part
from .complexity import Thresholds
from .vectors import vector_of

TASK = "query-routing"
#: Says for which version of the looks a model was trained.
SURFACE = "ailydian.surface"
#: Says who makes the vectors that it takes: name, version and digest.
EMBEDDING = "ailydian.embedding"
SECONDS = 2.0


class Learned:
    """Asks a model of the registry how much the paid backend would gain."""

    def __init__(self, registry: Registry, inference: Inference) -> None:
        self._registry = registry
        self._inference = inference

    def score(self, name: str, query: str, thresholds: Thresholds) -> Classification:
        """Return a query's rank among those that the model was trained on, from 0 to 100."""
        record = self._registry.resolve(name)
        deadline = time.monotonic() + SECONDS
        given = Given(name, text=query, tensors=self._tensors(record, query, deadline))
        _, outputs = self._inference.run(record, given, deadline)
        rank = float(next(iter(outputs.values())).reshape(-1)[0])
        score = round(100 * min(max(rank, 0.0), 1.0), 3)
        parts = (Part("expected gain", score, f"{record.name} {record.version}"),)
        features = {"wordCount": len(query.split())}
        named = thresholds.name(score)
        return Classification(score, named, features, parts, thresholds, f"learned:{name}")

    def _tensors(self, record: ModelRecord, query: str, deadline: float) -> dict[str, t.Any] | None:
        """Return what a model takes that wants more than the text; ``None`` for others.

        :raises ModelFailed: for a model of another version, or without its embedding model.
        """
        names = [spec.name for spec in record.inputs]
        if len(names) == 1:
            return None
        known = record.report.metadata
        if names[1:] not in (["looks"], ["looks", "vector"]) or (
            known.get(SURFACE) != str(surface.VERSION)
        ):
            raise ModelFailed("This router was trained for another version; train it again.")
        # No further than in training.
        read = query[: surface.MOST_CHARS]
        text = np.full((1,) * max(len(record.inputs[0].shape), 1), read, dtype=object)
        found: dict[str, t.Any] = {names[0]: text, "looks": surface.features(query)[None, :]}
        if "vector" in names:
            name, version, digest = (known.get(EMBEDDING, "").split() + [""] * 3)[:3]
            embedding = self._registry.resolve(name, version)
            if embedding.sha256 != digest:
                raise ModelFailed("This router was trained with another embedding model.")
            try:
                vector = vector_of(self._inference, embedding, query, deadline)
            except BackendFailure as error:
                raise ModelFailed("The router's embedding model gives no vector.") from error
            found["vector"] = vector.astype(np.float32)[None, :]
        return found
