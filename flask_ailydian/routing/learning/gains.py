"""A light model of what the paid backend gains: n-grams of characters, ridge regression."""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np

from . import measures
from . import textgraph
from .measures import Floats
from .measures import Outcomes

BASE = 40
FOLDS = 5
#: Longer texts are read so far.
MOST_CHARS = 2000
MOST_GRAMS = 12_000
#: Found by cross-validation on one public table; held fixed elsewhere.
RIDGE = 15.0
TURNS = 40
QUANTILES = 200


@dataclasses.dataclass(frozen=True)
class Sparse:
    """Rows of numbers of which most are nothing."""

    starts: t.Any
    columns: t.Any
    values: Floats
    width: int

    def times(self, vector: Floats) -> Floats:
        """Return the product with a column vector."""
        total = np.concatenate([[0.0], np.cumsum(self.values * vector[self.columns])])
        product: Floats = total[self.starts[1:]] - total[self.starts[:-1]]
        return product

    def across(self, vector: Floats) -> Floats:
        """Return the product of the transposed rows with a vector."""
        repeated = np.repeat(vector, np.diff(self.starts))
        summed = np.bincount(self.columns, self.values * repeated, minlength=self.width)
        return t.cast(Floats, summed)

    def take(self, rows: t.Any) -> Sparse:
        """Return some of the rows."""
        sizes = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(starts[-1]) + np.repeat(self.starts[:-1][rows] - starts[:-1], sizes)
        return Sparse(starts, self.columns[places], self.values[places], self.width)


def coded(text: str) -> tuple[t.Any, t.Any]:
    """Return the n-grams of *text* as numbers, each once, and how often it stands there."""
    known = textgraph.codes()
    numbers = [textgraph.START, *(known.get(c, 0) for c in text[:MOST_CHARS]), textgraph.END]
    row = np.array(numbers, dtype=np.int64)
    found = []
    for length in textgraph.LENGTHS:
        if len(row) >= length:
            windows = np.lib.stride_tricks.sliding_window_view(row, length)
            powers = BASE ** np.arange(length - 1, -1, -1, dtype=np.int64)
            # The length comes first, so that grams sort by it.
            found.append(windows @ powers + length * BASE**6)
    return np.unique(np.concatenate(found), return_counts=True)


def gram_of(number: int) -> textgraph.Gram:
    """Return the n-gram that a number stands for."""
    length, rest = divmod(number, BASE**6)
    return tuple(int(rest // BASE**place % BASE) for place in range(length - 1, -1, -1))


@dataclasses.dataclass(frozen=True)
class Reader:
    """Which n-grams count, and how much each."""

    grams: t.Any
    rarity: Floats

    @classmethod
    def of(cls, texts: t.Sequence[t.Any]) -> Reader:
        """Choose the n-grams that stand in most texts, but not in one alone."""
        present, counts = np.unique(np.concatenate([x for x, _ in texts]), return_counts=True)
        often = np.argsort(-counts, kind="stable")[:MOST_GRAMS]
        often = np.sort(often[counts[often] >= min(3, len(texts) // 50 + 1)])
        rarity = np.log((1 + len(texts)) / (1 + counts[often])) + 1
        return cls(present[often], rarity)

    def rows(self, texts: t.Sequence[t.Any]) -> Sparse:
        """Return the features of texts that :func:`coded` read."""
        starts, columns, values = [0], [], []
        for numbers, counts in texts:
            place = np.searchsorted(self.grams, numbers)
            place = np.minimum(place, len(self.grams) - 1)
            hit = self.grams[place] == numbers
            weight = np.log1p(counts[hit]) * self.rarity[place[hit]]
            columns.append(place[hit])
            values.append(weight / max(float(np.linalg.norm(weight)), 1e-6))
            starts.append(starts[-1] + int(hit.sum()))
        width = len(self.grams)
        return Sparse(np.array(starts), np.concatenate(columns), np.concatenate(values), width)


def fit(rows: Sparse, gain: Floats, ridge: float = RIDGE) -> tuple[Floats, float]:
    """Return weights and an offset, by conjugate gradients on the normal equations."""
    middle = float(gain.mean())
    wanted = rows.across(gain - middle)
    weights = np.zeros(rows.width)
    rest, way = wanted.copy(), wanted.copy()
    size = float(rest @ rest)
    for _ in range(TURNS):
        if size < 1e-12:
            break
        image = rows.across(rows.times(way)) + ridge * way
        step = size / float(way @ image)
        weights += step * way
        rest -= step * image
        size, before = float(rest @ rest), size
        way = rest + size / before * way
    return weights, middle


def cross_validated(texts: t.Sequence[t.Any], gain: Floats, folds: t.Any) -> Floats:
    """Return a score for each text from a model that has not seen its fold, as ranks."""
    scores = np.zeros(len(texts))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        reader = Reader.of([texts[int(i)] for i in outside])
        weights, _ = fit(reader.rows([texts[int(i)] for i in outside]), gain[outside])
        # Ranks within a fold: the folds' own scales do not mix.
        scores[inside] = measures.ranks(reader.rows([texts[int(i)] for i in inside]).times(weights))
    return scores


def folds_of(count: int, groups: t.Sequence[str] | None, seed: int = 0) -> t.Any:
    """Return a fold for each text; texts of one group stay together."""
    chance = np.random.default_rng(seed)
    if groups is None:
        return chance.permutation(count) % FOLDS
    names = sorted(set(groups))
    place = dict(zip(names, chance.permutation(len(names)) % FOLDS, strict=True))
    return np.array([place[name] for name in groups])


def train(texts: t.Sequence[str], outcomes: Outcomes) -> bytes:
    """Return an ONNX model: a text in, the rank of its expected gain out, from 0 to 1."""
    read = [coded(text) for text in texts]
    reader = Reader.of(read)
    rows = reader.rows(read)
    weights, _ = fit(rows, outcomes.gain)
    steps = np.quantile(rows.times(weights), np.linspace(0, 1, QUANTILES + 2)[1:-1])
    return _graph(reader, weights, steps)


def _graph(reader: Reader, weights: Floats, steps: Floats) -> bytes:
    vocabulary = [gram_of(int(number)) for number in reader.grams]
    nodes, constants = textgraph.front(vocabulary, reader.rarity.astype(np.float32))
    make = textgraph.node
    nodes += [
        make("MatMul", ["features", "weights"], ["gain"]),
        make("Greater", ["gain", "steps"], ["above"]),
        make("Cast", ["above"], ["ones"], to=1),
        make("ReduceMean", ["ones"], ["rank"], axes=[1], keepdims=1),
    ]
    constants["weights"] = weights.astype(np.float32)[:, None]
    constants["steps"] = steps.astype(np.float32)[None, :]
    return textgraph.model(nodes, constants, ("rank", ["batch", 1]), {"task": "query-routing"})
