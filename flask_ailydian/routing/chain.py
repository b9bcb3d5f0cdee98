"""One backend after the other, until one has an answer."""

from __future__ import annotations

import collections.abc as c
import contextlib
import time

from .. import signals
from ..errors import AilydianError
from ..errors import BudgetExhausted
from ..settings import Settings
from .backends.base import BackendFailure
from .budget import Limits
from .hedging import Asking
from .hedging import FINAL
from .hedging import Hedging
from .in_house import InHouse
from .policy import ONNX
from .policy import order
from .policy import THIRD_PARTY
from .records import all_failed
from .records import app
from .records import word_of
from .third_party import Pieces
from .third_party import ThirdParty
from .turn import Turn

#: Share of the time that is kept for the local model when a paid backend is asked first.
KEPT_FOR_FALLBACK = 0.1


class Chain:
    """Asks who should answer a query, and whoever may stand in after that."""

    def __init__(
        self, settings: Settings, in_house: InHouse, third_party: ThirdParty, limits: Limits
    ) -> None:
        self._in_house = in_house
        self._third_party = third_party
        self._limits = limits
        self._kept = KEPT_FOR_FALLBACK * settings.timeout_seconds
        self._refuses = settings.budget_exhausted == "refuse"
        self._hedging = Hedging(
            settings.hedge_seconds,
            lambda turn: third_party.account(turn, "settled" if turn.backend else "failed"),
            patience=2 * settings.timeout_seconds,
        )

    def ask(self, turn: Turn, deadline: float, *, held: bool) -> Pieces:
        """Yield the answer of the first backend that has one; who that was stands in *turn*."""
        assert turn.decision is not None
        names = self._named(order(turn.decision))
        for number, name in enumerate(names):
            if name in turn.tried:
                # It was asked together with one before it.
                continue
            later = [other for other in names[number + 1 :] if other not in turn.tried]
            try:
                yield from self._said(turn, name, self._one(turn, name, later, deadline, held))
                return
            except (BackendFailure, AilydianError) as failure:
                if turn.flowing or isinstance(failure, FINAL):
                    raise
                if isinstance(failure, BudgetExhausted) and self._gives_up(turn, later):
                    raise
                turn.tried.setdefault(name, word_of(failure))
        if turn.local is None:
            raise all_failed(turn.tried)
        # The local model was not sure, and nobody better could be asked.
        if turn.local.written is None:
            yield turn.local.text
            self._answered(turn, ONNX)
            return
        pieces = self._in_house.ask(turn, deadline, escalate=False, held=held)
        yield from self._said(turn, ONNX, pieces)

    def _named(self, backends: c.Iterable[str]) -> list[str]:
        found: list[str] = []
        for backend in backends:
            found += self._third_party.providers if backend == THIRD_PARTY else [backend]
        return found

    def _gives_up(self, turn: Turn, later: list[str]) -> bool:
        """Whether nobody is asked after one for whom there was no money."""
        if any(name != ONNX for name in later):
            return False
        return self._refuses or (not later and turn.local is None)

    def _said(self, turn: Turn, name: str, pieces: Pieces) -> Pieces:
        begun = time.perf_counter()
        with contextlib.closing(pieces):
            for piece in pieces:
                turn.flowing = turn.flows(paid=name != ONNX)
                yield piece
        turn.backend_ms = (time.perf_counter() - begun) * 1000
        self._answered(turn, turn.hedged or name)

    def _one(self, turn: Turn, name: str, later: list[str], deadline: float, held: bool) -> Pieces:
        paid = [other for other in later if other != ONNX]
        if name == ONNX:
            return self._in_house.ask(turn, deadline, escalate=bool(paid), held=held)
        ready = [other for other in paid if self._third_party.ready(other)]
        until = deadline - self._kept if ONNX in later else deadline
        second: Asking | None = None
        if ready:
            second = self._paid(turn, ready[0], len(ready) - 1, until, held)
        elif ONNX in later:
            second = Asking(ONNX, lambda: self._sure(turn, deadline))
        first = self._paid(turn, name, len(ready), until, held)
        return self._hedging.ask(turn, first, second, until, app())

    def _paid(self, turn: Turn, name: str, waiting: int, until: float, held: bool) -> Asking:
        """Return what asks a paid backend; as many as wait after it get as much time as it has.

        Only its first word must come within its share: who has begun has all the time there is.
        """

        def ask() -> Pieces:
            now = time.monotonic()
            return self._third_party.ask(
                self._third_party.providers[name],
                turn,
                until,
                self._limits,
                held=held,
                begin_by=now + (until - now) / (1 + waiting),
            )

        return Asking(name, ask)

    def _sure(self, turn: Turn, deadline: float) -> Pieces:
        """Yield the local model's answer in one piece, when it is sure of it."""
        yield "".join(self._in_house.ask(turn, deadline, escalate=True, held=True))

    def _answered(self, turn: Turn, name: str) -> None:
        assert turn.decision is not None
        first = self._named(order(turn.decision))[0]
        escalated = turn.tried.get(ONNX) == "low_confidence"
        stands_in = name != first
        if name == ONNX:
            stands_in = stands_in or any(other != ONNX for other in turn.tried)
            backend: str = ONNX
            if turn.record is not None:
                turn.model = f"{turn.record.name} {turn.record.version}"
        else:
            backend, provider = THIRD_PARTY, self._third_party.providers[name]
            if escalated:
                turn.reason = "low-confidence-escalated"
                stands_in = provider is not next(iter(self._third_party.providers.values()))
            turn.model = provider.model
            turn.paid = next((arm for arm in turn.arms if arm.label == name), None)
            if turn.paid is not None:
                turn.cached = False
                turn.baseline_nano = turn.paid.purse.last
        turn.backend = f"{backend}-fallback" if stands_in else backend
        if stands_in:
            failed = next(iter(turn.tried), first)
            signals.fallback_used.send(
                app(), id=turn.id, failed=failed, used=name, why=turn.tried.get(failed)
            )
