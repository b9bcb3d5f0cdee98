"""What the pairs of a shadow test say: two answers to one input. Pure."""

from __future__ import annotations

import dataclasses
import math
import typing as t

import numpy as np

from . import intervals
from . import statistics as st
from .analysis import Analysis
from .analysis import Finding
from .analysis import moments
from .analysis import nearest_rank
from .analysis import QUANTILES

Array = np.ndarray[t.Any, np.dtype[t.Any]]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs as columns; what is not known is NaN."""

    latency_a: Array
    latency_b: Array
    failed: Array
    agrees: Array
    cost_a: Array
    cost_b: Array


def analyse_pairs(pairs: Pairs) -> Analysis:
    """Analyse a shadow test; whatever arm A failed on has no pair."""
    n = len(pairs.failed)
    compared = pairs.agrees[~np.isnan(pairs.agrees)]
    same = int(compared.sum())
    return Analysis(
        units=(n, n),
        requests=(n, n),
        srm_p=1.0,
        findings={
            "latency": _paired("latency", pairs.latency_a, pairs.latency_b),
            "failures": _failures(pairs.failed),
            "cost": _paired("cost", pairs.cost_a, pairs.cost_b),
        },
        quantiles={
            label: _quantiles(values)
            for label, values in (("a", pairs.latency_a), ("b", pairs.latency_b))
        },
        p95_p=1.0,
        agreement=(same, len(compared), *intervals.rate(same, len(compared))),
    )


def _paired(name: str, first: Array, second: Array) -> Finding:
    known = ~np.isnan(first) & ~np.isnan(second)
    a, b = first[known], second[known]
    difference, low, high = intervals.paired_gap(a, b)
    return Finding(
        metric=name,
        n=(len(a), len(b)),
        value=(float(a.mean()), float(b.mean())) if len(a) else (None, None),
        bounds=(intervals.mean(*moments(a)), intervals.mean(*moments(b))),
        difference=difference if len(a) else None,
        low=low,
        high=high,
        ratio=intervals.paired_ratio(a, b) if len(a) else None,
        p=float(st.paired_p(*moments(b - a))),
    )


def _failures(failed: Array) -> Finding:
    n, x = len(failed), int(failed.sum())
    low, high = intervals.rate(x, n)
    return Finding(
        metric="failures",
        n=(n, n),
        value=(0.0, x / n) if n else (None, None),
        bounds=((0.0, 0.0) if n else (0.0, 1.0), (low, high)),
        difference=x / n if n else None,
        low=low if n else -math.inf,
        high=high if n else math.inf,
        ratio=None,
        p=1.0,
    )


def _quantiles(values: Array) -> dict[str, t.Any]:
    ordered = np.sort(values[~np.isnan(values)])
    return {
        f"p{round(100 * q)}": {
            "value": nearest_rank(ordered, q),
            "bounds": intervals.quantile(t.cast(t.Any, ordered), q),
        }
        for q in QUANTILES
    }
