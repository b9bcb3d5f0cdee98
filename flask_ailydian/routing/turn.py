"""One query on its way through the router."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import threading
import time
import typing as t
from datetime import datetime

from ..clock import new_id
from ..clock import now
from ..experiments.choosing import Choice
from ..records import ModelRecord
from .backends.base import LocalAnswer
from .costs import Purse
from .money import from_nano
from .policy import Decision
from .policy import ONNX
from .redaction import Redacted


@dataclasses.dataclass(frozen=True)
class Asked:
    """A query and who asks it.

    :param vouched: Whether it is the host that names the user, in process, or only a request.
    """

    query: str
    domain: str = "chat"
    user_id: str | None = None
    backend: str = "auto"
    #: Of the answer, where it is written; the limits that are set hold all the same.
    max_tokens: int | None = None
    vouched: bool = True


@dataclasses.dataclass
class Arm:
    """A paid backend that a query was sent to, or was about to be.

    :param label: What answers call it.
    :param provider: Its name, where there are several.
    :param outcome: A stable word; ``None`` while it goes on.
    """

    label: str
    provider: str | None
    model: str
    purse: Purse
    outcome: str | None = None

    def to_json(self) -> dict[str, t.Any]:
        """Return it as a cost row keeps it; amounts in billionths of a dollar."""
        usage = self.purse.usage
        return {
            "provider": self.provider,
            "model": self.model,
            "outcome": self.outcome,
            "attempts": self.purse.attempts,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "price": self.purse.price.to_json(),
            "actual_nano": self.purse.committed,
        }


@dataclasses.dataclass
class Turn:
    """What is known of a query so far; everything a record of it needs, and no more."""

    actor: str | None = None
    #: Says whether the one who asked has hung up.
    gone: c.Callable[[], bool] | None = None
    id: str = dataclasses.field(default_factory=new_id)
    moment: datetime = dataclasses.field(default_factory=now)
    started: float = dataclasses.field(default_factory=time.perf_counter)
    asked: Asked | None = None
    decision: Decision | None = None
    input_hash: str | None = None
    hash_key_id: str | None = None
    choice: Choice | None = None
    routing_ms: float = 0.0
    backend_ms: float = 0.0
    redacted: Redacted | None = None
    record: ModelRecord | None = None
    local: LocalAnswer | None = None
    #: The paid backends that were asked, in that order.
    arms: list[Arm] = dataclasses.field(default_factory=list)
    #: The one of them that answered.
    paid: Arm | None = None
    backend: str | None = None
    model: str | None = None
    reason: str = ""
    cached: bool = False
    flowing: bool = False
    #: The local model writes, and is read while it does.
    written: bool = False
    finished: bool = False
    #: Who answered while the paid backend that was asked first had not said a word.
    hedged: str | None = None
    #: Held while its costs are looked at and written: several backends may be at it.
    writing: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    #: Whether its cost row may be in the database, to be written over.
    costed: bool = False
    #: Set when a text is about to leave, its worst case held and on record.
    leaving: threading.Event = dataclasses.field(default_factory=threading.Event)
    #: Set when the query is on record; a call that was left behind settles after it.
    recorded: threading.Event = dataclasses.field(default_factory=threading.Event)
    tried: dict[str, str] = dataclasses.field(default_factory=dict)
    answer: list[str] = dataclasses.field(default_factory=list)
    estimated_nano: int = 0
    local_nano: int = 0
    baseline_nano: int = 0

    @property
    def user(self) -> str | None:
        """Whom the answer is for."""
        return (self.asked.user_id if self.asked else None) or self.actor

    def known(self, *, believed: bool) -> str | None:
        """Return who asks, where that is more than a claim; ``None``: anybody.

        Who the host says calls, or whom the host names itself. Whatever belongs to somebody goes
        by this and never by :attr:`user`: naming somebody else must give nobody another budget,
        nor an answer of theirs.

        :param believed: Whether requests of unknown callers are believed all the same.
        """
        if self.actor is None and (self.asked is None or not (self.asked.vouched or believed)):
            return None
        return self.actor or self.user

    @property
    def actual_nano(self) -> int:
        """What it cost: every attempt that a provider may charge, and the local run.

        The worst case stands for an attempt that still goes on.
        """
        return self.committed + self.local_nano

    @property
    def committed(self) -> int:
        """What the paid backends took, and the worst case of what goes on."""
        return sum(arm.purse.committed for arm in self.arms)

    @property
    def goes_on(self) -> bool:
        """Whether a paid backend is still at it, although the query may have its answer."""
        return any(arm.outcome is None for arm in self.arms)

    def flows(self, *, paid: bool) -> bool:
        """Whether what is yielded goes to the reader at once, and cannot be taken back."""
        return (paid or self.written) and not (self.cached or self.hedged == ONNX)

    def routed(self) -> dict[str, t.Any]:
        """Return what a stream begins with."""
        assert self.decision is not None
        return {
            "id": self.id,
            "backend": self.decision.backend,
            "reason": self.decision.reason,
            "classification": self.decision.classification.to_json(),
        }

    def body(self) -> dict[str, t.Any]:
        """Return the answer's body."""
        assert self.decision is not None
        body: dict[str, t.Any] = {
            "success": True,
            "id": self.id,
            "answer": "".join(self.answer),
            "backend": self.backend,
            "reason": self.reason,
            "model": self.model,
            "classification": self.decision.classification.to_json(),
            "decision": self.decision.to_json(),
        }
        if self.paid is not None and self.paid.provider:
            body["provider"] = self.paid.provider
        if self.tried:
            body["tried"] = self.tried
        if self.local is not None and self.backend in ("onnx", "onnx-fallback"):
            body["local"] = self.local.public()
        if self.choice is not None:
            body["ab_test"] = self.choice.public()
        if self.cached:
            body["cached"] = True
        if self.redacted is not None and self.redacted.found:
            body["redacted"] = self.redacted.counts
        body["cost"] = {
            "estimated": _usd(self.estimated_nano),
            "actual": _usd(self.actual_nano),
            "saved": _usd(self.baseline_nano - self.actual_nano),
            "currency": "USD",
        }
        body["performance"] = {
            "routing_ms": round(self.routing_ms, 3),
            "backend_ms": round(self.backend_ms, 3),
            "total_ms": round((time.perf_counter() - self.started) * 1000, 3),
        }
        return body

    def log_row(self, error: str | None) -> dict[str, t.Any]:
        """Return the row of ``pytorch_inference_logs``."""
        served = self.written or self.backend in ("onnx", "onnx-fallback")
        served_locally = served and self.local is not None
        result: dict[str, t.Any] = {"reason": self.reason, "tried": self.tried}
        if self.decision is not None:
            result |= {
                "score": self.decision.classification.score,
                "complexity": self.decision.classification.complexity,
                "profile": self.decision.classification.profile,
                "arm": self.decision.arm,
                "propensity": self.decision.propensity,
            }
        if self.paid is not None and self.paid.provider:
            result["provider"] = self.paid.provider
        if self.redacted is not None:
            result["redacted"] = self.redacted.counts
        if served_locally and self.local is not None:
            result |= self.local.kept()
        return {
            "id": self.id,
            "created_at": self.moment,
            "model_id": self.record.id if served_locally and self.record else None,
            "user_id": self.user,
            "actor": self.actor,
            "domain": self.asked.domain if self.asked else None,
            "input_hash": self.input_hash,
            "hash_key_id": self.hash_key_id,
            "inference_time_ms": self.backend_ms or None,
            "confidence": self.local.confidence if served_locally and self.local else None,
            "result": None if error and self.decision is None else result,
            "status": "failed" if error else "success",
            "error": error,
            "backend": self.backend,
            "cost_usd": from_nano(self.actual_nano),
            "ab_test_id": self.decision.test_id if self.decision else None,
        }

    def cost_row(self, state: str, reserved: int = 0) -> dict[str, t.Any]:
        """Return the row of ``pytorch_query_costs``."""
        assert self.decision is not None and self.asked is not None
        scored = self.decision.classification
        # Who answered, or who was asked last.
        arm = self.paid or (self.arms[-1] if self.arms else None)
        usage = arm.purse.usage if arm else None
        decision = self.decision.to_json() | {"classification": scored.to_json()}
        if several := [arm.to_json() for arm in self.arms if arm.provider]:
            decision["paid"] = several
        return {
            "id": self.id,
            "created_at": self.moment,
            "state": state,
            "domain": self.asked.domain,
            "backend": self.backend,
            "model": self.model,
            "score": scored.score,
            "complexity": scored.complexity,
            "decision": decision,
            "arm": self.decision.arm,
            "propensity": self.decision.propensity,
            "attempts": sum(arm.purse.attempts for arm in self.arms),
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "cached_tokens": usage.cached_tokens if usage else None,
            "usage_estimated": usage.estimated if usage else False,
            "price": arm.purse.price.to_json() if arm else None,
            "reserved_nano": reserved,
            "estimated_nano": self.estimated_nano,
            "actual_nano": self.actual_nano,
            "baseline_nano": self.baseline_nano,
        }


def _usd(nano: int) -> float:
    return float(from_nano(nano))
