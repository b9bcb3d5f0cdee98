"""The one flow of a prediction, top to bottom."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import logging
import time
import typing as t

import numpy as np
from flask import current_app

from . import signals
from .audit.fingerprint import Fingerprint
from .audit.ledger import Claim
from .audit.ledger import encode
from .audit.ledger import Ledger
from .audit.ledger import Reply
from .clock import new_id
from .clock import now
from .engine.explain import occlusion
from .engine.postprocess import probabilities
from .engine.sessions import Engine
from .engine.sessions import SessionPool
from .errors import AilydianError
from .errors import InternalError
from .errors import ModelFailed
from .errors import ValidationFailed
from .inputs import preprocessing
from .inputs import tensors
from .inputs import text as texts
from .registration import TEXT_TASKS
from .registry import ModelRecord
from .registry import Registry
from .settings import Settings

Array = np.ndarray[t.Any, np.dtype[t.Any]]

log = logging.getLogger("flask_ailydian")

#: How many classes an audit row keeps.
RECORDED_CLASSES = 10
WITHOUT_CLASSES = ("tensor", "text-embedding", "query-routing")


@dataclasses.dataclass(frozen=True)
class Given:
    """One input, and who asks which model about it."""

    model_name: str
    image: bytes | None = None
    media_type: str | None = None
    text: str | None = None
    inputs: dict[str, t.Any] | None = None
    model_version: str | None = None
    user_id: str | None = None
    top_k: int | None = None
    explain: bool = False


class Inference:
    """Answers one input at a time, and accounts for every answer and every failure."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        sessions: SessionPool,
        ledger: Ledger,
        fingerprint: Fingerprint,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._sessions = sessions
        self._ledger = ledger
        self._fingerprint = fingerprint

    def answer(
        self, read: c.Callable[[], Given], *, actor: str | None = None, claim: Claim | None = None
    ) -> dict[str, t.Any]:
        """Read an input, predict, record, and only then return the answer's body.

        :param read: Returns the input or raises; its failures are recorded as well.
        :param actor: Who calls; stands in the row when the input names nobody.
        :param claim: The idempotency key that this answer settles.
        :raises AilydianError: after the failure was recorded.
        """
        row: dict[str, t.Any] = {"id": new_id(), "created_at": now(), "backend": "onnx"}
        row |= dict.fromkeys(("model_id", "user_id", "input_hash", "inference_time_ms"))
        row |= dict.fromkeys(("confidence", "result", "error", "cost_usd", "ab_test_id"))
        row["user_id"] = actor
        try:
            body = self._predict(read, row)
        except Exception as error:
            known = error if isinstance(error, AilydianError) else _unforeseen(error, row["id"])
            self._fail(row, known, claim)
            raise known from error
        row["status"] = "success"
        self._ledger.record(row, claim, Reply(200, encode(body)) if claim else None)
        signals.inference_done.send(current_app._get_current_object(), record=row)  # type: ignore[attr-defined]
        return body

    def run(
        self, model: ModelRecord, given: Given, deadline: float
    ) -> tuple[Array | None, dict[str, Array]]:
        """Return chances by class, if there are any, and outputs; the caller records them."""
        arrays = self._prepare(given, model)
        engine = self._sessions.get(model.sha256, lambda: self._registry.read(model))
        outputs = engine.run(arrays, deadline=deadline)
        return _chances(model, outputs), outputs

    def claim(self, scope: str, form: str, body: bytes) -> Claim | Reply:
        """Take the right to answer an ``Idempotency-Key``, or return the reply it had.

        :param scope: Caller, route and key.
        :param form: What beside the body makes the request what it is.
        """
        key_hash = self._fingerprint.of("idempotency-key", scope.encode())
        request_hash = self._fingerprint.of("request", form.encode() + b"\0" + body)
        return self._ledger.claim(key_hash, request_hash)

    def _fail(self, row: dict[str, t.Any], error: AilydianError, claim: Claim | None) -> None:
        row |= {"status": "failed", "error": error.code, "result": None, "confidence": None}
        error.extra.setdefault("id", row["id"])
        # What may succeed next time is not remembered under an idempotency key.
        final = error.status < 500
        self._ledger.record(
            row, claim, Reply(error.status, encode(error.body())) if final else None
        )

    def _predict(self, read: c.Callable[[], Given], row: dict[str, t.Any]) -> dict[str, t.Any]:
        started = time.perf_counter()
        deadline = time.monotonic() + self._settings.timeout_seconds
        given = read()
        row["user_id"] = given.user_id or row["user_id"]
        model = self._registry.resolve(given.model_name, given.model_version)
        row["model_id"] = model.id
        kind, raw = _raw(given)
        row["input_hash"] = self._fingerprint.of(kind, raw)

        arrays = self._prepare(given, model)
        prepared = time.perf_counter()
        engine = self._sessions.get(model.sha256, lambda: self._registry.read(model))
        outputs = engine.run(arrays, deadline=deadline)
        ran = time.perf_counter()

        row["inference_time_ms"] = (ran - prepared) * 1000
        body: dict[str, t.Any] = {"success": True, "id": row["id"]}
        body["model"] = {
            "name": model.name,
            "version": model.version,
            "type": model.type,
            "domain": model.domain,
            "status": model.status,
        }
        chances = _chances(model, outputs)
        if chances is None:
            body["outputs"] = {name: _plain(array) for name, array in outputs.items()}
        else:
            body |= _shown(model, chances, given.top_k, row)
        if given.explain:
            body["explanation"] = self._explain(model, engine, arrays, chances, deadline)
        body["performance"] = {
            "preprocessing_ms": round((prepared - started) * 1000, 3),
            "inference_ms": round((ran - prepared) * 1000, 3),
            "total_ms": round((time.perf_counter() - started) * 1000, 3),
        }
        return body

    def _prepare(self, given: Given, model: ModelRecord) -> dict[str, Array]:
        wanted = {"image-classification": "image"} | dict.fromkeys(TEXT_TASKS, "text")
        member = wanted.get(model.task, "inputs")
        value = getattr(given, member)
        if value is None:
            message = f"{model.name} takes {member!r}."
            raise ValidationFailed(message, fields={member: [message]})
        if member == "image":
            recipe = preprocessing.ImagePreprocessing.from_json(model.preprocessing or {})
            tensor = preprocessing.load(
                value,
                recipe,
                max_bytes=self._settings.max_image_bytes,
                max_pixels=self._settings.max_image_pixels,
                declared=given.media_type,
            )
            return {model.inputs[0].name: tensor}
        if member == "text":
            folded = texts.normalise(value, max_chars=self._settings.max_text_chars)
            shape = (1,) * max(len(model.inputs[0].shape), 1)
            return {model.inputs[0].name: np.full(shape, folded, dtype=object)}
        return tensors.to_arrays(
            value, model.inputs, max_elements=self._settings.max_tensor_elements
        )

    def _explain(
        self,
        model: ModelRecord,
        engine: Engine,
        arrays: dict[str, Array],
        chances: Array | None,
        deadline: float,
    ) -> dict[str, t.Any]:
        if chances is None or model.preprocessing is None:
            message = "Only classifications of images can be explained."
            raise ValidationFailed(message, fields={"explain": [message]})
        best = int(np.argmax(chances))
        ((name, tensor),) = arrays.items()

        def score(covered: Array) -> float:
            found = _chances(model, engine.run({name: covered}, deadline=deadline))
            assert found is not None
            return float(found[best])

        grid = occlusion(score, tensor, layout=model.preprocessing["layout"])
        return {"method": "occlusion", "class": _labels(model, chances)[best], "grid": grid}


