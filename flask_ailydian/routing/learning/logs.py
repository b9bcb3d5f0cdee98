"""Outcomes from the log: each query met one backend by a known chance (inverse propensity)."""

from __future__ import annotations

import collections.abc as c

import numpy as np

from ...errors import ValidationFailed
from ..lessons import Lesson
from .measures import Outcomes
from .tables import Labelled
from .tables import LEAST


def labelled(lessons: c.Iterable[Lesson]) -> Labelled:
    """Return queries with what both backends were worth on them, on average.

    A value counts for the backend that answered, divided by the chance of that, and for the
    other nothing: over many queries the two means come out right, for a single one they say
    little. Values count from their mean, which changes no expectation and calms the rest.

    :raises ValidationFailed: when there are too few of either backend, or nothing to gain.
    """
    found = list(lessons)
    paid = np.array([lesson.paid for lesson in found], dtype=bool)
    if min(paid.sum(), (~paid).sum()) < LEAST:
        raise ValidationFailed(
            f"The log has feedback on {paid.sum()} paid and {(~paid).sum()} local answers to "
            f"queries that were kept and left to chance; {LEAST} of each are needed. "
            "AILYDIAN_ROUTER_LEARN=sealed keeps them from now on."
        )
    value = np.array([lesson.value for lesson in found])
    weighed = (value - value.mean()) / np.array([lesson.propensity for lesson in found])
    outcomes = Outcomes(np.where(paid, 0.0, weighed), np.where(paid, weighed, 0.0))
    if outcomes.gain.sum() <= 0:
        raise ValidationFailed("By the feedback, the paid backend is no better than the local one.")
    return Labelled([lesson.text for lesson in found], outcomes, None)
