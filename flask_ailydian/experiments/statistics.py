"""p values that hold at every look, for every question an A/B test is asked.

A p value here is ``min(1, 1 / e)`` of an e-process: whoever looks after every single request and
stops at the first p ≤ 0.05 is wrong in 5 % of tests without a difference, not in half of them.
The sources of the closed forms stand in :mod:`.mixtures`. Pure; arrays give arrays.
"""

from __future__ import annotations

import collections.abc as c
import math
import typing as t

import numpy as np

from . import mixtures
from .assignment import assign as assign
from .mixtures import Number

#: Variances of the effects looked for, in squares of the standard deviation: what makes the
#: tests sharpest at about 6,000 requests, 1,200 shadow pairs and 1,000 users.
EFFECT, PAIRED_EFFECT, CLUSTER_EFFECT = 0.005, 0.0066, 0.03
#: How firmly the mixtures expect what was planned, in requests and in failures.
SRM_FIRMNESS, RATE_FIRMNESS = 1000.0, 25.0
#: How much of the test of rates looks at failures, the rest at successes: failures are rare.
RATE_FAILURES = 0.95
#: The quantile test is tightest at so many requests per arm.
QUANTILE_T_OPT = 100

#: Squares that are smaller than this, of the sum of squares, are rounding errors.
ROUNDING = 1e-12

Moments = tuple[Number, Number, Number, Number, Number, Number]


def p_of(log_e: Number) -> Number:
    """Return the p value of an e-process's logarithm."""
    if isinstance(log_e, np.ndarray):
        return np.exp(np.minimum(-log_e, 0.0))
    return math.exp(min(-log_e, 0.0))


def mean_p(n_a: Number, s_a: Number, q_a: Number, n_b: Number, s_b: Number, q_b: Number) -> Number:
    """Test that two arms have one mean: latency, cost, a score.

    :param n_a: How many, :param s_a: their sum, :param q_a: the sum of their squares.
    """
    return p_of(log_mean([(n_a, s_a, q_a, n_b, s_b, q_b)]))


def phased_p(phases: c.Iterable[Moments]) -> Number:
    """Test that two arms have one mean within every phase, without ever pooling phases.

    :param phases: The six numbers of :func:`mean_p` for each phase. The mean may drift from
        phase to phase, as the shares do.
    """
    return p_of(log_mean(phases))


def log_mean(phases: c.Iterable[Moments], effect: float = EFFECT) -> Number:
    """Return the log e-process of a difference in means that is common to all phases."""
    found = difference(phases)
    if found is None:
        return 0.0
    weight, gap, variance, nu = found
    if isinstance(gap, np.ndarray):
        with np.errstate(all="ignore"):
            t2 = np.where(variance > 0, gap * gap / variance, 0.0)
            known = (nu >= 1) & (weight > 0)
            log_e = mixtures.log_t(t2, np.maximum(nu, 1), weight, effect)
            return np.where(known, log_e, 0.0)
    return mixtures.log_t(_squared_t(gap, variance), nu, weight, effect)


def _squared_t(gap: float, variance: float) -> float:
    return gap * gap / variance if gap and variance else 0.0


def difference(phases: c.Iterable[Moments]) -> tuple[Number, Number, Number, Number] | None:
    """Return weight, weighted gap B - A, the gap's variance and degrees of freedom.

    A phase weighs n_a·n_b/(n_a + n_b), as in a linear model with a level per phase. The variance
    is the larger of the pooled one and Welch's: the small arm of an uneven test has often not yet
    met the rare long requests that the large arm has met, and then Welch's is too small; where
    the arms do differ in spread the pooled one may be.
    """
    weight, gap, pooled, welch, nu = 0.0, 0.0, 0.0, 0.0, 0.0
    known = False
    for phase in phases:
        n_a, s_a, q_a, n_b, s_b, q_b = phase
        if isinstance(n_a, np.ndarray):
            n_a, n_b = np.maximum(n_a, 1e-12), np.maximum(n_b, 1e-12)
            seen: Number = (n_a >= 1) & (n_b >= 1)
        elif n_a < 1 or n_b < 1 or n_a + n_b < 3:
            continue
        else:
            seen = 1.0
        known = True
        f = mixtures.functions(n_a, n_b)
        share = seen * n_a * n_b / (n_a + n_b)
        # Differences of large sums: of equal values they would be rounding errors alone.
        rest_a = f.maximum(q_a - s_a * s_a / n_a, ROUNDING * q_a)
        rest_b = f.maximum(q_b - s_b * s_b / n_b, ROUNDING * q_b)
        free = f.maximum(n_a + n_b - 2, 1e-12)
        weight = weight + share
        gap = gap + share * (s_b / n_b - s_a / n_a)
        pooled = pooled + share * (rest_a + rest_b) / free
        own = rest_a / (n_a * f.maximum(n_a - 1, 1)) + rest_b / (n_b * f.maximum(n_b - 1, 1))
        welch = welch + share * share * own
        nu = nu + seen * (n_a + n_b - 2)
    if not known:
        return None
    variance = mixtures.functions(pooled, welch).maximum(pooled, welch)
    return weight, gap, variance, nu


