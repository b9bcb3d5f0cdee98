"""The local backend: a text model of the registry, which answers from what it was given."""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np

from ...inference import Inference
from ...prediction import Given
from ...prediction import is_floats
from ...records import ModelRecord
from ...registry import Registry
from .base import BackendFailure

CLASSIFIES, EMBEDS = "text-classification", "text-embedding"
#: Knowledge bases that one process keeps as vectors.
KEPT = 8
Floats = np.ndarray[t.Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True)
class LocalAnswer:
    """What the local model said.

    :param in_scope: ``False``: the model says that the question is none of its own.
    :param sure: Its confidence reaches its threshold, and the question is its own.
    """

    text: str
    label: str
    confidence: float
    in_scope: bool
    sure: bool


class LocalBackend:
    """Answers with the text model of a domain.

    :param named: Models by domain, as set; for other domains one is looked for.
    :param threshold: For models that name none.
    """

    def __init__(
        self,
        registry: Registry,
        inference: Inference,
        *,
        named: dict[str, t.Any],
        threshold: float,
    ) -> None:
        self._registry = registry
        self._inference = inference
        self._named = named
        self._threshold = threshold
        self._vectors: dict[int, Floats] = {}

    def model(self, domain: str) -> ModelRecord | None:
        """Return the model that answers a domain: the named one, its own, or a general one."""
        if domain in self._named:
            return self._registry.resolve(str(self._named[domain]))
        found = [
            r
            for r in self._registry.versions()
            if r.task in (CLASSIFIES, EMBEDS) and r.status != "inactive"
        ]
        # Active before testing; newest first, as the registry lists them.
        found.sort(key=lambda record: record.status)
        own = [r for r in found if r.domain == domain]
        general = [r for r in found if r.domain == "chat"]
        return next(iter(own or general or found), None)

    def answer(self, record: ModelRecord, text: str, deadline: float) -> LocalAnswer:
        """Ask the model.

        :raises BackendFailure: when the model neither classifies nor has knowledge to search.
        """
        if record.task == EMBEDS:
            return self._nearest(record, text, deadline)
        chances, _ = self._inference.run(record, Given(record.name, text=text), deadline)
        if chances is None or not record.labels:
            raise BackendFailure("no_labels")
        best = int(np.argmax(chances))
        label, confidence = record.labels[best], float(chances[best])
        recipe = record.preprocessing or {}
        threshold = float(recipe.get("threshold", self._threshold))
        in_scope = label != recipe.get("out_of_scope")
        # A question that the model knows too little about gets no answer about something else.
        sure = in_scope and confidence >= threshold
        said = label if sure or "out_of_scope" not in recipe else recipe["out_of_scope"]
        answers: dict[str, str] = recipe.get("answers", {})
        return LocalAnswer(answers.get(said, said), label, confidence, in_scope, sure)

    def _nearest(self, record: ModelRecord, text: str, deadline: float) -> LocalAnswer:
        """Return the answer of the known question that is nearest by cosine."""
        recipe = record.preprocessing or {}
        pairs: list[tuple[str, str]] = recipe.get("knowledge", [])
        if not pairs:
            raise BackendFailure("no_knowledge")
        known = self._vectors.get(record.id)
        if known is None:
            known = np.stack([self._vector(record, asked, deadline) for asked, _ in pairs])
            while len(self._vectors) >= KEPT:
                self._vectors.pop(next(iter(self._vectors)), None)
            self._vectors[record.id] = known
        near = known @ self._vector(record, text, deadline)
        best = int(np.argmax(near))
        confidence = float(np.clip(near[best], 0, 1))
        sure = confidence >= float(recipe.get("threshold", self._threshold))
        refusal = recipe.get("out_of_scope")
        answer = pairs[best][1] if sure or refusal is None else refusal
        return LocalAnswer(answer, pairs[best][0], confidence, sure or refusal is None, sure)

    def _vector(self, record: ModelRecord, text: str, deadline: float) -> Floats:
        _, outputs = self._inference.run(record, Given(record.name, text=text), deadline)
        found = np.asarray(next(x for x in outputs.values() if is_floats(x)), np.float64)
        if found.ndim == 3:
            # A vector for each token: their mean stands for the text, or the first one.
            first = (record.preprocessing or {}).get("pooling") == "first"
            found = found[:, 0] if first else found.mean(axis=1)
        found = found.reshape(-1)
        length = float(np.linalg.norm(found))
        if not np.isfinite(length):
            raise BackendFailure("broken_vector")
        return t.cast(Floats, found / max(length, 1e-12))
