"""A/B tests of one app: who meets which arm, what became of it, what may be concluded."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import logging
import secrets
import time
import typing as t

import sqlalchemy as sa
from flask import current_app

from ..audit.fingerprint import Fingerprint
from ..clock import now
from ..database import Database
from ..errors import Conflict
from ..errors import ValidationFailed
from ..registry import Registry
from ..tables import Tables
from . import arms
from .background import Background
from .choosing import Choice
from .choosing import Chooser
from .choosing import concerns
from .plan import MARGINS
from .plan import Plan
from .review import Reviewer
from .shadow import Outcome
from .shadow import Shadow
from .tests import Store
from .tests import Test

log = logging.getLogger("flask_ailydian.experiments")

#: A process looks at its tests that often, when requests meet them.
REVIEW_SECONDS = 60.0


class Experiments(Chooser):
    """Creates tests, draws arms, keeps exposures and concludes."""

    def __init__(
        self,
        database: Database,
        tables: Tables,
        registry: Registry,
        fingerprint: Fingerprint,
        *,
        queue: int,
        shadow_daily_usd: float,
        event: c.Callable[..., t.Any] | None = None,
    ) -> None:
        """Keep the tests of one app.

        :param event: Puts a decision on record: the audit trail's ``note``.
        """
        super().__init__(Store(database, tables), registry)
        self._fingerprint = fingerprint
        self._event = event
        self.background = Background(queue)
        self._shadow = Shadow(self.store, self.background, shadow_daily_usd)
        self._reviewer = Reviewer(self.store, registry, self.note)
        self._reviewed = time.monotonic()

    def record(
        self,
        choice: Choice,
        request_id: str,
        *,
        latency_ms: float,
        failed: bool,
        served_arm: int | None = None,
        cost_usd: t.Any = None,
    ) -> None:
        """Keep what became of a request, under the arm it was *assigned*.

        :param latency_ms: Wall time until the answer, with every fallback.
        :param served_arm: Which arm answered in the end, where it is another one.
        """
        row = {
            "id": request_id,
            "ab_test_id": choice.test.id,
            "phase": choice.phase,
            "unit": self._unit(choice.unit),
            "arm": choice.arm,
            "served_arm": choice.arm if served_arm is None else served_arm,
            "latency_ms": latency_ms,
            "failed": failed,
            "cost_usd": cost_usd,
            "created_at": now(),
        }
        try:
            self.store.expose(row)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            # The answer is on record already; a test can bear the loss of a row.
            log.error("exposure %s was not written: %s", request_id, type(error).__name__)
        self._review_later()

    def shadow(
        self,
        choice: Choice,
        request_id: str,
        answer: c.Callable[[int], Outcome],
        *,
        first: Outcome | None = None,
        may_cost: float = 0.0,
    ) -> bool:
        """Let arm B answer the same input later; ``False`` when it was dropped at once.

        :param answer: Answers the input with an arm; called in a thread of low priority.
        :param first: Arm A's answer; without it arm A is asked again, under equal conditions.
        :param may_cost: What arm B's answer may cost, in USD.
        """
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        return self._shadow.offer(app, choice.test.id, request_id, answer, first, may_cost)

    def create(
        self,
        name: str,
        arm_a: str,
        arm_b: str,
        *,
        split_percent: int = 50,
        plan: Plan | None = None,
        subject: str | None = None,
        actor: str | None = None,
    ) -> Test:
        """Start a test.

        :param arm_a: ``MODEL``, ``MODEL:VERSION``, or ``backend:onnx``, ``backend:3rdparty``.
        :param split_percent: Arm B's share; without meaning in shadow mode.
        :param subject: Whose requests meet the test; by default those for arm A's model.
        :raises ValidationFailed: for a plan or arms that make no sense.
        :raises Conflict: when the name is taken, or another test has the same requests.
        """
        plan = plan or Plan()
        plan.check()
        first, second = arms.parse(arm_a, self._registry), arms.parse(arm_b, self._registry)
        arms.check(name, first, second, split_percent, plan)
        if first.model_id is None and plan.guardrails == Plan().guardrails:
            # Backends differ in cost and speed by nature: that is no harm.
            plan = dataclasses.replace(plan, guardrails={"failures": MARGINS["failures"]})
        subject = subject or first.subject
        for other in self.store.running():
            shared = concerns(other.subject, subject) or concerns(subject, other.subject)
            if shared and not _apart(other.plan, plan):
                raise Conflict(
                    f"The A/B test {other.name!r} has these requests; stop it, or give both "
                    "tests disjoint parts of one namespace."
                )
        values = {
            "test_name": name,
            "subject": subject,
            "arm_a": first.label,
            "arm_b": second.label,
            "model_a_id": first.model_id,
            "model_b_id": second.model_id,
            "traffic_split_percent": split_percent,
            "status": "running",
            "verdict": "running",
            "model_a_requests": 0,
            "model_b_requests": 0,
            "seed": secrets.token_hex(8),
            "plan": plan.to_json(),
            "started_at": now(),
        }
        self.store.add(values, plan.coverage)
        self._read_again()
        self.note(
            "ab_test_created",
            name,
            actor,
            {"arm_a": first.label, "arm_b": second.label, "split": split_percent},
        )
        return self.store.get(name)

    def split(
        self,
        name: str,
        split_percent: int,
        *,
        coverage: float | None = None,
        actor: str | None = None,
    ) -> Test:
        """Change a running test's split; a new phase begins."""
        test = self._running_one(name)
        coverage = test.phase.coverage if coverage is None else coverage
        if not 1 <= split_percent <= 99 or not 0 < coverage <= 1:
            message = "1 to 99, and a coverage above 0 and at most 1."
            raise ValidationFailed(fields={"traffic_split_percent": [message]})
        self.store.resplit(test, split_percent, coverage)
        self._read_again()
        self.note("ab_test_split", name, actor, {"split": split_percent})
        return self.store.get(name)

    def stop(self, name: str, *, actor: str | None = None) -> dict[str, t.Any]:
        """End a test and store what was concluded; return the report.

        :raises Conflict: when it has stopped already.
        """
        body = self._reviewer.close(self._running_one(name), actor)
        self._read_again()
        return body

    def report(self, name: str) -> dict[str, t.Any]:
        """Return everything that is known of a test at this moment."""
        return self._reviewer.report(self.store.get(name))

    def review(self) -> list[dict[str, t.Any]]:
        """Conclude what can be concluded of every running test; return the reports."""
        bodies = [self._reviewer.review(test) for test in self.store.running()]
        self._read_again()
        return bodies

    def shadow_budget_used(self) -> float:
        """Return how much of the day's budget for shadows is used; 1 is all of it."""
        return self._shadow.used()

    def export(
        self, connection: t.Any, user_id: str, ref: str | None
    ) -> t.Iterator[dict[str, t.Any]]:
        """Yield what is kept of a person who was assigned arms."""
        return self.store.of_unit(connection, self._unit(user_id))

    def erase(self, connection: t.Any, user_id: str, ref: str | None) -> int:
        """Cut what ties exposures to a person; they stay one nameless unit of their tests."""
        return self.store.forget(connection, self._unit(user_id), secrets.token_hex(32))

    def _unit(self, unit: str) -> str:
        return self._fingerprint.of("ab-unit", unit.encode())

    def note(self, kind: str, name: str, actor: str | None, detail: dict[str, int | str]) -> None:
        """Put a decision about a test on record, whether a person's or its own rules'.

        The one place from which the audit trail hears of A/B tests.
        """
        log.info("%s: %s by %s", kind, name, "somebody" if actor else "its own rules")
        if self._event is not None:
            self._event(kind, actor=actor, detail={"test": name, **detail})

    def _running_one(self, name: str) -> Test:
        test = self.store.get(name)
        if test.status != "running":
            raise Conflict(f"The A/B test {name!r} has stopped already.")
        return test

    def _review_later(self) -> None:
        if time.monotonic() - self._reviewed < REVIEW_SECONDS:
            return
        self._reviewed = time.monotonic()
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        self.background.offer(app, lambda: t.cast(None, self.review()))


def _apart(one: Plan, other: Plan) -> bool:
    """Whether two plans share nobody."""
    if one.namespace is None or other.namespace is None or one.unit != other.unit:
        return False
    (name, low, high), (its_name, its_low, its_high) = one.namespace, other.namespace
    return name == its_name and (high <= its_low or its_high <= low)
