"""From the rows of a test to what they say, as assigned and phase by phase. Pure."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import math
import typing as t

import numpy as np

from . import intervals
from . import statistics as st
from .plan import METRICS
from .plan import Plan
from .plan import RELATIVE

Array = np.ndarray[t.Any, np.dtype[t.Any]]

Gap = tuple[float, float, float] | None

QUANTILES = (0.5, 0.95, 0.99)
#: Metrics of which each request has or has not one. Their bounds count one more of either kind
#: in every arm (Agresti, Caffo, 2000): of no failures at all the spread would be nothing.
SHARES = frozenset({"failures", "accuracy"})


@dataclasses.dataclass(frozen=True)
class Rows:
    """The exposures of one test as columns; what is not known is NaN."""

    phase: Array
    arm: Array
    unit: Array
    latency: Array
    failures: Array
    cost: Array
    accuracy: Array
    satisfaction: Array

    def metric(self, name: str) -> Array:
        """Return a metric's column."""
        return t.cast(Array, getattr(self, name))


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is known of one metric; bounds hold at every look together.

    :param difference: B - A; *low* and *high* bound it.
    :param ratio: B / A - 1, with its own bounds, where both are known and it makes sense.
    """

    metric: str
    n: tuple[int, int]
    value: tuple[float | None, float | None]
    bounds: tuple[tuple[float, float], tuple[float, float]]
    difference: float | None
    low: float
    high: float
    ratio: tuple[float, float, float] | None
    p: float

    def worse(self, arm: int) -> tuple[float, float]:
        """Return the bounds of how much worse *arm* is than the other, in the margin's unit."""
        low, high = self.low, self.high
        if self.metric in RELATIVE:
            if self.ratio is None:
                return self._beside_nothing(arm)
            low, high = self.ratio[1], self.ratio[2]
            if arm == 0:
                low, high = -1 + 1 / (1 + high), math.inf if low <= -1 else -1 + 1 / (1 + low)
                return low, high
        if METRICS[self.metric] == (arm == 1):
            low, high = -high, -low
        return low, high

    def _beside_nothing(self, arm: int) -> tuple[float, float]:
        """Return :meth:`worse` where an arm's mean is nothing and there is no ratio."""
        if self.difference == 0:
            return 0.0, 0.0
        low, high = (self.low, self.high) if arm == 1 else (-self.high, -self.low)
        return math.inf if low > 0 else -math.inf, 0.0 if high <= 0 else math.inf


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What is known of a test at one moment."""

    units: tuple[int, int]
    requests: tuple[int, int]
    srm_p: float
    findings: dict[str, Finding]
    quantiles: dict[str, dict[str, t.Any]]
    p95_p: float
    agreement: tuple[int, int, float, float] | None = None


def analyse(rows: Rows, shares: c.Mapping[int, float], plan: Plan) -> Analysis:
    """Analyse the rows of a split.

    :param shares: Arm B's share of the test's traffic in every phase.
    """
    by_user = plan.unit == "user"
    phases = sorted(shares)
    arms = [rows.arm == arm for arm in (0, 1)]
    return Analysis(
        units=_pair(len(np.unique(rows.unit[arm])) for arm in arms),
        requests=_pair(int(arm.sum()) for arm in arms),
        srm_p=_split(rows, shares, by_user),
        findings={
            name: _by_user(rows, name, phases) if by_user else _by_request(rows, name, shares)
            for name in METRICS
        },
        quantiles=_quantiles([rows.latency[arm] for arm in arms]),
        p95_p=1.0 if by_user else _tails(rows, phases),
    )


def _pair(values: t.Iterable[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _split(rows: Rows, shares: c.Mapping[int, float], by_user: bool) -> float:
    log_es = []
    for phase, share in shares.items():
        here = rows.phase == phase
        met = [rows.unit[here & (rows.arm == arm)] for arm in (0, 1)]
        counts = [len(np.unique(units)) if by_user else len(units) for units in met]
        if sum(counts):
            log_es.append(float(st.log_srm(counts, (1 - share, share))))
    # Evidence of phases is multiplied; averaged where the same users come again.
    return st.average_p(log_es) if by_user else float(st.p_of(sum(log_es)))


def moments(values: Array) -> tuple[int, float, float]:
    """Return how many, their sum and the sum of their squares."""
    return len(values), float(values.sum()), float((values * values).sum())


def _by_request(rows: Rows, name: str, shares: c.Mapping[int, float]) -> Finding:
    values = rows.metric(name)
    known = ~np.isnan(values)
    parts: list[st.Moments] = []
    log_es = []
    for phase, share in shares.items():
        here = known & (rows.phase == phase)
        a, b = (moments(values[here & (rows.arm == arm)]) for arm in (0, 1))
        parts.append((*a, *b))
        if name == "failures":
            log_es.append(float(st.log_rate(int(a[1]), a[0], int(b[1]), b[0], share)))
    arms = [values[known & (rows.arm == arm)] for arm in (0, 1)]
    p = float(st.p_of(sum(log_es))) if name == "failures" else float(st.phased_p(parts))
    eased = [_eased(part) for part in parts] if name in SHARES else parts
    gap = _about(intervals.mean_gap(parts), intervals.mean_gap(eased))
    return _finding(name, arms, gap, intervals.mean_ratio(eased), p)


def _about(gap: Gap, eased: Gap) -> Gap:
    """Return the difference as it was seen, with the bounds of the eased one."""
    return None if gap is None or eased is None else (gap[0], eased[1], eased[2])


def _eased(part: st.Moments) -> st.Moments:
    return t.cast(st.Moments, tuple(x + y for x, y in zip(part, (2, 1, 1) * 2, strict=True)))


def _by_user(rows: Rows, name: str, phases: list[int]) -> Finding:
    values = rows.metric(name)
    known = ~np.isnan(values)
    log_es: list[float] = []
    best: tuple[int, Array, Array] | None = None
    for phase in phases:
        a, b = (
            per_unit(rows.unit[here], values[here])
            for here in (known & (rows.phase == phase) & (rows.arm == arm) for arm in (0, 1))
        )
        if len(a) > 1 and len(b) > 1:
            log_es.append(st.log_cluster(a, b))
            size = min(len(a), len(b))
            # The same users come again in the next phase: estimates are not added up.
            if best is None or size > best[0]:
                best = size, a, b
    arms = [values[known & (rows.arm == arm)] for arm in (0, 1)]
    if best is None:
        return _finding(name, arms, None, None, 1.0)
    a, b = best[1:]
    seen = intervals.clustered_gap(a, b)
    if name in SHARES:
        a, b = _eased_users(a), _eased_users(b)
    gap = _about(seen, intervals.clustered_gap(a, b))
    return _finding(name, arms, gap, intervals.clustered_ratio(a, b), st.average_p(log_es))


def _eased_users(units: Array) -> Array:
    return np.concatenate([units, [[1.0, 0.0], [1.0, 1.0]]])


def per_unit(units: Array, values: Array) -> Array:
    """Return requests and sum of every unit, a row each."""
    _, which = np.unique(units, return_inverse=True)
    return np.column_stack([np.bincount(which), np.bincount(which, weights=values)])


def _finding(
    name: str,
    arms: list[Array],
    gap: tuple[float, float, float] | None,
    ratio: tuple[float, float, float] | None,
    p: float,
) -> Finding:
    share = name in SHARES
    bounds = [
        intervals.rate(int(x.sum()), len(x)) if share else intervals.mean(*moments(x)) for x in arms
    ]
    values = [float(x.mean()) if len(x) else None for x in arms]
    difference, low, high = gap or (None, -math.inf, math.inf)
    return Finding(
        metric=name,
        n=(len(arms[0]), len(arms[1])),
        value=(values[0], values[1]),
        bounds=(bounds[0], bounds[1]),
        difference=difference,
        low=low,
        high=high,
        ratio=ratio,
        p=p,
    )


def _quantiles(arms: list[Array]) -> dict[str, dict[str, t.Any]]:
    found = {}
    for label, values in zip("ab", arms, strict=True):
        ordered = np.sort(values)
        found[label] = {
            f"p{round(100 * q)}": {"value": nearest_rank(ordered, q), "bounds": bounds}
            for q in QUANTILES
            for bounds in [intervals.quantile(t.cast(t.Any, ordered), q)]
        }
    return found


def _tails(rows: Rows, phases: list[int]) -> float:
    log_e = 0.0
    for phase in phases:
        here = rows.phase == phase
        a, b = (rows.latency[here & (rows.arm == arm)] for arm in (0, 1))
        log_e += st.log_quantile(a, b, 0.95)
    return float(st.p_of(log_e))


def nearest_rank(ordered: Array, q: float) -> float | None:
    """Return the exact q-quantile of sorted values by nearest rank; ``None`` of none."""
    if not len(ordered):
        return None
    # Rounded: 0.07 * 100 is a hair above 7.
    rank = math.ceil(round(q * len(ordered), 9))
    return float(ordered[min(max(rank, 1), len(ordered)) - 1])
