"""The closed forms behind every statement that may be watched at every moment.

Each is the logarithm of an e-process: of a process that under its null hypothesis has an
expectation of 1 at most at every stopping time, so that it ever exceeds ``1 / alpha`` with
probability ``alpha`` at most (Ville's inequality). Sources:

* Gaussian and beta-binomial mixtures: Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform,
  nonparametric, nonasymptotic confidence sequences", propositions 5 and 7.
* the t mixture: the right-Haar Bayes factor of Gönen et al. (2005), an e-process by Pérez-Ortiz,
  Lardy, de Heide, Grünwald (2024), "E-statistics, group invariance and anytime-valid testing".
* the Dirichlet-multinomial mixture: Lindon, Malek (2022), "Anytime-valid inference for
  multinomial count data".

Everything takes plain numbers, or NumPy arrays of one shape.
"""

from __future__ import annotations

import collections.abc as c
import math
import typing as t

import numpy as np

Number = t.Any


class _Arrays:
    log, log1p, sqrt, maximum = np.log, np.log1p, np.sqrt, np.maximum

    @staticmethod
    def lgamma(x: Number) -> Number:
        """Stirling's series, after eight steps of the recurrence; exact to 1e-13 or so."""
        x = np.asarray(x, float)
        steps = np.log(x)
        for i in range(1, 8):
            steps = steps + np.log(x + i)
        y = x + 8
        square = 1 / (y * y)
        series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / y
        return (y - 0.5) * np.log(y) - y + 0.5 * math.log(2 * math.pi) + series - steps


class _Scalars:
    log, log1p, sqrt, lgamma, maximum = math.log, math.log1p, math.sqrt, math.lgamma, max


def functions(*values: Number) -> t.Any:
    """Return the functions that fit: of plain numbers, which are much faster, or of arrays."""
    return _Arrays if any(isinstance(value, np.ndarray) for value in values) else _Scalars


def best_rho(v_opt: float, alpha_opt: float) -> float:
    """Return the mixture's precision that makes the boundary tightest at intrinsic time *v_opt*."""
    twice = 2 * math.log(1 / alpha_opt)
    return v_opt / (twice + math.log(1 + twice))


def log_normal(s: Number, v: Number, rho: float) -> Number:
    """Two-sided Gaussian mixture of a sum *s* with variance process *v*."""
    f = functions(s, v)
    return 0.5 * (f.log(rho / (v + rho)) + s * s / (v + rho))


def normal_bound(v: Number, alpha: float, rho: float) -> Number:
    """Return how far the sum strays with probability *alpha* at most, ever."""
    f = functions(v)
    return f.sqrt((v + rho) * (f.log((v + rho) / rho) - 2 * math.log(alpha)))


def log_t(t2: Number, nu: Number, n_eff: Number, g: float) -> Number:
    """The t mixture over effects of variance *g*, in squares of the standard deviation.

    :param t2: The squared t statistic with *nu* degrees of freedom.
    :param n_eff: How many single observations the comparison is worth; n_a·n_b/(n_a + n_b).
    """
    f = functions(t2, nu, n_eff)
    ratio = 1 + n_eff * g
    return -0.5 * f.log(ratio) + 0.5 * (nu + 1) * (f.log1p(t2 / nu) - f.log1p(t2 / (nu * ratio)))


def t2_bound(nu: float, n_eff: float, g: float, alpha: float) -> float:
    """Return the squared t statistic at which :func:`log_t` reaches ``1 / alpha``."""
    ratio = 1 + n_eff * g
    power = 2 * (0.5 * math.log(ratio) - math.log(alpha)) / (nu + 1)
    # Too few observations can never reach it, whatever they are.
    if power >= math.log(ratio):
        return math.inf
    grown = math.exp(power)
    return nu * (grown - 1) / (1 - grown / ratio)


def log_beta_binomial(s: Number, v: Number, g: Number, h: Number, r: Number) -> Number:
    """Two-sided beta-binomial mixture for increments between -g and h.

    :param r: The mixture's precision: of :func:`best_rho`, less ``g * h``.
    """
    f = functions(s, v, g, h)
    width = g + h
    a, b = r / (h * width), r / (g * width)
    up, down = (s + v / h) / width, (v / g - s) / width
    mixed = f.lgamma(a + up) + f.lgamma(b + down) - f.lgamma(a + b + up + down)
    prior = f.lgamma(a) + f.lgamma(b) - f.lgamma(a + b)
    null = up * f.log(g / width) + down * f.log(h / width)
    return mixed - prior - null


def beta_precision(v_opt: float, alpha_opt: float, g: float, h: float) -> float:
    """Return the precision of a beta-binomial mixture that is tightest at *v_opt*."""
    return max(best_rho(v_opt, alpha_opt) - g * h, 1e-3 * g * h)


def log_dirichlet(
    counts: c.Sequence[Number], alpha: c.Sequence[float], weights: c.Sequence[float]
) -> Number:
    """Dirichlet-multinomial mixture of *counts* against the given *weights*.

    :param alpha: The mixture's Dirichlet parameters.
    """
    f = functions(*counts)
    total, n = sum(alpha), sum(counts)
    value = math.lgamma(total) - f.lgamma(total + n)
    for count, a, weight in zip(counts, alpha, weights, strict=True):
        value = value + f.lgamma(a + count) - math.lgamma(a) - count * math.log(weight)
    return value
