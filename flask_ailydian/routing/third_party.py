"""The paid backend as the router sees it: there or not, within budget, on record, in time."""

from __future__ import annotations

import collections.abc as c
import contextlib
import functools
import importlib.util
import json
import logging
import time
import typing as t

from ..audit.fingerprint import Fingerprint
from ..errors import AilydianError
from ..settings import Settings
from .backends.anthropic import AnthropicBackend
from .backends.base import BackendFailure
from .backends.base import PaidBackend
from .backends.base import Question
from .backends.openai import OpenAIBackend
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
from .redaction import Names
from .redaction import redact
from .redaction import Redacted
from .redaction import Restorer
from .turn import Asked
from .turn import Turn

log = logging.getLogger("flask_ailydian.router")

Pieces = c.Generator[str, None, None]

SHIPPED: dict[str, c.Callable[..., PaidBackend]] = {
    "openai": OpenAIBackend,
    "anthropic": AnthropicBackend,
}
#: Failures that say nothing of the backend's health.
OURS = frozenset({"request_refused", "refused", "client_gone", "sdk_not_installed"})


@functools.cache
def _installed(sdk: str) -> bool:
    return importlib.util.find_spec(sdk) is not None


class ThirdParty:
    """Asks the paid backend, if there is one.

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
        self._makers: dict[str, c.Callable[[], PaidBackend]] = {}
        self._backend: PaidBackend | None = None
        self.costs = costs
        self.model = settings.third_party_model
        self.names: Names | None = None
        """Finds people's names in a text, for redaction; the host's to set."""

    def register(self, name: str, make: c.Callable[[], PaidBackend]) -> None:
        """Add a backend of the host's own; ``AILYDIAN_THIRD_PARTY`` chooses it by name."""
        self._makers[name] = make
        self._backend = None

    def absence(self) -> str | None:
        """Return why there is no paid backend, or ``None``."""
        name = self._settings.third_party
        if not name:
            return "not_configured"
        if name in self._makers:
            return None
        if name not in SHIPPED:
            return "not_registered"
        if not self._settings.third_party_key:
            return "no_key"
        if not self.model:
            return "no_model_named"
        return None if _installed(name) else "sdk_not_installed"

    def most(self, asked: Asked) -> int:
        """Return how many tokens an answer may have: what was asked for, within the limit."""
        limit = self._settings.third_party_max_tokens
        return min(limit, asked.max_tokens or limit)

    def circuit(self) -> str:
        """Return how the breaker of the backend stands."""
        return self._breaker.state(self._settings.third_party, time.time())

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

    def ask(self, turn: Turn, deadline: float, limits: Limits, *, held: bool) -> Pieces:
        """Yield the answer, restored; what it cost stands in ``turn.purse``.

        :raises BackendFailure: when there is none.
        :raises BudgetExhausted: before anything was sent.
        """
        assert turn.asked is not None
        if (absent := self.absence()) is not None:
            raise BackendFailure(absent)
        if self._settings.redact and turn.redacted is None:
            raise BackendFailure("redaction_failed")
        text = turn.redacted.text if turn.redacted else turn.asked.query
        restorer = Restorer(turn.redacted or Redacted(text, {}))
        key = self._cache_key(turn, text)
        if key is not None and (known := self._cache.get(key, time.monotonic())) is not None:
            turn.cached = True
            yield restorer.feed(known) + restorer.rest()
            return
        name = self._settings.third_party
        if not self._breaker.allows(name, time.time(), patience=self._settings.timeout_seconds):
            raise BackendFailure("circuit_open")
        backend = self._backend_once()
        question = Question(text, self._settings.third_party_prompt, self.most(turn.asked))
        egress = self._egress(turn)
        turn.purse = self._purse(turn, question, limits, egress, backend)
        said: list[str] = []
        outcome = "client_gone"
        try:
            pieces = ask(
                backend,
                question,
                deadline=deadline,
                patience=self._patience,
                purse=turn.purse,
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
            egress.end(outcome, attempts=turn.purse.attempts)

    def erase(self, connection: t.Any, user_id: str, ref: str | None) -> int:
        """Forget the answers that this process keeps: whose they are can no longer be told."""
        self._cache.clear()
        return 0

    def close(self) -> None:
        """Close the connections that this process holds."""
        close = getattr(self._backend, "close", None)
        if close is not None:
            close()

    def account(self, turn: Turn, state: str) -> None:
        """Commit the query's cost row, if it came as far as a decision."""
        if turn.decision is not None:
            self.costs.write(turn.cost_row(state))

    def _backend_once(self) -> PaidBackend:
        name = self._settings.third_party
        if self._backend is None and name in self._makers:
            self._backend = self._makers[name]()
        elif self._backend is None:
            self._backend = SHIPPED[name](
                self._settings.third_party_key,
                self.model,
                url=self._settings.third_party_url,
                silence=self._settings.third_party_silence_seconds,
            )
        return self._backend

    def _egress(self, turn: Turn) -> Egress:
        return Egress(self._note, query_id=turn.id, actor=turn.actor, subject=turn.user)

    def _purse(
        self,
        turn: Turn,
        question: Question,
        limits: Limits,
        egress: Egress,
        backend: PaidBackend,
    ) -> Purse:
        assert turn.asked is not None
        price = self.costs.paid_price(turn.moment.date())
        domain = turn.asked.domain
        payer = self._known(turn)
        user = self._fingerprint.of("budget", payer.encode())[:32] if payer else None

        def before(reserved: int) -> None:
            counts = turn.redacted.counts if turn.redacted else {}
            egress.intend(
                provider=backend.name,
                model=backend.model,
                domain=domain,
                input_hash=turn.input_hash or "",
                **{f"redacted_{kind.lower()}": count for kind, count in counts.items()},
            )
            self.costs.write(turn.cost_row("reserved", reserved))
            turn.leaving.set()

        sent = question.prompt + question.text
        return Purse(
            price,
            price.worst(sent, question.max_tokens),
            self.budgets,
            limits.scopes(turn.moment, user, domain),
            turn.moment,
            before,
        )

    def _cache_key(self, turn: Turn, text: str) -> str | None:
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
        parts = [domain, whose, self.model, self._settings.third_party_prompt, most]
        return self._fingerprint.of("answer", json.dumps([*parts, canonical(text)]).encode())

    def _known(self, turn: Turn) -> str | None:
        return turn.known(believed=self._settings.trust_user_id)
