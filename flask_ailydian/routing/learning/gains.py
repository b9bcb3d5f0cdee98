"""What the paid backend gains on a text: n-grams of characters and what the text looks like.

A linear model of the n-grams says how often either backend is right on such texts, a projection
of them what they are about, and a forest of random trees puts these together with the looks.
Where sentences have vectors, the gain on the nearest known ones has a say of its own.
Needs scikit-learn, which is imported late; what comes out is an ONNX graph that does not.
"""

from __future__ import annotations

import dataclasses
import importlib
import typing as t

import numpy as np

from ...errors import ValidationFailed
from .. import surface
from . import measures
from . import textgraph
from . import trees
from .measures import Floats
from .measures import Outcomes

BASE = 40
FOLDS, INNER_FOLDS = 5, 4
MOST_CHARS = surface.MOST_CHARS
MOST_GRAMS = 24_000
#: Found by cross-validation on half of a public table; held fixed elsewhere.
RIDGE, TOPICS = 16.0, 24
FOREST = {"n_estimators": 200, "min_samples_leaf": 30, "max_features": 0.4}
TURNS = 25
QUANTILES = 200
#: How much nearer neighbours outweigh others, by cosine.
NEARNESS = 8.0
MISSING = 'Training needs a package: pip install "flask-ailydian[learn]"'


@dataclasses.dataclass(frozen=True)
class Read:
    """A text as its n-grams, each once with how often it stands there, its looks, its vector."""

    grams: t.Any
    counts: t.Any
    looks: t.Any
    vector: t.Any = None


