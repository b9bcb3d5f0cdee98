"""What is said of a prediction, and what is kept of it."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

import numpy as np

from .engine.protocol import Array
from .errors import ModelFailed
from .errors import ValidationFailed
from .oip.tensors import canonical
from .prediction import Given
from .prediction import is_floats
from .prediction import labels_of
from .prediction import Outcome
from .records import ModelRecord

#: How many classes an audit row keeps.
RECORDED_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Answered:
    """What a model gave for one input, once it is on record.

    :param chances: By class, where the model has classes.
    """

    id: str
    given: Given
    model: ModelRecord
    outcome: Outcome
    chances: Array | None
    test: dict[str, t.Any]
    started: float

    @property
    def outputs(self) -> dict[str, Array]:
        """The model's outputs as they are."""
        return self.outcome.outputs


def body_of(answered: Answered) -> dict[str, t.Any]:
    """Return the body of an answer."""
    model, outcome = answered.model, answered.outcome
    body: dict[str, t.Any] = {"success": True, "id": answered.id}
    body["model"] = {
        "name": model.name,
        "version": model.version,
        "type": model.type,
        "domain": model.domain,
        "status": model.status,
    }
    if outcome.cached:
        body["cached"] = True
    if answered.chances is None:
        body["outputs"] = {name: _plain(array) for name, array in outcome.outputs.items()}
    else:
        body |= _shown(model, answered.chances, answered.given.top_k)
    if outcome.explanation is not None:
        body["explanation"] = outcome.explanation
    body |= answered.test
    body["performance"] = {
        "preprocessing_ms": round(outcome.prepare_ms, 3),
        "inference_ms": round(outcome.run_ms or 0.0, 3),
        "total_ms": round((time.perf_counter() - answered.started) * 1000, 3),
    }
    return body


def raw(given: Given) -> tuple[str, bytes]:
    """Return the one input as its kind and the bytes that are fingerprinted."""
    if given.tensors is not None:
        return "tensors", canonical(given.tensors)
    present = [n for n in ("image", "text", "inputs") if getattr(given, n) is not None]
    if len(present) != 1:
        message = "Give exactly one of image, text, inputs."
        raise ValidationFailed(message, fields={name: [message] for name in present or ["image"]})
    if given.image is not None:
        return "image", given.image
    if given.text is not None:
        return "text", given.text.encode()
    return "inputs", json.dumps(given.inputs, sort_keys=True, allow_nan=False).encode()


def kept(model: ModelRecord, chances: Array) -> tuple[float, dict[str, t.Any]]:
    """Return the confidence and the result that an audit row keeps."""
    labels = labels_of(model, chances)
    best = _best(chances, RECORDED_CLASSES)
    first = best[0]
    probabilities = {labels[i]: float(chances[i]) for i in sorted(best)}
    return float(chances[first]), {"prediction": labels[first], "probabilities": probabilities}


def _best(chances: Array, count: int) -> list[int]:
    """Return the most probable classes, best first; of equals the earlier one goes first."""
    found = np.arange(chances.size)
    if count < chances.size:
        # The least of the best, without sorting all the others.
        least = np.partition(chances, -count)[-count]
        found = np.flatnonzero(chances >= least)
    order = np.argsort(-chances[found], kind="stable")
    return t.cast(list[int], found[order][:count].tolist())


def _shown(model: ModelRecord, chances: Array, top_k: int | None) -> dict[str, t.Any]:
    """Return the members of the answer that say what was predicted."""
    labels = labels_of(model, chances)
    best = _best(chances, top_k or 1)
    shown = sorted(best) if top_k else range(chances.size)
    values = {i: float(chances[i]) for i in shown}
    return {
        "prediction": labels[best[0]],
        "confidence": _percent(chances[best[0]]),
        "probabilities": {
            labels[i]: {"probability": value, "percentage": _percent(value)}
            for i, value in values.items()
        },
    }


def _plain(array: t.Any) -> t.Any:
    """Return an output as lists; JSON has no NaN and no infinity."""
    if is_floats(array) and not np.isfinite(array).all():
        raise ModelFailed("The model's output holds numbers that are not finite.")
    return array.tolist() if isinstance(array, np.ndarray) else array


def _percent(chance: float) -> str:
    return f"{float(chance) * 100:.2f}%"
