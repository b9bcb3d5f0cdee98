"""From a model's output to probabilities."""

from __future__ import annotations

import typing as t

import numpy as np

from ..errors import ModelFailed

Array = np.ndarray[t.Any, np.dtype[t.Any]]


def probabilities(output: Array, *, already: bool) -> Array:
    """Return probabilities over the last axis, as float64 of the same shape.

    :param already: The model ends in probabilities; softmax would flatten them.
    :raises ModelFailed: when the output holds NaN or infinity.
    """
    scores = np.asarray(output, dtype=np.float64)
    if scores.size == 0 or not np.isfinite(scores).all():
        raise ModelFailed("The model's output holds numbers that are not finite.")
    if already:
        return scores
    # Without the shift the exponential of a large score overflows.
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return t.cast(Array, powers / powers.sum(axis=-1, keepdims=True))


def is_distribution(outputs: t.Sequence[Array]) -> bool:
    """Whether the first output of fractions sums to one: where nobody says it is a softmax."""
    scores = next((x for x in outputs if x.dtype.kind == "f" and x.ndim), None)
    if scores is None or scores.shape[-1] < 2:
        return False
    sums = scores.astype(np.float64).sum(axis=-1)
    return bool((scores >= 0).all() and np.allclose(sums, 1, atol=1e-3))
