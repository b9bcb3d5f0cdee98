"""The paid backend as the router sees it: there or not, within budget, on record, in time."""

from __future__ import annotations

import collections.abc as c
import contextlib
import json
import logging
import math
import time
import typing as t

from ..audit.fingerprint import Fingerprint
from ..errors import AilydianError
from ..errors import ClientGone
from ..settings import Settings
from .backends.base import BackendFailure
from .backends.base import Question
from .backends.retries import ask
from .backends.retries import Patience
from .breaker import Breaker
from .budget import Budgets
from .budget import Limits
from .cache import AnswerCache
from .costs import Costs
from .costs import Purse
from .egress import Egress
from .egress import Note
from .folding import canonical
from .policy import THIRD_PARTY
from .providers import Make
from .providers import Provider
from .providers import providers_of
from .redaction import Names
from .redaction import redact
from .redaction import Redacted
from .redaction import Restorer
from .turn import Arm
from .turn import Asked
from .turn import Turn

log = logging.getLogger("flask_ailydian.router")

Pieces = c.Generator[str, None, None]

#: Failures that say nothing of the backend's health.
OURS = frozenset({"request_refused", "refused", "client_gone", "sdk_not_installed"})


class ThirdParty:
    """Asks the paid backends, if there are any.

    :param patience: How often it is tried, with the chance for jitter.
    """

    def __init__(
        self,
        settings: Settings,
        costs: Costs,
        budgets: Budgets,
        breaker: Breaker,
        fingerprint: Fingerprint,
        note: Note,
        patience: Patience,
    ) -> None:
        self._settings = settings
        self.budgets = budgets
        self._breaker = breaker
        self._fingerprint = fingerprint
        self._note = note
        self._patience = patience
        self._cache = AnswerCache(seconds=settings.cache_seconds)
        self._makers: dict[str, Make] = {}
        self.providers = {each.label: each for each in providers_of(settings, self._makers)}
        """Who is asked, in order, by what answers call them."""
        self.costs = costs
        self.names: Names | None = None
        """Finds people's names in a text, for redaction; the host's to set."""

    def register(self, name: str, make: Make) -> None:
        """Add a backend of the host's own; ``AILYDIAN_THIRD_PARTY`` chooses it by name."""
        self._makers[name] = make
        for provider in self.providers.values():
            provider.forget()

    @property
    def preferred(self) -> Provider:
        """The first that can be asked, or the first of all."""
        everyone = list(self.providers.values())
        return next((each for each in everyone if each.absence() is None), everyone[0])

    def absence(self) -> str | None:
        """Return why there is no paid backend at all, or ``None``."""
        return self.preferred.absence()

    def states(self) -> dict[str, str]:
        """Return how each stands: a breaker's state, or why it cannot be asked."""
        found = {
            label: each.absence() or self._breaker.state(each.name, time.time())
            for label, each in self.providers.items()
        }
        best = next((s for s in ("closed", "half-open", "open") if s in found.values()), None)
        return {THIRD_PARTY: best or next(iter(found.values()))} | found

    def ready(self, label: str) -> bool:
        """Whether a backend may answer a query now."""
        provider = self.providers[label]
        state = self._breaker.state(provider.name, time.time())
        return provider.absence() is None and state != "open"

    def most(self, asked: Asked) -> int:
        """Return how many tokens an answer may have: what was asked for, within the limit."""
        limit = self._settings.third_party_max_tokens
        return min(limit, asked.max_tokens or limit)

    def redacted(self, turn: Turn) -> Redacted | None:
        """Return the query without what must not leave, if the deployment wants that.

        A text that could not be looked through counts as one that must not leave at all.
        """
        if not self._settings.redact or turn.asked is None:
            return None
        try:
            return redact(turn.asked.query, self.names)
        except Exception as error:
            log.error("query %s was not redacted: %s", turn.id, type(error).__name__)
            return None

    def ask(
        self,
        provider: Provider,
        turn: Turn,
        deadline: float,
        limits: Limits,
        *,
        held: bool,
        begin_by: float = math.inf,
    ) -> Pieces:
        """Yield the answer of one backend, restored; what it costs stands in ``turn.arms``.

        :param begin_by: When, as ``time.monotonic()`` counts, its first word must have come.
        :raises BackendFailure: when there is none.
        :raises BudgetExhausted: before anything was sent.
        """
        assert turn.asked is not None
        if (absent := provider.absence()) is not None:
            raise BackendFailure(absent)
        if self._settings.redact and turn.redacted is None:
            raise BackendFailure("redaction_failed")
        text = turn.redacted.text if turn.redacted else turn.asked.query
        restorer = Restorer(turn.redacted or Redacted(text, {}))
        key = self._cache_key(turn, text, provider)
        if key is not None and (known := self._cache.get(key, time.monotonic())) is not None:
            turn.cached = True
            yield restorer.feed(known) + restorer.rest()
            return
        name = provider.name
        if not self._breaker.allows(name, time.time(), patience=self._settings.timeout_seconds):
            raise BackendFailure("circuit_open")
        most = self.most(turn.asked)
        question = Question(text, self._settings.third_party_prompt, most, begin_by)
        egress = Egress(self._note, query_id=turn.id, actor=turn.actor, subject=turn.user)
        arm = self._arm(turn, question, limits, egress, provider)
        said: list[str] = []
        outcome = "client_gone"
        try:
            pieces = ask(
                provider.get(),
                question,
                deadline=deadline,
                patience=self._patience,
                purse=arm.purse,
                held=held,
            )
            with contextlib.closing(pieces):
                for piece in pieces:
                    said.append(piece)
                    if shown := restorer.feed(piece):
                        yield shown
            if rest := restorer.rest():
                yield rest
            outcome = "answered"
            self._breaker.succeeded(name)
            if key is not None:
                self._cache.put(key, "".join(said), time.monotonic())
        except BackendFailure as failure:
            outcome = failure.word
            if outcome not in OURS:
                self._breaker.failed(name, time.time())
            raise
        except AilydianError as error:
            outcome = error.code
            raise
        finally:
            arm.outcome = outcome
            egress.end(outcome, attempts=arm.purse.attempts)

    def erase(self, connection: t.Any, user_id: str, ref: str | None) -> int:
        """Forget the answers that this process keeps: whose they are can no longer be told."""
        self._cache.clear()
        return 0

    def close(self) -> None:
        """Close the connections that this process holds."""
        for provider in self.providers.values():
            provider.close()

    def account(self, turn: Turn, state: str) -> None:
        """Commit the query's cost row, if it came as far as a decision."""
        if turn.decision is not None:
            with turn.writing:
                self._write(turn, _row(turn, state))

    def reserve(self, turn: Turn, nano: int) -> None:
        """Commit what a query may come to cost, before anybody is asked or anything is shown.

        :raises ClientGone: when its answer is on record: nobody waits for another one.
        """
        with turn.writing:
            if turn.recorded.is_set():
                raise ClientGone()
            self._write(turn, turn.cost_row("reserved", nano))

    def cost(self, turn: Turn, state: str) -> dict[str, t.Any] | None:
        """Return the query's cost row, which is to be committed with its answer.

        One that is in the database already is written over here: ``None`` is returned then, and
        for a query that did not come as far as a decision. Called while ``turn.writing`` is held.
        """
        row = None if turn.decision is None else _row(turn, state)
        if row is not None and turn.costed:
            self._write(turn, row)
            return None
        return row

    def _write(self, turn: Turn, row: dict[str, t.Any]) -> None:
        turn.costed = True
        self.costs.write(row)

    def _arm(
        self, turn: Turn, question: Question, limits: Limits, egress: Egress, provider: Provider
    ) -> Arm:
        assert turn.asked is not None
        domain, backend = turn.asked.domain, provider.get()
        price = self.costs.paid_price(turn.moment.date(), provider.model)
        payer = self._known(turn)
        user = self._fingerprint.of("budget", payer.encode())[:32] if payer else None

        def before() -> None:
            if turn.recorded.is_set():
                raise ClientGone()
            counts = turn.redacted.counts if turn.redacted else {}
            egress.intend(
                backend=provider.name,
                provider=backend.name,
                model=backend.model,
                domain=domain,
                input_hash=turn.input_hash or "",
                **{f"redacted_{kind.lower()}": count for kind, count in counts.items()},
            )
            self.reserve(turn, turn.committed)
            turn.leaving.set()

        purse = Purse(
            price,
            price.worst(question.prompt + question.text, question.max_tokens),
            self.budgets,
            limits.scopes(turn.moment, user, domain),
            turn.moment,
            before,
        )
        several = len(self.providers) > 1
        arm = Arm(provider.label, provider.name if several else None, provider.model, purse)
        turn.arms.append(arm)
        return arm

    def _cache_key(self, turn: Turn, text: str, provider: Provider) -> str | None:
        assert turn.asked is not None
        domain = turn.asked.domain
        if domain not in self._settings.cache_domains:
            return None
        whose = None
        if not self._settings.cache_across_users:
            if (known := self._known(turn)) is None:
                # Two callers whom nobody knows may be two people, whatever they call themselves.
                return None
            whose = [known, turn.user]
        most = self.most(turn.asked)
        asked = [provider.name, provider.model, self._settings.third_party_prompt, most]
        parts = [domain, whose, *asked, canonical(text)]
        return self._fingerprint.of("answer", json.dumps(parts).encode())

    def _known(self, turn: Turn) -> str | None:
        return turn.known(believed=self._settings.trust_user_id)


def _row(turn: Turn, state: str) -> dict[str, t.Any]:
    """Return a cost row; ``reserved`` stands instead of ``settled`` while something goes on."""
    return turn.cost_row("reserved" if state == "settled" and turn.goes_on else state)