def paired_p(n: Number, s: Number, q: Number) -> Number:
    """Test that the differences of pairs have the mean 0.

    Of pairs without a difference either may come first, so their differences are symmetric; of
    very lopsided ones with the mean 0 the level is only reached in the long run.

    :param n: How many differences, :param s: their sum, :param q: the sum of their squares.
    """
    if isinstance(n, np.ndarray):
        known = n >= 2
        size = np.maximum(n, 2)
        rest = np.maximum(q - s * s / size, ROUNDING * q)
        t2 = np.where(s == 0, 0.0, s * s / size * (size - 1) / np.where(rest > 0, rest, 1))
        return p_of(np.where(known, mixtures.log_t(t2, size - 1, size, PAIRED_EFFECT), 0.0))
    if n < 2 or s == 0:
        return 1.0
    rest = max(q - s * s / n, ROUNDING * q)
    return p_of(mixtures.log_t(s * s / n * (n - 1) / rest, n - 1, n, PAIRED_EFFECT))


def srm_p(counts: c.Sequence[Number], weights: c.Sequence[float]) -> Number:
    """Test that requests met the arms in the planned proportion (sample ratio mismatch)."""
    return p_of(log_srm(counts, weights))


def log_srm(counts: c.Sequence[Number], weights: c.Sequence[float]) -> Number:
    """Return the log e-process of :func:`srm_p`; infinite for traffic where none was planned."""
    total = float(sum(weights))
    shares = [weight / total for weight in weights]
    if any(share <= 0 and np.any(count) for share, count in zip(shares, counts, strict=True)):
        return math.inf
    used = [(n, share) for n, share in zip(counts, shares, strict=True) if share > 0]
    if len(used) < 2:
        return 0.0
    parts = [share for _, share in used]
    prior = [SRM_FIRMNESS * share for share in parts]
    return mixtures.log_dirichlet([n for n, _ in used], prior, parts)


def rate_p(x_a: Number, n_a: Number, x_b: Number, n_b: Number, share_b: float) -> Number:
    """Test that two arms fail at one rate.

    :param x_a: Failures of the *n_a* requests that were assigned to arm A.
    :param share_b: Arm B's share of the test's traffic.
    """
    return p_of(log_rate(x_a, n_a, x_b, n_b, share_b))


def log_rate(x_a: Number, n_a: Number, x_b: Number, n_b: Number, share_b: float) -> Number:
    """Return the log e-process of :func:`rate_p`.

    Of failures that do not depend on the arm, each is arm B's with probability *share_b*, however
    the rate changes in time; the same holds of successes. Both are looked at, as an average of
    e-processes is one again, and mostly the failures, which are rare.
    """
    failures = _log_share(x_a, x_b, share_b)
    successes = _log_share(n_a - x_a, n_b - x_b, share_b)
    return _log_average([(failures, RATE_FAILURES), (successes, 1 - RATE_FAILURES)])


def _log_share(x_a: Number, x_b: Number, share_b: float) -> Number:
    shares = (1 - share_b, share_b)
    return mixtures.log_dirichlet((x_a, x_b), [RATE_FIRMNESS * w for w in shares], shares)