def read(text: str, vector: t.Any = None) -> Read:
    """Return what is looked at of a text.

    :param vector: Of unit length, from an embedding model; for all texts or for none.
    """
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
    grams, counts = np.unique(np.concatenate(found), return_counts=True)
    return Read(grams, counts, surface.features(text), vector)


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
    def of(cls, texts: t.Sequence[Read]) -> Reader:
        """Choose the n-grams that stand in most texts, but not in one alone."""
        present, counts = np.unique(np.concatenate([x.grams for x in texts]), return_counts=True)
        often = np.argsort(-counts, kind="stable")[:MOST_GRAMS]
        often = np.sort(often[counts[often] >= min(3, len(texts) // 50 + 1)])
        rarity = np.log((1 + len(texts)) / (1 + counts[often])) + 1
        return cls(present[often], rarity)

    def rows(self, texts: t.Sequence[Read]) -> t.Any:
        """Return the weights of the n-grams of texts, as a sparse matrix."""
        starts, columns, values = [0], [], []
        for text in texts:
            place = np.searchsorted(self.grams, text.grams)
            place = np.minimum(place, len(self.grams) - 1)
            hit = self.grams[place] == text.grams
            weight = np.log1p(text.counts[hit]) * self.rarity[place[hit]]
            columns.append(place[hit])
            values.append(weight / max(float(np.linalg.norm(weight)), 1e-6))
            starts.append(starts[-1] + int(hit.sum()))
        shape = (len(texts), len(self.grams))
        parts = (np.concatenate(values).astype(np.float32), np.concatenate(columns), starts)
        return _package("scipy.sparse").csr_matrix(parts, shape=shape)


@dataclasses.dataclass(frozen=True)
class Model:
    """Everything that a text's gain is worked out from."""

    reader: Reader
    projection: Floats
    offset: Floats
    forest: t.Any
    known: Floats | None
    gain: Floats

    def gains(self, texts: t.Sequence[Read]) -> Floats:
        """Return what is expected of each text: a row a text, a column for each who has a say."""
        found = [self.forest.predict(self.features(texts))[:, 0]]
        if self.known is not None:
            near = np.exp(NEARNESS * (_vectors(texts) @ self.known.T - 1))
            found.append(near @ self.gain / near.sum(axis=1))
        return np.stack(found, axis=1)

    def features(self, texts: t.Sequence[Read]) -> t.Any:
        """Return what the forest looks at."""
        projected = self.reader.rows(texts) @ self.projection + self.offset
        looks = np.stack([text.looks for text in texts])
        return np.hstack([projected, looks]).astype(np.float32)


def fit(
    texts: t.Sequence[Read], outcomes: Outcomes, groups: t.Sequence[str] | None = None
) -> Model:
    """Return a model of texts and what both backends were worth on them.

    :param groups: Texts of one group say nothing new about each other.
    """
    reader = Reader.of(texts)
    rows = reader.rows(texts)
    weak, strong = outcomes.weak, outcomes.strong
    wanted = np.stack([outcomes.gain, weak, strong], axis=1)
    # What a linear model says of its own texts is too good: the forest must see it as it will be.
    unseen = np.zeros_like(wanted)
    inner = folds_of(len(texts), groups, seed=1, folds=INNER_FOLDS)
    for fold in np.unique(inner):
        outside = np.flatnonzero(inner != fold)
        weights, middle = _ridge(rows[outside], wanted[outside])
        unseen[inner == fold] = rows[np.flatnonzero(inner == fold)] @ weights + middle
    weights, middle = _ridge(rows, wanted)
    topics = _topics(rows)
    projection = np.hstack([weights, topics])
    offset = np.concatenate([middle, np.zeros(topics.shape[1])])
    looks = np.stack([text.looks for text in texts])
    forest = _package("sklearn.ensemble").ExtraTreesRegressor(random_state=0, n_jobs=-1, **FOREST)
    features = np.hstack([unseen, rows @ topics, looks]).astype(np.float32)
    forest.fit(features, np.hstack([wanted, (weak * strong)[:, None]]))
    known = None if texts[0].vector is None else _vectors(texts)
    return Model(reader, projection, offset, forest, known, outcomes.gain)


def _vectors(texts: t.Sequence[Read]) -> Floats:
    return np.stack([text.vector for text in texts]).astype(np.float32)


def _ridge(rows: t.Any, wanted: Floats) -> tuple[Floats, Floats]:
    """Return weights and offsets, by conjugate gradients on the normal equations."""
    middle, turned = wanted.mean(axis=0), rows.T.tocsr()
    rest = turned @ (wanted - middle)
    weights, way = np.zeros_like(rest), rest.copy()
    size = (rest**2).sum(axis=0)
    for _ in range(TURNS):
        image = turned @ (rows @ way) + RIDGE * way
        step = size / np.maximum((way * image).sum(axis=0), 1e-30)
        weights += step * way
        rest -= step * image
        size, before = (rest**2).sum(axis=0), size
        way = rest + size / np.maximum(before, 1e-30) * way
    return weights, middle


def _topics(rows: t.Any) -> Floats:
    """Return the directions in which the texts differ most."""
    count = min(TOPICS, min(rows.shape) // 4)
    linear = _package("sklearn.utils.extmath")
    _, _, found = linear.randomized_svd(rows, count, n_iter=2, random_state=0)
    return t.cast(Floats, found.T)


def cross_validated(
    texts: t.Sequence[Read],
    outcomes: Outcomes,
    groups: t.Sequence[str] | None = None,
    most: int | None = None,
) -> Floats:
    """Return the gains that a model expects of each text which has not seen its fold.

    As :meth:`Model.gains` does; :func:`together` makes one score of them.

    :param groups: Folds of whole groups: a model has seen none of a text's own.
    :param most: So many labels a model learns from at most, by chance.
    """
    chance = np.random.default_rng(0)
    folds = folds_of(len(texts), groups)
    scores = np.zeros((len(texts), 1 if texts[0].vector is None else 2))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if most is not None:
            outside = chance.permutation(outside)[:most]
        own = None if groups is None else [groups[int(i)] for i in outside]
        model = fit([texts[int(i)] for i in outside], outcomes.take(outside), own)
        # Gains are on one scale, whichever fold they come from.
        scores[inside] = model.gains([texts[int(i)] for i in inside])
    return scores


def together(gains: Floats) -> Floats:
    """Return the mean of the ranks that all who have a say give a text."""
    return t.cast(Floats, np.mean([measures.ranks(column) for column in gains.T], axis=0))


def without_vectors(texts: t.Sequence[Read]) -> list[Read]:
    """Return texts as they are without an embedding model."""
    return [dataclasses.replace(text, vector=None) for text in texts]


def folds_of(
    count: int, groups: t.Sequence[str] | None, seed: int = 0, folds: int = FOLDS
) -> t.Any:
    """Return a fold for each text; texts of one group stay together."""
    chance = np.random.default_rng(seed)
    if groups is None:
        return chance.permutation(count) % folds
    names = sorted(set(groups))
    place = dict(zip(names, chance.permutation(len(names)) % folds, strict=True))
    return np.array([place[name] for name in groups])


def export(model: Model, gains: Floats, embedding: str = "") -> bytes:
    """Return an ONNX model: a text and its looks in, the rank of its gain out, from 0 to 1.

    :param gains: Expected of texts that were not seen: among them it is ranked.
    :param embedding: Who makes the vectors: name, version and digest.
    """
    steps = np.quantile(gains, np.linspace(0, 1, QUANTILES + 2)[1:-1], axis=0)
    vocabulary = [gram_of(int(number)) for number in model.reader.grams]
    nodes, constants = textgraph.front(vocabulary, model.reader.rarity.astype(np.float32))
    make = textgraph.node
    nodes += [
        make("MatMul", ["features", "projection"], ["projected"]),
        make("Add", ["projected", "offset"], ["placed"]),
        make("Concat", ["placed", "looks"], ["seen"], axis=1),
        trees.node(model.forest, "seen", "gain"),
    ]
    takes = {"looks": ["batch", surface.WIDTH]}
    metadata = {"task": "query-routing", "surface": str(surface.VERSION)}
    if model.known is not None:
        nodes += [
            make("MatMul", ["vector", "known"], ["cosine"]),
            make("Mul", ["cosine", "nearness"], ["near"]),
            make("Softmax", ["near"], ["shares"], axis=1),
            make("MatMul", ["shares", "gains"], ["likely"]),
        ]
        constants["known"] = model.known.astype(np.float32).T
        constants["nearness"] = np.float32(NEARNESS)
        constants["gains"] = model.gain.astype(np.float32)[:, None]
        takes["vector"] = ["batch", model.known.shape[1]]
        metadata["embedding"] = embedding
    ranks = []
    for number, name in enumerate(["gain", "likely"][: gains.shape[1]]):
        constants[f"steps_{name}"] = steps[:, number].astype(np.float32)[None, :]
        nodes += [
            make("Greater", [name, f"steps_{name}"], [f"above_{name}"]),
            make("Cast", [f"above_{name}"], [f"ones_{name}"], to=1),
            make("ReduceMean", [f"ones_{name}"], [f"rank_{name}"], axes=[1], keepdims=1),
        ]
        ranks.append(f"rank_{name}")
    nodes.append(make("Mean", ranks, ["rank"]))
    constants["projection"] = model.projection.astype(np.float32)
    constants["offset"] = model.offset.astype(np.float32)[None, :]
    return textgraph.model(nodes, constants, ("rank", ["batch", 1]), metadata, takes)


def _package(name: str) -> t.Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValidationFailed(MISSING) from error
