"""The one flow of a query: score, decide, answer, account, and only then say it is done."""

from __future__ import annotations

import collections.abc as c
import contextlib
import logging
import time
import typing as t

from .. import signals
from ..audit.claims import Claim
from ..audit.fingerprint import Fingerprint
from ..audit.ledger import Ledger
from ..errors import AilydianError
from ..errors import Forbidden
from ..errors import ValidationFailed
from ..experiments.service import Experiments
from ..inputs import text as texts
from ..settings import Settings
from .assigned import assigned
from .backends.base import BackendFailure
from .backends.local import LocalBackend
from .budget import Limits
from .chain import Chain
from .folding import canonical
from .in_house import InHouse
from .lessons import Lessons
from .money import from_nano
from .money import to_nano
from .policy import Choose
from .policy import decide
from .policy import Decision
from .policy import ONNX
from .policy import Override
from .policy import Rules
from .records import app
from .records import Records
from .scoring import Scoring
from .shadows import Shadows
from .third_party import Pieces
from .third_party import ThirdParty
from .turn import Asked
from .turn import Turn

log = logging.getLogger("flask_ailydian.router")

Read = c.Callable[[], Asked]
Gone = c.Callable[[], bool] | None
#: What a stream is made of: the name of an event and its data.
Event = tuple[str, dict[str, t.Any]]


class Router:
    """Routes queries and answers them; one for each app.

    The host may set ``choose`` (which arm of a test of its own a unit is in), ``override`` (the
    last word on a decision), and register backends and a finder of names with ``third_party``.
    """

    def __init__(
        self,
        settings: Settings,
        scoring: Scoring,
        local: LocalBackend,
        third_party: ThirdParty,
        ledger: Ledger,
        fingerprint: Fingerprint,
        experiments: Experiments,
        lessons: Lessons,
    ) -> None:
        self._settings = settings
        self.scoring = scoring
        self._ledger = ledger
        self._experiments = experiments
        self._fingerprint = fingerprint
        self._rules = Rules(settings.router_split, frozenset(settings.router_in_house))
        self._limits = Limits.of(settings)
        self.local = local
        self.third_party = third_party
        in_house = InHouse(local, third_party, ledger.note)
        self._chain = Chain(settings, in_house, third_party, self._limits)
        shadows = Shadows(experiments, local, third_party, self._limits, settings.timeout_seconds)
        self._records = Records(ledger, third_party, experiments, shadows, lessons)
        self.lessons = lessons
        self.choose: Choose | None = None
        self.override: Override | None = None

    def route(self, asked: Asked, actor: str | None = None) -> dict[str, t.Any]:
        """Return who would answer a query, and why; nobody is called and nothing recorded."""
        turn = Turn(actor)
        decision = self._decide(turn, asked)
        return {
            "success": True,
            "backend": decision.backend,
            "reason": decision.reason,
            "classification": decision.classification.to_json(),
            "decision": decision.to_json(),
            "available": {
                ONNX: "ready" if self._has_local(asked.domain) else "no_model",
                **self.third_party.states(),
            },
            "cost": {
                "estimated": float(from_nano(turn.estimated_nano)),
                "saved": float(from_nano(turn.baseline_nano - turn.estimated_nano)),
                "currency": "USD",
            },
            "performance": {"routing_ms": round(turn.routing_ms, 3)},
        }

    def answer(
        self, read: Read, *, actor: str | None = None, claim: Claim | None = None, gone: Gone = None
    ) -> dict[str, t.Any]:
        """Read a query, route and answer it, record it, and return the answer's body.

        :param gone: Says whether the one who asked has hung up; a model stops writing then.
        :raises AilydianError: after the failure was recorded.
        """
        turn = Turn(actor, gone)
        try:
            self._decide(turn, read())
            turn.answer = list(self._pieces(turn, held=True))
            return self._records.finish(turn, claim)
        except Exception as error:
            raise self._records.fail(turn, error, claim) from error

    def stream(
        self, read: Read, *, actor: str | None = None, claim: Claim | None = None, gone: Gone = None
    ) -> c.Generator[Event, None, None]:
        """Answer as events: ``route``, ``delta`` for each piece, then ``done`` or ``error``.

        What fails before the first event raises, as :meth:`answer` does. A local answer is on
        record before its text is given; one that is read while it is written has an event on
        record before its first word, and a paid one before its first byte was asked for.
        """
        turn = Turn(actor, gone)
        told = False
        try:
            self._decide(turn, read())
            kept: list[str] = []
            with contextlib.closing(self._pieces(turn, held=False)) as pieces:
                for piece in pieces:
                    turn.answer.append(piece)
                    if not turn.flowing:
                        kept.append(piece)
                        continue
                    if not told:
                        told = True
                        yield "route", turn.routed()
                    yield "delta", {"text": piece}
            body = self._records.finish(turn, claim)
            if not told:
                told = True
                yield "route", turn.routed()
            for piece in kept:
                yield "delta", {"text": piece}
            yield "done", body
        except GeneratorExit:
            # The reader went away; what was used until then is on record.
            self._records.fail(turn, BackendFailure("client_gone"), claim)
            raise
        except Exception as error:
            known = error if turn.finished else self._records.fail(turn, error, claim)
            if not told or not isinstance(known, AilydianError):
                raise known from error
            yield "error", known.body()

    def _has_local(self, domain: str) -> bool:
        try:
            return self.local.model(domain) is not None
        except AilydianError:
            return False

    def _decide(self, turn: Turn, asked: Asked) -> Decision:
        try:
            query = texts.normalise(asked.query, max_chars=self._settings.max_text_chars)
        except ValidationFailed as error:
            raise ValidationFailed(fields={"query": (error.fields or {})["text"]}) from error
        turn.asked = asked
        clock = time.perf_counter()
        scored = self.scoring.of(query)
        unit = turn.user or self._fingerprint.of("unit", canonical(query).encode())
        try:
            decision = decide(
                scored,
                domain=asked.domain,
                unit=unit,
                rules=self._rules,
                asked=asked.backend,
                choose=self.choose or (lambda _: assigned(self._experiments, turn, asked)),
                override=self.override,
            )
        except PermissionError as error:
            raise Forbidden(str(error)) from error
        turn.decision, turn.reason = decision, decision.reason
        costs, day = self.third_party.costs, turn.moment.date()
        sent = self._settings.third_party_prompt + query
        paid = costs.paid_price(day).guess(sent, self.third_party.most(asked))
        turn.baseline_nano = to_nano(paid)
        turn.estimated_nano = turn.baseline_nano
        if decision.backend == ONNX:
            turn.estimated_nano = to_nano(costs.local_price(day).guess(query, 1))
        turn.routing_ms = (time.perf_counter() - clock) * 1000
        return decision

    def _pieces(self, turn: Turn, *, held: bool) -> Pieces:
        """Say what was decided, look at what may leave, and yield the answer."""
        assert turn.decision is not None and turn.asked is not None
        decision, asked = turn.decision, turn.asked
        said = decision.to_json() | decision.classification.to_json()
        signals.query_routed.send(app(), id=turn.id, decision=said)
        deadline = time.monotonic() + self._settings.timeout_seconds
        turn.redacted = self.third_party.redacted(turn)
        text = turn.redacted.text if turn.redacted else asked.query
        turn.input_hash, turn.hash_key_id = self._ledger.input_hash(
            "query", canonical(text).encode(), user_id=turn.user, domain=asked.domain
        )
        yield from self._chain.ask(turn, deadline, held=held)
