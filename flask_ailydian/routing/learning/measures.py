"""How good a ranking of queries is: APGR, CPT, the curve of cost and quality, bootstrap.

Every function takes one score a query (the higher, the sooner the paid backend is asked) and the
outcomes of both backends, and knows no database.
"""

from __future__ import annotations

import contextlib
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


@dataclasses.dataclass(frozen=True)
class Recovery:
    """The share of the gap that is recovered by sending the first k of n: a line by its corners.

    Queries with the same score are sent together, so that between two corners the line is straight.
    """

    #: k at the corners, from 0 to n.
    sent: Floats
    #: From 0 to 1; not always rising, for the paid backend may be the worse one.
    share: Floats

    def apgr(self) -> float:
        """Return the area under the line; a random router has a half."""
        middle = (self.share[1:] + self.share[:-1]) / 2
        return float(middle @ np.diff(self.sent) / self.sent[-1])

    def apgr_11(self) -> float:
        """Return the mean of the recovery at eleven shares, from none to all."""
        return float(self.at(np.linspace(0, 1, 11)).mean())

    def cpt(self, wanted: float) -> float:
        """Return the least share of paid calls that recovers *wanted* of the gap."""
        least = wanted - 1e-12
        corner = int(np.argmax(self.share >= least))
        if corner == 0:
            return 0.0
        before, after = self.share[corner - 1 : corner + 1]
        start, end = self.sent[corner - 1 : corner + 1]
        whole_calls = np.ceil(start + (least - before) / (after - before) * (end - start))
        return float(whole_calls / self.sent[-1])

    def at(self, shares: Floats) -> Floats:
        """Return what is recovered at shares of paid calls."""
        return t.cast(Floats, np.interp(shares * self.sent[-1], self.sent, self.share))


class Ranking:
    """The order in which scores send queries: sorted once, whichever sample of them is asked of."""

    def __init__(self, scores: Floats, outcomes: Outcomes) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        self._gain = outcomes.gain[self._order]

    def recovery(self, times: t.Any = None) -> Recovery:
        """Return how the gap is recovered.

        :param times: How often each query stands in a sample; by default once.
        :raises ValueError: when nothing is gained in all.
        """
        times = np.ones(len(self._order)) if times is None else times[self._order].astype(float)
        sent = np.cumsum(np.add.reduceat(times, self._starts))
        gained = np.cumsum(np.add.reduceat(times * self._gain, self._starts))
        if gained[-1] <= 0:
            raise ValueError("The strong backend is no better than the weak one on these queries.")
        return Recovery(*(np.concatenate([[0.0], x]) for x in (sent, gained / gained[-1])))


def apgr(scores: Floats, outcomes: Outcomes) -> float:
    """Return the area under the curve of recovery; a random router has a half."""
    return Ranking(scores, outcomes).recovery().apgr()


MEASURES: dict[str, t.Callable[[Recovery], float]] = {
    "apgr": Recovery.apgr,
    "apgr_11": Recovery.apgr_11,
    "cpt_50": lambda recovery: recovery.cpt(0.5),
    "cpt_80": lambda recovery: recovery.cpt(0.8),
}


def figures(
    scores: Floats, outcomes: Outcomes, *, draws: int = 200, seed: int = 0
) -> dict[str, t.Any]:
    """Return every measure, with bootstrap intervals of 95 %."""
    chance = np.random.default_rng(seed)
    count, ranking = len(scores), Ranking(scores, outcomes)
    drawn = []
    for _ in range(draws):
        times = np.bincount(chance.integers(0, count, count), minlength=count)
        # By chance a sample may have no gap to recover.
        with contextlib.suppress(ValueError):
            recovery = ranking.recovery(times)
            drawn.append([measure(recovery) for measure in MEASURES.values()])
    whole = ranking.recovery()
    found: dict[str, t.Any] = {}
    for (name, measure), values in zip(MEASURES.items(), np.transpose(drawn), strict=True):
        low, high = np.quantile(values, [0.025, 0.975])
        found[name] = round(measure(whole), 4)
        found[f"{name}_interval"] = [round(float(low), 4), round(float(high), 4)]
    return found


def curve(scores: Floats, outcomes: Outcomes, points: int = 21) -> list[list[float]]:
    """Return pairs: the share of paid calls, and the quality of all answers together."""
    shares = np.linspace(0, 1, points)
    gained = Ranking(scores, outcomes).recovery().at(shares) * outcomes.gain.mean()
    quality = outcomes.weak.mean() + gained
    return [[round(float(x), 4), round(float(y), 4)] for x, y in zip(shares, quality, strict=True)]


def ranks(scores: Floats) -> Floats:
    """Return scores as ranks in (0, 1); equal scores have equal ranks."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    return t.cast(Floats, ((ends - (sizes - 1) / 2 - 0.5) / len(scores))[group])