def _raw(given: Given) -> tuple[str, bytes]:
    """Return the one input as its kind and the bytes that are fingerprinted."""
    present = [n for n in ("image", "text", "inputs") if getattr(given, n) is not None]
    if len(present) != 1:
        message = "Give exactly one of image, text, inputs."
        raise ValidationFailed(message, fields={name: [message] for name in present or ["image"]})
    if given.image is not None:
        return "image", given.image
    if given.text is not None:
        return "text", given.text.encode()
    return "inputs", json.dumps(given.inputs, sort_keys=True, allow_nan=False).encode()


def _chances(model: ModelRecord, outputs: dict[str, Array]) -> Array | None:
    """Return the probabilities of the one input by class, or ``None`` where there are none."""
    scores = next((x for x in outputs.values() if _floats(x)), None)
    if model.task in WITHOUT_CLASSES and not model.labels or scores is None:
        return None
    if scores.ndim > 1 and scores.shape[0] != 1:
        raise ModelFailed("The model did not give one answer to one input.")
    chances = probabilities(scores.reshape(-1), already=model.report.ends_in_probabilities)
    if model.labels and len(model.labels) != chances.size:
        raise ModelFailed("The model gave another number of classes than it has labels.")
    return chances


def _labels(model: ModelRecord, chances: Array) -> tuple[str, ...]:
    return model.labels or tuple(f"class_{i}" for i in range(chances.size))


def _shown(
    model: ModelRecord, chances: Array, top_k: int | None, row: dict[str, t.Any]
) -> dict[str, t.Any]:
    """Return the members of the answer that say what was predicted, and fill the row."""
    labels = _labels(model, chances)
    best = np.argsort(-chances, kind="stable")
    shown = np.sort(best[:top_k]) if top_k else range(chances.size)
    kept = np.sort(best[:RECORDED_CLASSES])
    first = int(best[0])
    row["confidence"] = float(chances[first])
    row["result"] = {
        "prediction": labels[first],
        "probabilities": {labels[int(i)]: float(chances[int(i)]) for i in kept},
    }
    return {
        "prediction": labels[first],
        "confidence": _percent(chances[first]),
        "probabilities": {
            labels[int(i)]: {
                "probability": float(chances[int(i)]),
                "percentage": _percent(chances[int(i)]),
            }
            for i in shown
        },
    }


def _floats(array: t.Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def _plain(array: t.Any) -> t.Any:
    """Return an output as lists; JSON has no NaN and no infinity."""
    if _floats(array) and not np.isfinite(array).all():
        raise ModelFailed("The model's output holds numbers that are not finite.")
    return array.tolist() if isinstance(array, np.ndarray) else array


def _percent(chance: float) -> str:
    return f"{float(chance) * 100:.2f}%"


def _unforeseen(error: Exception, incident: str) -> AilydianError:
    # The trace goes to the log alone, and never the message: it may quote the input.
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    log.error("inference %s failed: %s at %s", incident, type(error).__name__, " > ".join(frames))
    return InternalError()
