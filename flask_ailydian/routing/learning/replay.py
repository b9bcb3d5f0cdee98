"""What another policy would have cost, from a log that knows with which chance it chose."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ..complexity import Thresholds
from ..money import from_nano


@dataclasses.dataclass(frozen=True)
class Logged:
    """One decision of the past: its score, what was chosen with which chance, what it came to.

    :param value: An outcome that somebody measured, if there is one.
    """

    score: float
    paid: bool
    propensity: float
    cost_nano: int
    value: float | None = None


def paid_chance(score: float, thresholds: Thresholds, split: float) -> float:
    """Return the chance with which a policy asks the paid backend."""
    return {"simple": 0.0, "medium": split, "complex": 1.0}[thresholds.name(score)]


def replay(log: c.Iterable[Logged], thresholds: Thresholds, split: float) -> dict[str, t.Any]:
    """Return shares and self-normalised inverse-propensity estimates under another policy.

    Decisions that the log never made by chance say nothing of the alternative: their share is
    ``unsupported``, and the estimates are of the rest.
    """
    count = unsupported = 0
    chances = weights = squares = costs = valued = values = 0.0
    for row in log:
        count += 1
        chance = paid_chance(row.score, thresholds, split)
        chances += chance
        taken = chance if row.paid else 1 - chance
        # The alternative is wanted with some chance, and the log could not have shown it.
        if row.propensity >= 1 and taken < 1:
            unsupported += 1
            continue
        weight = taken / row.propensity
        weights += weight
        squares += weight**2
        costs += weight * row.cost_nano
        if row.value is not None:
            valued += weight
            values += weight * row.value
    return {
        "queries": count,
        "paid_share": round(chances / count, 4) if count else None,
        "unsupported": round(unsupported / count, 4) if count else None,
        "effective_queries": round(weights**2 / squares, 1) if squares else 0.0,
        "cost_per_query": float(from_nano(round(costs / weights))) if weights else None,
        "value_per_query": round(values / valued, 4) if valued else None,
    }
