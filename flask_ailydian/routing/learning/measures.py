"""How good a ranking of queries is: APGR, CPT, the curve of cost and quality, bootstrap.

Every function takes one score a query (the higher, the sooner the paid backend is asked) and the
outcomes of both backends, and knows no database.
"""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np

Floats = np.ndarray[t.Any, np.dtype[np.float64]]


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What both backends were worth on the same queries."""

    weak: Floats
    strong: Floats

    @property
    def gain(self) -> Floats:
        """What the paid backend adds to each query."""
        return self.strong - self.weak

    def take(self, rows: t.Any) -> Outcomes:
        """Return some of the queries."""
        return Outcomes(self.weak[rows], self.strong[rows])


def recovered(scores: Floats, outcomes: Outcomes) -> Floats:
    """Return the share of the gap that is recovered by sending the first k of n, k from 0 to n.

    Queries with the same score are sent together: each gives its group's mean.
    """
    order = np.argsort(-scores, kind="stable")
    gain, ranked = outcomes.gain[order], scores[order]
    _, group, sizes = np.unique(-ranked, return_inverse=True, return_counts=True)
    means = np.bincount(group, gain) / sizes
    whole = gain.sum()
    if whole <= 0:
        raise ValueError("The strong backend is no better than the weak one on these queries.")
    steps: Floats = np.concatenate([[0.0], np.cumsum(means[group])])
    return t.cast(Floats, steps / whole)


def apgr(scores: Floats, outcomes: Outcomes) -> float:
    """Return the area under the curve of recovery; a random router has a half."""
    curve = recovered(scores, outcomes)
    return float((curve[1:] + curve[:-1]).mean() / 2)


def apgr_11(scores: Floats, outcomes: Outcomes) -> float:
    """Return the mean of the recovery at eleven shares, from none to all."""
    curve = recovered(scores, outcomes)
    shares = np.linspace(0, 1, 11) * (len(curve) - 1)
    return float(np.interp(shares, np.arange(len(curve)), curve).mean())


def cpt(scores: Floats, outcomes: Outcomes, wanted: float) -> float:
    """Return the least share of paid calls that recovers *wanted* of the gap."""
    curve = recovered(scores, outcomes)
    return float(np.argmax(curve >= wanted - 1e-12) / (len(curve) - 1))


def figures(
    scores: Floats, outcomes: Outcomes, *, draws: int = 200, seed: int = 0
) -> dict[str, t.Any]:
    """Return every measure, with bootstrap intervals of 95 %."""
    measures: dict[str, t.Callable[[Floats, Outcomes], float]] = {
        "apgr": apgr,
        "apgr_11": apgr_11,
        "cpt_50": lambda s, o: cpt(s, o, 0.5),
        "cpt_80": lambda s, o: cpt(s, o, 0.8),
    }
    chance = np.random.default_rng(seed)
    count = len(scores)
    drawn: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(draws):
        rows = chance.integers(0, count, count)
        part = outcomes.take(rows)
        if part.gain.sum() > 0:
            for name, measure in measures.items():
                drawn[name].append(measure(scores[rows], part))
    found: dict[str, t.Any] = {}
    for name, measure in measures.items():
        low, high = np.quantile(drawn[name], [0.025, 0.975])
        found[name] = round(measure(scores, outcomes), 4)
        found[f"{name}_interval"] = [round(float(low), 4), round(float(high), 4)]
    return found


def curve(scores: Floats, outcomes: Outcomes, points: int = 21) -> list[list[float]]:
    """Return pairs: the share of paid calls, and the quality of all answers together."""
    gained = recovered(scores, outcomes) * outcomes.gain.sum() / len(scores)
    shares = np.linspace(0, 1, points)
    at = np.interp(shares * len(scores), np.arange(len(gained)), gained)
    quality = outcomes.weak.mean() + at
    return [[round(float(x), 4), round(float(y), 4)] for x, y in zip(shares, quality, strict=True)]


def ranks(scores: Floats) -> Floats:
    """Return scores as ranks in (0, 1); equal scores have equal ranks."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    return t.cast(Floats, ((ends - (sizes - 1) / 2 - 0.5) / len(scores))[group])