def _log_average(parts: list[tuple[Number, float]]) -> Number:
    value = parts[0][0] + math.log(parts[0][1])
    for log_e, weight in parts[1:]:
        term = log_e + math.log(weight)
        if isinstance(value, np.ndarray) or isinstance(term, np.ndarray):
            value = np.logaddexp(value, term)
        else:
            high = max(value, term)
            value = high + math.log(math.exp(value - high) + math.exp(term - high))
    return value


def quantile_p(
    a: c.Sequence[float],
    b: c.Sequence[float],
    q: float,
    *,
    t_opt: float = QUANTILE_T_OPT,
    alpha_opt: float = 0.05,
) -> float:
    """Test that two arms have one q-quantile.

    :param t_opt: So many requests per arm make the test tightest, at level *alpha_opt*.
    """
    return float(p_of(log_quantile(a, b, q, t_opt=t_opt, alpha_opt=alpha_opt)))


def log_quantile(
    a: c.Sequence[float],
    b: c.Sequence[float],
    q: float,
    *,
    t_opt: float = QUANTILE_T_OPT,
    alpha_opt: float = 0.05,
) -> float:
    """Return the log e-process of :func:`quantile_p`.

    Howard, Ramdas (2022), "Sequential estimation of quantiles with applications to A/B testing
    and best-arm identification": at the common quantile the product of the arms' mixtures is a
    supermartingale, so its least value over all candidates is an e-process.
    """
    first, second = np.sort(np.asarray(a, float)), np.sort(np.asarray(b, float))
    if not first.size or not second.size:
        return 0.0
    low = min(_order(first, q), _order(second, q))
    high = max(_order(first, q), _order(second, q))
    # Outside the arms' own quantiles the product only grows.
    inside = np.concatenate([x[(x >= low) & (x <= high)] for x in (first, second)])
    candidates = np.unique(inside)
    r = mixtures.beta_precision(q * (1 - q) * t_opt, alpha_opt, q, 1 - q)
    log_e = sum(_log_below(x, candidates, q, r) for x in (first, second))
    return float(np.min(log_e))


def _order(values: np.ndarray[t.Any, t.Any], q: float) -> float:
    return float(values[min(max(math.ceil(q * values.size) - 1, 0), values.size - 1)])


def _log_below(values: np.ndarray[t.Any, t.Any], at: Number, q: float, r: float) -> Number:
    """Return the mixture of one arm at candidate quantiles, whatever ties they have."""
    n = values.size
    most = np.searchsorted(values, at, side="right")
    least = np.searchsorted(values, at, side="left")
    s = np.where(most < q * n, most - q * n, np.where(least > q * n, least - q * n, 0.0))
    return mixtures.log_beta_binomial(s, np.full(s.shape, q * (1 - q) * n), q, 1 - q, r)


def cluster_p(
    units_a: c.Sequence[tuple[float, float]], units_b: c.Sequence[tuple[float, float]]
) -> float:
    """Test that two arms have one mean per request, when it was users who were assigned.

    The delta method: a user counts once, by how far their sum is from what their number of
    requests would give at the mean of both arms.

    :param units_a: Requests and sum of every user of arm A.
    """
    return float(p_of(log_cluster(units_a, units_b)))


def log_cluster(units_a: t.Any, units_b: t.Any) -> float:
    """Return the log e-process of :func:`cluster_p`."""
    a, b = (np.asarray(units, float).reshape(-1, 2) for units in (units_a, units_b))
    requests = a[:, 0].sum() + b[:, 0].sum()
    if len(a) < 2 or len(b) < 2 or requests <= 0:
        return 0.0
    level = (a[:, 1].sum() + b[:, 1].sum()) / requests
    left = [(x[:, 1] - level * x[:, 0]) / x[:, 0].mean() for x in (a, b)]
    moments = [(len(x), float(x.sum()), float((x * x).sum())) for x in left]
    return float(log_mean([(*moments[0], *moments[1])], CLUSTER_EFFECT))


def average_p(log_es: c.Sequence[float]) -> float:
    """Return the p value of the average of e-processes, which holds however they depend."""
    if not log_es:
        return 1.0
    return float(p_of(_log_average([(value, 1 / len(log_es)) for value in log_es])))
