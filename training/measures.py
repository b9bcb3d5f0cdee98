"""Closed forms of the figures a model card states. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


def accuracy(truth: Integers, probabilities: Floats) -> float:
    """Return the share of rows whose largest probability is the true class."""
    return float(np.mean(probabilities.argmax(axis=1) == truth))


def confusion(truth: Integers, predicted: Integers, classes: int) -> NDArray[np.int64]:
    """Count rows by true class (down) and predicted class (across)."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def auc(positive: NDArray[np.bool_], scores: Floats) -> float:
    """Return the chance that a positive outranks a negative; a tie counts half."""
    count = int(positive.sum())
    others = len(positive) - count
    if count == 0 or others == 0:
        return float("nan")
    ranks = _average_ranks(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def macro_auc(truth: Integers, probabilities: Floats) -> float:
    """Return the mean over classes of each class's AUC against the rest."""
    each = [auc(truth == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
    return float(np.nanmean(each))


def calibration_error(truth: Integers, probabilities: Floats, bins: int = 10) -> float:
    """Return the expected gap between top-class confidence and accuracy (ECE)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    # Bins are open below and closed above, so that certainty falls into the last one.
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = 0.0
    for place in range(bins):
        inside = places == place
        if inside.any():
            gap += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(gap)


def softmax(logits: Floats) -> Floats:
    """Turn rows of logits into rows of probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows: Floats = powers / powers.sum(axis=1, keepdims=True)
    return rows


def log_loss(truth: Integers, probabilities: Floats) -> float:
    """Return the mean of minus the log of what was given to the true class."""
    chosen = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(chosen, 1e-12, None)).mean())


def temperature(truth: Integers, logits: Floats) -> float:
    """Return the divisor of the logits with the least log loss, by a grid search."""
    grid = np.exp(np.linspace(np.log(0.25), np.log(4.0), 121))
    losses = [log_loss(truth, softmax(logits / t)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def _average_ranks(scores: Floats) -> Floats:
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks
