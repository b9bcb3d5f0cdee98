"""Shadow tests between backends: the second one answers later, unseen, and within budgets."""

from __future__ import annotations

import dataclasses
import threading
import time

from ..clock import new_id
from ..clock import now
from ..errors import AilydianError
from ..errors import BudgetExhausted
from ..experiments.arms import backend_of
from ..experiments.service import Experiments
from ..experiments.shadow import Outcome
from .backends.base import BackendFailure
from .backends.local import LocalBackend
from .budget import Limits
from .money import from_nano
from .money import to_nano
from .policy import THIRD_PARTY
from .third_party import ThirdParty
from .turn import Turn


class Shadows:
    """Asks the second backend of a test what the first has answered."""

    def __init__(
        self,
        experiments: Experiments,
        local: LocalBackend,
        third_party: ThirdParty,
        limits: Limits,
        timeout: float,
    ) -> None:
        self._experiments = experiments
        self._local = local
        self._third_party = third_party
        self._limits = limits
        self._timeout = timeout

    def offer(self, turn: Turn) -> None:
        """Queue a query that was answered as assigned; its text is held in memory until then."""
        choice = turn.choice
        if choice is None or not choice.shadow or turn.cached or turn.decision is None:
            return
        first, second = (backend_of(label) for label in choice.test.arms)
        # What must not leave the house does not leave it for a test either.
        if turn.backend != first or second is None or second not in turn.decision.allowed:
            return
        paid = second == THIRD_PARTY
        self._experiments.shadow(
            choice,
            turn.id,
            lambda _: self._ask(turn, paid),
            first=Outcome(turn.backend_ms, cost_usd=float(from_nano(turn.actual_nano))),
            may_cost=float(from_nano(turn.baseline_nano)) if paid else 0.0,
        )

    def _ask(self, turn: Turn, paid: bool) -> Outcome:
        deadline, started = time.monotonic() + self._timeout, time.perf_counter()
        twin = dataclasses.replace(
            turn,
            id=new_id(),
            moment=now(),
            arms=[],
            paid=None,
            local_nano=0,
            choice=None,
            finished=False,
            recorded=threading.Event(),
        )
        try:
            if paid:
                self._ask_third_party(twin, deadline)
            else:
                self._ask_local(twin, deadline)
        except BudgetExhausted:
            # No answer is no failure of the backend's: there is no pair.
            raise
        except (AilydianError, BackendFailure):
            return Outcome(0.0, failed=True)
        cost = float(from_nano(twin.actual_nano))
        return Outcome((time.perf_counter() - started) * 1000, cost_usd=cost)

    def _ask_third_party(self, twin: Turn, deadline: float) -> None:
        provider = self._third_party.preferred
        twin.backend, twin.model = THIRD_PARTY, provider.model
        try:
            for _ in self._third_party.ask(provider, twin, deadline, self._limits, held=True):
                pass
        finally:
            # Spent, and nothing saved: the query had its answer already.
            twin.baseline_nano = twin.actual_nano
            self._third_party.account(twin, "shadow")

    def _ask_local(self, twin: Turn, deadline: float) -> None:
        assert twin.asked is not None
        record = self._local.model(twin.asked.domain)
        if record is None:
            raise BackendFailure("no_model")
        self._local.answer(record, twin.asked.query, deadline)
        price = self._third_party.costs.local_price(twin.moment.date())
        twin.local_nano = to_nano(price.guess("", 1))
