"""Makes an int8 variant of a registered model, and registers it only with a proof."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import math
import typing as t

import numpy as np

from .engine.child import ProbeLimits
from .engine.optimize import Array
from .engine.optimize import Feed
from .engine.optimize import measure
from .engine.optimize import Measured
from .engine.optimize import quantise
from .engine.optimize import weight_bits
from .engine.postprocess import probabilities
from .errors import AilydianError
from .errors import ModelRefused
from .errors import ValidationFailed
from .inputs import preprocessing
from .inputs import text as texts
from .records import ModelRecord
from .registration import Declared
from .registry import Registry
from .samples import Sample
from .samples import Split
from .samples import split
from .settings import Settings

#: The fewest images on which the ranges of activations are found, and the fewest samples on
#: which agreement means anything.
FEWEST_FITTED = 16
FEWEST_JUDGED = 32
MOST_FITTED = 128
MOST_JUDGED = 1000
TASKS = ("image-classification", "text-classification")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The proof, and the variant when it was registered."""

    proof: dict[str, t.Any]
    record: ModelRecord | None


def plan(record: ModelRecord, found: c.Sequence[Sample], *, most: int = MOST_JUDGED) -> Split:
    """Split samples into those that calibrate a variant and those that judge it.

    :raises ModelRefused: for a model that is no classifier in ONNX.
    :raises ValidationFailed: when there are too few samples.
    """
    if record.type != "onnx" or record.task not in TASKS:
        raise ModelRefused("Only ONNX classifiers of images and of texts can be optimised.")
    text = record.task == "text-classification"
    count = len({sample.digest for sample in found})
    fitted = 0 if text else min(MOST_FITTED, max(FEWEST_FITTED, count // 3))
    if count - fitted < FEWEST_JUDGED:
        needed = FEWEST_JUDGED + (0 if text else FEWEST_FITTED)
        what = "lines" if text else "images"
        message = f"{needed} different {what} are needed at least, and {count} were found."
        raise ValidationFailed(message, fields={"texts" if text else "images": [message]})
    return split(found, fitted, most=most)


def optimise(
    registry: Registry,
    settings: Settings,
    record: ModelRecord,
    samples: Split,
    *,
    version: str,
    min_agreement: float,
    tick: c.Callable[[], None] = lambda: None,
) -> Outcome:
    """Make an int8 variant, prove it on held-out samples, register it as ``testing`` if it holds.

    :param min_agreement: The share of samples on which both must predict the same class.
    :param tick: Called for each sample that was used: calibration once, proof twice.
    :raises AilydianError: when the model cannot be quantised, or the version exists.
    """
    Declared().check(record.name, version)
    registry.refuse_taken(record.name, version)
    data = registry.read(record)
    feed = _feed(record)
    limits = _limits(settings, record, samples)
    reader = _Reader(settings, record, tick)
    most = settings.max_model_bytes
    variant = quantise(data, feed, reader.read(samples.fitted), limits=limits, most=most)
    skipped = len(reader.bad)
    if samples.fitted and len(samples.fitted) - skipped < FEWEST_FITTED:
        raise ModelRefused(f"{skipped} of the images that calibrate cannot be read.")
    before = measure(data, feed, reader.read(samples.judged), limits=limits)
    judged = reader.good
    after = measure(variant, feed, reader.read(samples.judged), limits=limits)
    if len(judged) < FEWEST_JUDGED:
        raise ModelRefused(f"Only {len(judged)} held-out samples can be read.")
    proof = {
        "of": {"version": record.version, "sha256": record.sha256},
        "method": "int8-dynamic" if feed.dtype == "string" else "int8-static-qdq",
        "weight_bits": weight_bits(),
        "runtime": f"onnxruntime {after.runtime}",
        "calibration_samples": len(samples.fitted) - skipped,
        "proof_samples": len(judged),
        "unreadable_samples": len(reader.bad),
        "min_agreement": min_agreement,
        **compare(before, after, already=record.report.ends_in_probabilities),
        "accuracy": accuracy(before.scores, after.scores, judged, record.labels),
        "bytes": {"before": len(data), "after": len(variant)},
    }
    if proof["agreement"] < min_agreement:
        return Outcome(proof, None)
    declared = Declared(
        labels=list(record.labels) or None,
        domain=record.domain,
        task=record.task,
        preprocessing=record.preprocessing,
        description=record.description,
        accuracy=proof["accuracy"] and proof["accuracy"]["after"],
    )
    return Outcome(proof, registry.register(variant, record.name, version, declared, proof=proof))


def compare(before: Measured, after: Measured, *, already: bool) -> dict[str, t.Any]:
    """Return the figures that need no labels."""
    old = probabilities(before.scores, already=already)
    new = probabilities(after.scores, already=already)
    first = old.argmax(axis=1)
    same = first == new.argmax(axis=1)
    change = np.abs(new - old)
    return {
        "agreement": float(same.mean()),
        "agreement_at_least": round(_wilson_low(int(same.sum()), same.size), 4),
        "change": {
            "largest": float(change.max()),
            "mean": float(change.mean()),
            "mean_of_predicted": float(change[np.arange(first.size), first].mean()),
        },
        "ms": {"before": round(before.ms, 3), "after": round(after.ms, 3)},
        "peak_bytes": {"before": before.peak_bytes, "after": after.peak_bytes},
    }


def accuracy(
    before: Array, after: Array, judged: c.Sequence[Sample], labels: c.Sequence[str]
) -> dict[str, t.Any] | None:
    """Return how often each is right on the samples whose label is known."""
    known = [i for i, sample in enumerate(judged) if sample.label in labels]
    if not known:
        return None
    truth = np.array([labels.index(str(judged[i].label)) for i in known])
    right = {"before": before, "after": after}
    shares = {k: float((v[known].argmax(axis=1) == truth).mean()) for k, v in right.items()}
    return {**shares, "samples": len(known)}


def _wilson_low(right: int, count: int) -> float:
    """Return the lower end of Wilson's interval that holds the true share in 95 of 100 cases."""
    z, share = 1.959964, right / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - spread) / (1 + z * z / count)


def _feed(record: ModelRecord) -> Feed:
    spec = record.inputs[0]
    if record.task == "text-classification":
        return Feed(spec.name, "string", (1,) * max(len(spec.shape), 1))
    recipe = preprocessing.ImagePreprocessing.from_json(record.preprocessing or {})
    channels = (1 if recipe.colour == "L" else 3,)
    inner = channels + recipe.size if recipe.layout == "NCHW" else recipe.size + channels
    return Feed(spec.name, recipe.dtype, (1, *inner))


def _limits(settings: Settings, record: ModelRecord, samples: Split) -> ProbeLimits:
    runs = max(len(samples.fitted), len(samples.judged)) + 10
    # On all cores, with every value between the layers looked at, and on a busy machine.
    seconds = 120 + runs * (record.report.run_ms or 1000) / 1000 * 10
    return ProbeLimits(
        wall_seconds=2 * seconds,
        cpu_seconds=seconds,
        memory_bytes=settings.probe_memory_bytes + 12 * record.file_bytes,
        file_bytes=4 * record.file_bytes + 2**26,
    )


class _Reader:
    """Reads samples the way that requests are read; keeps account of those that it cannot read."""

    def __init__(self, settings: Settings, record: ModelRecord, tick: c.Callable[[], None]) -> None:
        self._settings = settings
        self._recipe = preprocessing.ImagePreprocessing.from_json(record.preprocessing or {})
        self._tick = tick
        self.good: list[Sample] = []
        self.bad: set[str] = set()

    def read(self, samples: t.Iterable[Sample]) -> t.Iterator[Array | str]:
        """Yield tensors and texts; afterwards ``good`` has the samples that they came from."""
        self.good = []
        for sample in samples:
            self._tick()
            try:
                value = self._one(sample)
            except AilydianError:
                self.bad.add(sample.digest)
                continue
            self.good.append(sample)
            yield value

    def _one(self, sample: Sample) -> Array | str:
        if sample.path is None:
            return texts.normalise(sample.text or "", max_chars=self._settings.max_text_chars)
        return preprocessing.load(
            sample.path.read_bytes(),
            self._recipe,
            max_bytes=self._settings.max_image_bytes,
            max_pixels=self._settings.max_image_pixels,
        )
