"""The local backend: a text model of the registry, which answers from what it was given."""

from __future__ import annotations

import collections.abc as c
import contextlib
import secrets
import typing as t

import numpy as np

from ...engine.ahead import ahead
from ...generation import Generation
from ...inference import Inference
from ...prediction import Given
from ...recipes import CLASSIFIES
from ...recipes import EMBEDS
from ...recipes import WRITES
from ...records import ModelRecord
from ...registry import Registry
from ..vectors import vector_of
from .base import BackendFailure
from .base import LocalAnswer
from .writing import Draft

#: Knowledge bases that one process keeps as vectors.
KEPT = 8
Floats = np.ndarray[t.Any, np.dtype[np.float64]]


class LocalBackend:
    """Answers with the text model of a domain.

    :param named: Models by domain, as set; for other domains one is looked for.
    :param threshold: For models that name none.
    """

    def __init__(
        self,
        registry: Registry,
        inference: Inference,
        generation: Generation,
        *,
        named: dict[str, t.Any],
        threshold: float,
    ) -> None:
        self._registry = registry
        self._inference = inference
        self._generation = generation
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
            if r.task in (CLASSIFIES, EMBEDS, WRITES) and r.status != "inactive"
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
        if record.task == WRITES:
            with contextlib.closing(self.draft(record, text, deadline)) as draft:
                draft.begin()
                for _ in draft.text():
                    pass
                return draft.answer()
        chances, _ = self._inference.run(record, Given(record.name, text=text), deadline)
        if chances is None or not record.labels:
            raise BackendFailure("no_labels")
        best = int(np.argmax(chances))
        label, confidence = record.labels[best], float(chances[best])
        recipe = record.preprocessing or {}
        threshold = self._least(record)
        in_scope = label != recipe.get("out_of_scope")
        # A question that the model knows too little about gets no answer about something else.
        sure = in_scope and confidence >= threshold
        said = label if sure or "out_of_scope" not in recipe else recipe["out_of_scope"]
        answers: dict[str, str] = recipe.get("answers", {})
        return LocalAnswer(answers.get(said, said), label, confidence, in_scope, sure)

    def draft(
        self,
        record: ModelRecord,
        text: str,
        deadline: float,
        *,
        most: int | None = None,
        gone: c.Callable[[], bool] | None = None,
        aside: bool = False,
    ) -> Draft:
        """Return the answer that a model is going to write; close it.

        :param most: Tokens that are asked for.
        :param aside: Let the model write at its own pace, whatever that of the reader.
        """
        recipe = record.preprocessing or {}
        seed = secrets.randbits(32) if recipe.get("temperature") else None
        pieces = self._generation.write(
            record,
            text,
            most=self._generation.most(record, most),
            deadline=deadline,
            gone=gone,
            seed=seed,
        )
        return Draft(
            ahead(pieces) if aside else pieces,
            threshold=self._least(record),
            refusal=recipe.get("out_of_scope"),
            seed=seed,
        )

    def _least(self, record: ModelRecord) -> float:
        return float((record.preprocessing or {}).get("threshold", self._threshold))

    def _nearest(self, record: ModelRecord, text: str, deadline: float) -> LocalAnswer:
        """Return the answer of the known question that is nearest by cosine."""
        recipe = record.preprocessing or {}
        pairs: list[tuple[str, str]] = recipe.get("knowledge", [])
        if not pairs:
            raise BackendFailure("no_knowledge")
        known = self._vectors.get(record.id)
        if known is None:
            known = np.stack(
                [vector_of(self._inference, record, asked, deadline) for asked, _ in pairs]
            )
            while len(self._vectors) >= KEPT:
                self._vectors.pop(next(iter(self._vectors)), None)
            self._vectors[record.id] = known
        near = known @ vector_of(self._inference, record, text, deadline)
        best = int(np.argmax(near))
        confidence = float(np.clip(near[best], 0, 1))
        sure = confidence >= self._least(record)
        refusal = recipe.get("out_of_scope")
        answer = pairs[best][1] if sure or refusal is None else refusal
        return LocalAnswer(answer, pairs[best][0], confidence, sure or refusal is None, sure)
