"""Which profile scores the queries of an app."""

from __future__ import annotations

import collections.abc as c

from ..settings import Settings
from . import complexity
from .complexity import Classification
from .complexity import Thresholds
from .lexicon import build

LEARNED = "learned:"
Learned = c.Callable[[str, str, Thresholds], Classification]


class Scoring:
    """Scores queries by the profile that is set.

    :param learned: Scores a query with a registered model, given its name.
    """

    def __init__(self, settings: Settings, learned: Learned) -> None:
        self._profile = settings.router_profile
        self._thresholds = Thresholds(settings.router_simple_below, settings.router_medium_below)
        self._changed = self._thresholds != Thresholds()
        self._points = {name: int(points) for name, points in settings.router_points.items()}
        self._lexicon = build(settings.router_languages, settings.router_lexicon)
        self._learned = learned

    def of(self, query: str, profile: str | None = None) -> Classification:
        """Return the classification of *query*, by another *profile* where one is named."""
        name = profile or self._profile
        if name.startswith(LEARNED):
            return self._learned(name.removeprefix(LEARNED), query, self._thresholds)
        if name == "words":
            # Words are counted on a scale of their own; thresholds that were set are meant for it.
            return complexity.word_count(
                query, thresholds=self._thresholds if self._changed else None
            )
        if name == "document-2025":
            return complexity.document(query, thresholds=self._thresholds)
        return complexity.rules(
            query, self._lexicon, thresholds=self._thresholds, points=self._points
        )
