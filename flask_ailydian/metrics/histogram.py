"""Histograms that can be added up: percentiles of a week from those of its days. Pure.

Buckets grow by a fixed ratio, so that every percentile is right to 1 % whatever its size (the
idea of DDSketch: Masson, Rim, Lee, 2019). An average of percentiles is right to nothing.
"""

from __future__ import annotations

import collections.abc as c
import math
import typing as t

import numpy as np

#: Each bucket's upper edge over its lower edge.
GROWTH = 1.02
#: What is not above this counts as this, in milliseconds.
LEAST = 1e-3

Histogram = dict[str, int]


def of(values: t.Any) -> Histogram:
    """Return the histogram of an array of numbers that are not negative."""
    array = np.maximum(np.asarray(values, float), LEAST)
    buckets = np.ceil(np.log(array) / math.log(GROWTH)).astype(int)
    numbers, counts = np.unique(buckets, return_counts=True)
    return {str(number): int(count) for number, count in zip(numbers, counts, strict=True)}


def merged(histograms: c.Iterable[Histogram | None]) -> Histogram:
    """Return the histogram of everything that the given ones counted."""
    total: Histogram = {}
    for histogram in histograms:
        for bucket, count in (histogram or {}).items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def quantile(histogram: Histogram, q: float) -> float | None:
    """Return the q-quantile to 1 %, or ``None`` of nothing."""
    left = math.ceil(round(q * sum(histogram.values()), 9))
    if not histogram:
        return None
    for bucket in sorted(map(int, histogram)):
        left -= histogram[str(bucket)]
        if left <= 0:
            break
    # In the middle of the bucket, as far from either edge in relation.
    return float(2 * GROWTH**bucket / (1 + GROWTH))
