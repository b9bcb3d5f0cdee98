"""The one flow of a prediction, top to bottom."""

from __future__ import annotations

import collections.abc as c
import functools
import itertools
import time
import typing as t

from flask import current_app

from . import signals
from .answers import Answered
from .answers import body_of
from .answers import kept
from .answers import raw
from .audit.claims import Claim
from .audit.claims import Reply
from .audit.fingerprint import Fingerprint
from .audit.ledger import encode
from .audit.ledger import Ledger
from .clock import new_id
from .clock import now
from .engine.protocol import Array
from .errors import AilydianError
from .errors import BackendUnavailable
from .parallel import in_order
from .prediction import chances_of
from .prediction import Given
from .prediction import Patience
from .prediction import Prediction
from .records import ModelRecord
from .settings import Settings
from .tracing import span
from .visits import unforeseen
from .visits import Visit
from .visits import Visits

FOR_EVER = Patience()
Shown = t.TypeVar("Shown")


class Inference:
    """Answers one input at a time, and accounts for every answer and every failure."""

    def __init__(
        self,
        settings: Settings,
        visits: Visits,
        prediction: Prediction,
        ledger: Ledger,
        fingerprint: Fingerprint,
    ) -> None:
        self._settings = settings
        self._visits = visits
        self._prediction = prediction
        self._ledger = ledger
        self._fingerprint = fingerprint

    def answer(
        self,
        read: c.Callable[[], Given],
        *,
        actor: str | None = None,
        claim: Claim | None = None,
        patience: Patience = FOR_EVER,
    ) -> dict[str, t.Any]:
        """Read an input, predict, record, and only then return the answer's body.

        :param read: Returns the input or raises; its failures are recorded as well.
        :param actor: Who calls; stands in the row when the input names nobody.
        :param claim: The idempotency key that this answer settles.
        :param patience: How long the caller waits for it.
        :raises AilydianError: after the failure was recorded.
        """
        return self._answer(read, body_of, actor, claim, patience)

    def tensors(
        self,
        read: c.Callable[[], Given],
        *,
        actor: str | None = None,
        patience: Patience = FOR_EVER,
    ) -> Answered:
        """Do the same, and return the model's outputs as they are.

        :raises AilydianError: after the failure was recorded.
        """
        return self._answer(read, lambda answered: answered, actor, None, patience)

    def _answer(
        self,
        read: c.Callable[[], Given],
        show: c.Callable[[Answered], Shown],
        actor: str | None,
        claim: Claim | None,
        patience: Patience,
    ) -> Shown:
        row: dict[str, t.Any] = {"id": new_id(), "created_at": now(), "backend": "onnx"}
        row |= dict.fromkeys(("model_id", "user_id", "input_hash", "inference_time_ms"))
        row |= dict.fromkeys(("confidence", "result", "error", "cost_usd", "ab_test_id"))
        row["user_id"] = row["actor"] = actor
        row["domain"] = row["hash_key_id"] = None
        with self._visits.visit(row) as visit:
            try:
                shown = show(self._predict(read, row, visit, patience))
            except Exception as error:
                known = error if isinstance(error, AilydianError) else unforeseen(error, row["id"])
                self._fail(row, known, claim)
                raise known from error
            row["status"] = "success"
            with span("ailydian.record"):
                self._ledger.record(row, claim, Reply(200, encode(shown)) if claim else None)
            signals.inference_done.send(current_app._get_current_object(), record=row)  # type: ignore[attr-defined]
            return shown

    def run(
        self, model: ModelRecord, given: Given, deadline: float
    ) -> tuple[Array | None, dict[str, Array]]:
        """Return chances by class, if there are any, and outputs; the caller records them."""
        outputs = self._prediction.run(given, model, deadline=deadline)
        return chances_of(model, outputs), outputs

    def answer_all(
        self,
        readers: t.Iterable[c.Callable[[], Given]],
        *,
        actor: str | None = None,
        patience: Patience = FOR_EVER,
    ) -> t.Iterator[dict[str, t.Any]]:
        """Yield the answer's body for each input, or its error's, in the order of the inputs.

        As many are worked on at once as the first one's model runs, and one more that decodes:
        slots, or calls of another server. Each has its own audit row.
        """
        left = iter(readers)
        ahead = [_Ahead(read) for read in itertools.islice(left, 1)]
        workers = self._visits.at_once(ahead[0].given if ahead else None)

        def one(read: c.Callable[[], Given]) -> dict[str, t.Any]:
            try:
                return self.answer(read, actor=actor, patience=patience)
            except AilydianError as error:
                return error.body()

        every: t.Iterable[c.Callable[[], Given]] = itertools.chain(ahead, left)
        return in_order(every, one, workers=workers)

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

    def _predict(
        self,
        read: c.Callable[[], Given],
        row: dict[str, t.Any],
        visit: Visit,
        patience: Patience,
    ) -> Answered:
        started = time.perf_counter()
        most = self._settings.timeout_seconds
        deadline = time.monotonic() + min(most, patience.timeout or most)
        given = read()
        row["user_id"] = given.user_id or row["user_id"]
        model = self._visits.choose(visit, given, row)
        row["model_id"], row["domain"] = model.id, model.domain
        kind, data = raw(given)
        row["input_hash"], row["hash_key_id"] = self._ledger.input_hash(
            kind, data, user_id=row["user_id"], domain=model.domain
        )

        row["backend"] = "remote" if model.type == "remote" else "onnx"
        ask = functools.partial(self._prediction.of, given, deadline=deadline, gone=patience.gone)
        try:
            outcome = ask(model, row["input_hash"])
        except BackendUnavailable:
            substitute = self._visits.substitute(model)
            if substitute is None:
                raise
            model = substitute
            row["model_id"], row["backend"] = model.id, "onnx-fallback"
            outcome = ask(model, row["input_hash"])
        row["inference_time_ms"] = outcome.run_ms
        visit.stages = outcome.stages()
        chances = chances_of(model, outcome.outputs)
        if chances is not None:
            row["confidence"], row["result"] = kept(model, chances)
        return Answered(row["id"], given, model, outcome, chances, visit.public(), started)


class _Ahead:
    """An input that was read before its turn; what went wrong is raised when that comes."""

    def __init__(self, read: c.Callable[[], Given]) -> None:
        self.given: Given | None = None
        self._error: AilydianError | None = None
        try:
            self.given = read()
        except AilydianError as error:
            self._error = error

    def __call__(self) -> Given:
        if self.given is None:
            raise t.cast(AilydianError, self._error)
        return self.given
