"""Shadow mode: the second arm answers off the request's path, bounded in number and in cost."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import logging
import typing as t

from ..clock import now
from .background import Background
from .tests import Store

log = logging.getLogger("flask_ailydian.experiments")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an arm made of an input.

    :param answer: What is compared with the other arm's, for example the predicted class; it
        is not stored. ``None`` where there is nothing to compare.
    """

    latency_ms: float
    answer: str | None = None
    failed: bool = False
    cost_usd: float | None = None


class Shadow:
    """Offers inputs to the second arm and keeps the pairs."""

    def __init__(self, store: Store, background: Background, daily_usd: float) -> None:
        self._store = store
        self._background = background
        self._daily_usd = daily_usd

    def offer(
        self,
        app: t.Any,
        test_id: int,
        request_id: str,
        answer: c.Callable[[int], Outcome],
        first: Outcome | None,
        may_cost: float,
    ) -> bool:
        """Queue one input; see ``Experiments.shadow``."""
        return self._background.offer(
            app, lambda: self._answer(test_id, request_id, answer, first, may_cost)
        )

    def used(self) -> float:
        """Return how much of the day's budget is used."""
        return self._spent() / self._daily_usd if self._daily_usd else 0.0

    def _spent(self) -> float:
        return self._store.shadow_cost(now().replace(hour=0, minute=0, second=0, microsecond=0))

    def _answer(
        self,
        test_id: int,
        request_id: str,
        answer: c.Callable[[int], Outcome],
        first: Outcome | None,
        may_cost: float,
    ) -> None:
        if may_cost > 0 and self._spent() + may_cost > self._daily_usd:
            log.info("a shadow was dropped: it might cost more than a day's shadows may")
            return
        if first is not None:
            a, b = first, answer(1)
        elif request_id[-1] in "02468ace":
            # Whoever answers second finds warmer caches: the order changes with the request.
            a, b = answer(0), answer(1)
        else:
            b, a = answer(1), answer(0)
        if a.failed:
            return
        compared = not b.failed and a.answer is not None and b.answer is not None
        self._store.pair(
            {
                "id": request_id,
                "ab_test_id": test_id,
                "latency_a_ms": a.latency_ms,
                "latency_b_ms": None if b.failed else b.latency_ms,
                "failed": b.failed,
                "agrees": a.answer == b.answer if compared else None,
                "cost_usd": b.cost_usd,
                "created_at": now(),
            }
        )
