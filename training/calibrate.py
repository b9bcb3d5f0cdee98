"""Fits a temperature and an offset for each class to validation logits."""

from __future__ import annotations

import numpy as np

from . import measures
from .measures import Floats
from .measures import Integers
from .measures import softmax


def fit(truth: Integers, logits: Floats, *, steps: int = 4000) -> tuple[float, Floats]:
    """Return temperature and offsets with the least log loss of ``logits / t + offset``.

    Every class counts alike, whatever its share. A slight pull keeps the offsets small, as
    there are only a few hundred validation patients to fit them to.
    """
    rows, classes = logits.shape
    wanted = np.eye(classes)[truth]
    weight = (1 / np.bincount(truth, minlength=classes))[truth][:, None] / classes
    slope, offset = 1.0, np.zeros(classes)
    for _ in range(steps):
        gap = (softmax(logits * slope + offset) - wanted) * weight
        slope -= 0.05 * float((gap * logits).sum())
        offset -= 0.2 * (gap.sum(axis=0) + 0.02 * offset)
    return 1 / max(slope, 1e-3), offset


def on_unseen_halves(
    truth: Integers, logits: Floats, patients: list[str], *, rounds: int = 100
) -> tuple[Floats, Floats]:
    """Return accuracy and calibration error, each time fitted on half of the patients.

    The figures are of the other half, so that no picture of a patient is on both sides.
    """
    chance = np.random.default_rng(0)
    names = np.array(sorted(set(patients)))
    found = []
    for _ in range(rounds):
        chosen = set(chance.permutation(names)[: len(names) // 2].tolist())
        first = np.array([patient in chosen for patient in patients])
        for fitted in (first, ~first):
            heat, offset = fit(truth[fitted], logits[fitted], steps=1000)
            chances = softmax(logits[~fitted] / heat + offset)
            found.append(
                (
                    measures.accuracy(truth[~fitted], chances),
                    measures.calibration_error(truth[~fitted], chances),
                )
            )
    accuracies, errors = np.array(found).T
    return accuracies, errors
