"""Multinomial logistic regression, in NumPy."""

from __future__ import annotations

import typing as t

import numpy as np

from flask_ailydian.routing.learning.textgraph import Floats


def fit(
    rows: Floats,
    classes: t.Any,
    worth: t.Any,
    count: int,
    *,
    decay: float = 5e-5,
    turns: int = 250,
) -> tuple[Floats, Floats]:
    """Return weights and offsets that fit the classes, by Adam on the whole of the data.

    :param worth: How much each row counts.
    """
    truth = np.eye(count, dtype=np.float32)[classes]
    # Rare classes count as much as frequent ones, nearly.
    share = (truth * worth[:, None]).sum(axis=0)
    worth = (worth / np.sqrt(share[classes])).astype(np.float32)[:, None]
    worth *= len(rows) / worth.sum()
    weights = np.zeros((rows.shape[1], count), np.float32)
    offsets = np.zeros(count, np.float32)
    moments = [np.zeros_like(x) for x in (weights, offsets, weights, offsets)]
    for turn in range(1, turns + 1):
        wrong = (softmax(rows @ weights + offsets) - truth) * worth / len(rows)
        slopes = (rows.T @ wrong + decay * weights, wrong.sum(axis=0))
        rate = 0.1 * (1 - turn / (turns + 1))
        for values, slope, first, second in zip(
            (weights, offsets), slopes, moments[:2], moments[2:], strict=True
        ):
            first += 0.1 * (slope - first)
            second += 0.001 * (slope**2 - second)
            step = first / (1 - 0.9**turn) / (np.sqrt(second / (1 - 0.999**turn)) + 1e-8)
            values -= np.float32(rate) * step
    return weights, offsets


def softmax(logits: t.Any) -> t.Any:
    """Return probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
