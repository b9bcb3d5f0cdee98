"""How a query ends: on record, answered or not, before anybody is told."""

from __future__ import annotations

import logging
import time
import traceback
import typing as t

from flask import current_app

from .. import signals
from ..audit.claims import Claim
from ..audit.claims import Reply
from ..audit.ledger import encode
from ..audit.ledger import Ledger
from ..errors import AilydianError
from ..errors import BackendUnavailable
from ..errors import BudgetExhausted
from ..errors import InternalError
from ..experiments.arms import backend_of
from ..experiments.service import Experiments
from .backends.base import BackendFailure
from .lessons import Lessons
from .money import from_nano
from .shadows import Shadows
from .third_party import ThirdParty
from .turn import Turn

log = logging.getLogger("flask_ailydian.router")


class Records:
    """Writes what became of a query: what it cost, and its answer."""

    def __init__(
        self,
        ledger: Ledger,
        third_party: ThirdParty,
        experiments: Experiments,
        shadows: Shadows,
        lessons: Lessons,
    ) -> None:
        self._ledger = ledger
        self._experiments = experiments
        self._shadows = shadows
        self._lessons = lessons
        self._third_party = third_party

    def finish(self, turn: Turn, claim: Claim | None) -> dict[str, t.Any]:
        """Record an answer and return its body."""
        body = turn.body()
        reply = Reply(200, encode(body)) if claim else None
        row = turn.log_row(None)
        self._record(turn, "settled", row, claim, reply)
        # On record from here on: what fails after this must not be recorded as a second answer.
        turn.finished = True
        self._expose(turn, failed=False)
        self._shadows.offer(turn)
        self._lessons.keep(turn)
        signals.inference_done.send(app(), record=row)
        return body

    def fail(self, turn: Turn, error: Exception, claim: Claim | None) -> AilydianError:
        """Record a failure and return what is raised for it."""
        known: AilydianError
        if isinstance(error, AilydianError):
            known = error
        elif isinstance(error, BackendFailure):
            known = BackendUnavailable(
                "The answer broke off.", retry_after=1, backends=turn.tried | {"answer": error.word}
            )
        else:
            # Never the message: it may quote the query.
            where = " > ".join(f.name for f in traceback.extract_tb(error.__traceback__))
            log.error("query %s failed: %s at %s", turn.id, type(error).__name__, where)
            known = InternalError()
        if turn.finished:
            return known
        turn.finished = True
        known.extra.setdefault("id", turn.id)
        word = error.word if isinstance(error, BackendFailure) else known.code
        # What may succeed next time is not remembered under an idempotency key.
        final = known.status < 500 and not isinstance(known, BudgetExhausted)
        reply = Reply(known.status, encode(known.body())) if final and claim else None
        self._record(turn, "failed", turn.log_row(word), claim, reply)
        self._expose(turn, failed=True)
        return known

    def _record(
        self,
        turn: Turn,
        state: str,
        row: dict[str, t.Any],
        claim: Claim | None,
        reply: Reply | None,
    ) -> None:
        # Whoever is about to be paid waits, and finds that nobody wants the answer any more.
        with turn.writing:
            cost = self._third_party.cost(turn, state)
            self._ledger.record(row, claim, reply, kind="query", cost=cost)
            turn.costed = turn.costed or cost is not None
            turn.recorded.set()

    def _expose(self, turn: Turn, *, failed: bool) -> None:
        """Tell the test that the query met what became of it, as assigned and as served."""
        choice = turn.choice
        if choice is None:
            return
        served = (turn.backend or "").removesuffix("-fallback")
        arms = [backend_of(label) for label in choice.test.arms]
        self._experiments.record(
            choice,
            turn.id,
            latency_ms=(time.perf_counter() - turn.started) * 1000,
            failed=failed,
            served_arm=arms.index(served) if served in arms else None,
            cost_usd=from_nano(turn.actual_nano),
        )


def word_of(failure: Exception) -> str:
    """Return a failure as a stable word."""
    return failure.word if isinstance(failure, BackendFailure) else getattr(failure, "code", "")


def all_failed(tried: dict[str, str]) -> BackendUnavailable:
    """Return the error that says who was asked, and why nobody answered."""
    listed = ", ".join(f"{name}: {why}" for name, why in tried.items())
    return BackendUnavailable(f"No backend answered ({listed}).", retry_after=5, backends=tried)


def app() -> t.Any:
    """Return the app itself, as signals want it."""
    return current_app._get_current_object()  # type: ignore[attr-defined]
