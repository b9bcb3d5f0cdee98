"""`python -m training.help_desk --out FOLDER`: trains, judges, writes the help desk."""

from __future__ import annotations

import argparse
import collections
import typing as t
from pathlib import Path

import numpy as np
from onnx import helper

from flask_ailydian.routing.learning import textgraph as graph

from . import data
from . import linear
from .data import Phrase

NAME = "help-desk-demo.onnx"
FOLDS = 3
#: Share of the right answers (in folds of the training part) that the threshold lets through.
LET_THROUGH = 0.95


def main() -> None:
    """Train, judge on the phrases that were set aside, write the file."""
    parser = argparse.ArgumentParser(prog="python -m training.help_desk", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the file goes")
    options = parser.parse_args()
    made, judged = train()
    for name, value in judged.items():
        print(f"{name}: {value}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / NAME).write_bytes(made)
    print(f"wrote {NAME}, {len(made) / 1e6:.2f} MB")


def train() -> tuple[bytes, dict[str, t.Any]]:
    """Return the model's bytes and the figures of the phrases that were set aside."""
    taught, held = data.taught(), data.held_out()
    labels = list(dict.fromkeys(phrase.intent for phrase in taught))
    vocabulary = choose([phrase.text for phrase in taught])
    rows = graph.features([phrase.text for phrase in taught], vocabulary)
    classes = np.array([labels.index(phrase.intent) for phrase in taught])
    worth = np.array([phrase.worth for phrase in taught], np.float32)
    outside = labels.index(data.OUT_OF_SCOPE)
    heat, threshold = calibrate(rows, classes, worth, len(labels), outside)
    weights, offsets = linear.fit(rows, classes, worth, len(labels))
    metadata = {
        "labels": labels,
        "task": "text-classification",
        "domain": "chat",
        "answers": data.answers(),
        "threshold": threshold,
        "out_of_scope": data.OUT_OF_SCOPE,
        "license": "MIT",
        "description": "A demo help desk of a made-up town and its clinic, in Turkish.",
    }
    nodes, constants = graph.front(vocabulary)
    nodes += [
        helper.make_node("MatMul", ["features", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "offsets"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    constants |= {"weights": weights / heat, "offsets": offsets / heat}
    made = graph.model(nodes, constants, ("probabilities", ["batch", len(labels)]), metadata)
    seen = graph.features([phrase.text for phrase in held], vocabulary)
    chances = linear.softmax((seen @ weights + offsets) / heat)
    return made, judge(held, chances, labels, threshold) | {"temperature": heat}


def choose(texts: t.Sequence[str], least: int = 2, most: int = 9500) -> list[graph.Gram]:
    """Return the n-grams that stand in at least *least* texts, shorter ones first."""
    counts = collections.Counter(gram for text in texts for gram in set(graph.grams(text)))
    often = [gram for gram, count in counts.most_common() if count >= least][:most]
    return sorted(often, key=lambda gram: (len(gram), gram))


def calibrate(
    rows: t.Any, classes: t.Any, worth: t.Any, count: int, outside: int
) -> tuple[float, float]:
    """Return temperature and threshold, from folds of the training part alone."""
    whole = worth == 1
    # Frames of one keyword must not stand on both sides: only whole phrases are folded.
    fold = np.where(whole, np.random.default_rng(0).permutation(len(rows)) % FOLDS, -1)
    logits = np.zeros((len(rows), count), np.float32)
    for k in range(FOLDS):
        weights, offsets = linear.fit(rows[fold != k], classes[fold != k], worth[fold != k], count)
        logits[fold == k] = rows[fold == k] @ weights + offsets
    logits, classes = logits[whole], classes[whole]

    def loss(heat: float) -> float:
        chances = linear.softmax(logits / heat)
        return float(-np.log(chances[np.arange(len(classes)), classes] + 1e-9).mean())

    heat = min(np.linspace(0.3, 3, 55), key=loss)
    chances = linear.softmax(logits / heat)
    right = (chances.argmax(axis=1) == classes) & (classes != outside)
    return float(heat), round(float(np.quantile(chances.max(axis=1)[right], 1 - LET_THROUGH)), 3)


def judge(
    held: t.Sequence[Phrase], chances: t.Any, labels: list[str], threshold: float
) -> dict[str, t.Any]:
    """Return the figures of held-out phrases."""
    truth = np.array([labels.index(phrase.intent) for phrase in held])
    outside = labels.index(data.OUT_OF_SCOPE)
    best = chances.argmax(axis=1)
    inside = truth != outside
    answered = (best != outside) & (chances.max(axis=1) >= threshold)
    wrong = [
        f"{phrase.text} -> {labels[guess]}"
        for phrase, guess, right in zip(held, best, truth, strict=True)
        if guess != right
    ]
    return {
        "phrases held out": len(held),
        "accuracy": round(float((best == truth).mean()), 4),
        "accuracy in scope": round(float((best == truth)[inside].mean()), 4),
        "answered of those in scope": round(float(answered[inside].mean()), 4),
        "right of those answered": round(float((best == truth)[answered].mean()), 4),
        "refused of those out of scope": round(float((~answered[~inside]).mean()), 4),
        "threshold": threshold,
        "wrong": wrong,
    }


if __name__ == "__main__":
    main()
