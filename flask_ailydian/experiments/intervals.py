"""Confidence sequences: intervals that hold at every look together, from the same e-processes."""

from __future__ import annotations

import collections.abc as c
import math
import typing as t

import numpy as np

from . import mixtures
from . import statistics as st
from .statistics import Moments

Interval = tuple[float, float]

#: Where the confidence sequence of a rate is tightest, in requests.
RATE_T_OPT = 1000
#: Of relative differences: the widest that is told from an unknown one.
WIDEST = 20.0


def mean_gap(
    phases: c.Sequence[Moments], alpha: float = 0.05, effect: float = st.EFFECT
) -> tuple[float, float, float] | None:
    """Return the difference in means B - A with its bounds, which may be infinite."""
    found = st.difference(phases)
    if found is None or not found[0]:
        return None
    weight, gap, variance, nu = found
    t2 = mixtures.t2_bound(nu, weight, effect, alpha)
    half = math.sqrt(variance * t2) / weight if variance else 0.0
    return gap / weight, gap / weight - half, gap / weight + half


def scaled(phases: c.Iterable[Moments], factor: float) -> list[Moments]:
    """Return the phases with arm A's values times *factor*."""
    return [
        (n_a, s_a * factor, q_a * factor * factor, n_b, s_b, q_b)
        for n_a, s_a, q_a, n_b, s_b, q_b in phases
    ]


def mean_ratio(
    phases: c.Sequence[Moments], alpha: float = 0.05
) -> tuple[float, float, float] | None:
    """Return how much larger B's mean is than A's, relative to A's, with bounds."""
    return _ratio(lambda factor: mean_gap(scaled(phases, factor), alpha))


def _ratio(
    gap_of: c.Callable[[float], tuple[float, float, float] | None],
) -> tuple[float, float, float] | None:
    """Return B / A - 1 with bounds, for values that are not negative.

    A ratio r is inside while the test of "B's mean is r times A's" is not significant, so the
    interval is exactly as honest as the test.

    :param gap_of: Returns the difference of B and A times a factor, with bounds.
    """
    found, base = gap_of(1.0), gap_of(0.0)
    if found is None or base is None or base[0] <= 0 or base[0] == found[0]:
        return None
    ratio = base[0] / (base[0] - found[0])

    def inside(r: float) -> bool:
        bounds = gap_of(r)
        return bounds is None or bounds[1] <= 0 <= bounds[2]

    low = _edge(inside, ratio, 0.0)
    high = _edge(inside, ratio, max(WIDEST, 2 * ratio))
    return ratio - 1, low - 1, high - 1


def _edge(inside: c.Callable[[float], bool], good: float, bad: float) -> float:
    """Return the last point inside on the way from *good* to *bad*."""
    if inside(bad):
        return bad if bad < good else math.inf
    for _ in range(60):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if inside(middle) else (good, middle)
    return good


def rate(x: int, n: int, alpha: float = 0.05, t_opt: float = RATE_T_OPT) -> Interval:
    """Return the bounds of a rate of which *x* of *n* were seen (beta-binomial mixture)."""
    if not n:
        return 0.0, 1.0

    def inside(p: float) -> bool:
        if not 0 < p < 1:
            return (p <= 0 and x == 0) or (p >= 1 and x == n)
        r = mixtures.beta_precision(p * (1 - p) * t_opt, alpha, p, 1 - p)
        log_e = mixtures.log_beta_binomial(x - n * p, p * (1 - p) * n, p, 1 - p, r)
        return bool(log_e < -math.log(alpha))

    # At the ends the mixture has no finite form; what is seen there is inside.
    middle = min(max(x / n, 1e-9), 1 - 1e-9)
    return _edge(inside, middle, 0.0), min(_edge(inside, middle, 1.0), 1.0)


def share_ratio(x_a: int, x_b: int, share_b: float, alpha: float = 0.05) -> Interval:
    """Return the bounds of B's failure rate over A's, from where the failures fell."""
    if not x_a + x_b:
        return 0.0, math.inf
    low, high = rate(x_b, x_a + x_b, alpha, t_opt=100)
    odds = (1 - share_b) / share_b
    return low / (1 - low) * odds, high / (1 - high) * odds if high < 1 else math.inf


def quantile(ordered: c.Sequence[float], q: float, alpha: float = 0.05) -> Interval:
    """Return the bounds of a q-quantile, of sorted values."""
    values = np.asarray(ordered, float)
    n = values.size
    if not n:
        return -math.inf, math.inf
    r = mixtures.beta_precision(q * (1 - q) * st.QUANTILE_T_OPT, alpha, q, 1 - q)
    counts = np.arange(n + 1)
    spread = np.full(n + 1, q * (1 - q) * n)
    log_e = mixtures.log_beta_binomial(counts - q * n, spread, q, 1 - q, r)
    likely = np.flatnonzero(log_e < -math.log(alpha))
    first, last = int(likely[0]), int(likely[-1])
    # As many as `first` may lie at or below the quantile, so it is not below that value.
    low = float(values[first - 1]) if first > 0 else -math.inf
    high = float(values[last]) if last < n else math.inf
    return low, high


def clustered_gap(
    units_a: t.Any, units_b: t.Any, alpha: float = 0.05
) -> tuple[float, float, float] | None:
    """Return the difference in means per request B - A with bounds, by user."""
    a, b = (np.asarray(units, float).reshape(-1, 2) for units in (units_a, units_b))
    if len(a) < 2 or len(b) < 2 or not a[:, 0].sum() or not b[:, 0].sum():
        return None
    # About each arm's own mean: what is asked is how large the difference is, not whether.
    means = [x[:, 1].sum() / x[:, 0].sum() for x in (a, b)]
    moments: list[float] = []
    for units, mean in zip((a, b), means, strict=True):
        left = (units[:, 1] - mean * units[:, 0]) / units[:, 0].mean() + mean
        moments += [len(left), float(left.sum()), float((left * left).sum())]
    return mean_gap([t.cast("Moments", tuple(moments))], alpha, st.CLUSTER_EFFECT)


def clustered_ratio(
    units_a: t.Any, units_b: t.Any, alpha: float = 0.05
) -> tuple[float, float, float] | None:
    """Return how much larger B's mean per request is, relative to A's, by user."""
    first = np.asarray(units_a, float).reshape(-1, 2)
    return _ratio(lambda factor: clustered_gap(first * [1, factor], units_b, alpha))


def mean(n: float, s: float, q: float, alpha: float = 0.05) -> Interval:
    """Return the bounds of one arm's mean."""
    if n < 2:
        return -math.inf, math.inf
    spread = max(q - s * s / n, st.ROUNDING * q) / (n - 1)
    half = math.sqrt(spread * mixtures.t2_bound(n - 1, n, st.PAIRED_EFFECT, alpha) / n)
    return s / n - half, s / n + half


def paired_gap(first: t.Any, second: t.Any, alpha: float = 0.05) -> tuple[float, float, float]:
    """Return the mean difference of pairs with bounds."""
    gap = np.asarray(second, float) - np.asarray(first, float)
    n, s = len(gap), float(gap.sum())
    return s / n if n else 0.0, *mean(n, s, float((gap * gap).sum()), alpha)


def paired_ratio(
    first: t.Any, second: t.Any, alpha: float = 0.05
) -> tuple[float, float, float] | None:
    """Return how much larger the second of a pair is in the mean, relative to the first."""
    base = np.asarray(first, float)
    return _ratio(lambda factor: paired_gap(base * factor, second, alpha))
