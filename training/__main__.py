"""`python -m training --data FOLDER --out FOLDER`."""

from __future__ import annotations

import argparse
import dataclasses
import typing as t
from pathlib import Path

import numpy as np
import torch

from . import backbones
from . import calibrate
from . import export
from . import measures
from .data import CLASSES
from .data import Example
from .data import load_grey
from .data import read_chexpert
from .data import read_classes
from .data import targets_of
from .data import UNCERTAIN
from .recipe import logits_of
from .recipe import Recipe
from .recipe import train

NAME = "chest-xray-classifier-demo.onnx"
#: The images that training draws its views from are a little larger than what is served.
CANVAS = 256


def main() -> None:
    """Train, measure on the validation patients, write the ONNX file."""
    options = _options()
    torch.manual_seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    examples, labels, exclusive = _examples(options)
    taught = [e for e in examples if e.split == "train"]
    judged = [e for e in examples if e.split == "val"]
    print(f"{len(taught)} images to learn from, {len(judged)} to judge by; {', '.join(labels)}")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / options.name
    described = export.metadata(labels, options.description, options.licence, options.size)
    held = load_grey(judged, options.size)
    truth = targets_of(judged)
    if options.backbone and options.backbone.endswith(".onnx"):
        source = Path(options.backbone)
        features, output = backbones.features_of(source, load_grey(taught, options.size))
        head = backbones.linear_head(features, targets_of(taught), exclusive=exclusive)
        export.graft(source, output, *head, path, exclusive=exclusive)
        export.describe(path, described)
        seen, _ = backbones.features_of(source, held)
        logits = seen @ head[0].T + head[1]
    else:
        recipe = dataclasses.replace(
            Recipe(), epochs=options.epochs, seed=options.seed, size=options.size
        )
        network = backbones.network(options.backbone, len(labels))
        network = network.to(memory_format=torch.channels_last)
        canvas = load_grey(taught, options.size * CANVAS // 224)
        network = train(network, canvas, targets_of(taught), recipe, exclusive=exclusive)
        if options.weights:
            torch.save(network.state_dict(), options.weights)
        logits = logits_of(network, held)
        slope = 1.0
        offset: measures.Floats = np.zeros(len(labels))
        if exclusive:
            print("before calibration")
            report(truth, logits, labels, exclusive)
            heat, offset = calibrate.fit(truth.argmax(axis=1), logits)
            slope = 1 / heat
            unseen = calibrate.on_unseen_halves(
                truth.argmax(axis=1), logits, [e.patient for e in judged]
            )
            print(
                "calibrated on half of the patients, judged on the others: accuracy "
                f"{unseen[0].mean():.4f} (sd {unseen[0].std():.4f}), ECE {unseen[1].mean():.4f}"
            )
            logits = logits * slope + offset
            print(f"calibrated on the same images: temperature {heat:.3f}, offsets {offset}")
        served = export.Served(network, slope, offset, exclusive=exclusive)
        export.export(served, path, described, size=options.size)
    report(truth, logits, labels, exclusive)
    print(f"wrote {path.name}, {path.stat().st_size / 1e6:.2f} MB")


def report(truth: t.Any, logits: t.Any, labels: t.Sequence[str], exclusive: bool) -> None:
    """Print the figures that a model card states."""
    if not exclusive:
        for i, label in enumerate(labels):
            known = ~np.isnan(truth[:, i])
            print(f"AUC {label}: {measures.auc(truth[known, i] == 1, logits[known, i]):.4f}")
        return
    classes = truth.argmax(axis=1)
    chances = measures.softmax(logits)
    print(f"accuracy {measures.accuracy(classes, chances):.4f}")
    print(f"macro-AUC {measures.macro_auc(classes, chances):.4f}")
    print(f"ECE {measures.calibration_error(classes, chances):.4f}")
    print("confusion, true down, predicted across:")
    table = measures.confusion(classes, chances.argmax(axis=1), len(labels))
    for label, row in zip(labels, table, strict=True):
        print(f"  {label:12} {' '.join(f'{n:4d}' for n in row)}")


def _examples(options: argparse.Namespace) -> tuple[list[Example], tuple[str, ...], bool]:
    if options.layout == "classes":
        return read_classes(options.data), CLASSES, True
    findings = tuple(options.findings.split(","))
    examples = []
    for split, table in (("train", "train.csv"), ("val", "valid.csv")):
        examples += read_chexpert(
            options.data / table, findings, uncertain=options.uncertain, split=split
        )
    return examples, findings, False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the images")
    parser.add_argument("--out", type=Path, required=True, help="where the file goes")
    parser.add_argument("--name", default=NAME, help="of the file")
    parser.add_argument("--layout", choices=["classes", "chexpert"], default="classes")
    parser.add_argument("--uncertain", choices=list(UNCERTAIN), default="ignore")
    parser.add_argument("--findings", default="Cardiomegaly,Edema,Consolidation,Pleural Effusion")
    parser.add_argument("--backbone", help="an ONNX file (frozen), or module:factory (PyTorch)")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--weights", help="also keep the PyTorch weights here")
    parser.add_argument(
        "--description", default="A teaching model for chest X-rays. Not for diagnosis."
    )
    parser.add_argument("--licence", default="MIT")
    return parser.parse_args()


if __name__ == "__main__":
    main()
