"""Which arm a request meets, by the tests that run."""

from __future__ import annotations

import dataclasses
import logging
import time
import typing as t

import sqlalchemy as sa

from ..errors import ModelNotFound
from ..records import ModelRecord
from ..registry import Registry
from . import arms
from .assignment import assign
from .assignment import in_namespace
from .tests import Store
from .tests import Test

log = logging.getLogger("flask_ailydian.experiments")

#: For so long a process believes what it last read of the running tests.
TRUSTED_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Choice:
    """The arm, 0 (A) or 1 (B), that one request was assigned.

    :param shadow: Whether arm B is to answer the same input off the request's path.
    """

    test: Test
    phase: int
    arm: int
    unit: str
    shadow: bool = False

    @property
    def backend(self) -> str | None:
        """The backend of the router that this arm is, if it is one."""
        return arms.backend_of(self.test.arms[self.arm])

    @property
    def name(self) -> str:
        """``a`` or ``b``."""
        return "ab"[self.arm]

    @property
    def test_id(self) -> int:
        """The id of the test's row."""
        return self.test.id

    @property
    def propensity(self) -> float:
        """With which probability a request that meets the test meets this arm."""
        share = self.test.phase.split_percent / 100
        return share if self.arm else 1 - share

    def public(self) -> dict[str, t.Any]:
        """Return what an answer says of its test."""
        return {"name": self.test.name, "arm": self.name, "phase": self.phase}


class Chooser:
    """Draws arms for requests."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self._registry = registry
        self._running: tuple[float, list[Test]] = (-1.0, [])

    def choose(self, subject: str, *, user_id: str | None, request_id: str) -> Choice | None:
        """Return the arm of a running test that one request meets, or ``None``.

        :param subject: A model's name; for the router ``query`` and a domain: ``query:medical``.
        :param user_id: Who decides in tests by user; without one such tests are not met.
        """
        for test in self._tests():
            if not concerns(test.subject, subject):
                continue
            unit = user_id if test.plan.unit == "user" else request_id
            if unit is None or not self._open_to(test, unit):
                continue
            phase, share = test.phase, test.phase.split_percent / 100
            if test.plan.mode == "shadow":
                if assign(unit, test.seed, (phase.coverage,)) == 0:
                    return Choice(test, phase.number, 0, unit, shadow=True)
                continue
            weights = (phase.coverage * (1 - share), phase.coverage * share)
            arm = assign(unit, test.seed, weights)
            if arm >= 0:
                return Choice(test, phase.number, arm, unit)
        return None

    def resolve(
        self, name: str, *, user_id: str | None, request_id: str
    ) -> tuple[ModelRecord, Choice | None, int]:
        """Return the model that answers to a name alone, its test, and the arm that serves.

        An arm whose model was retired meanwhile is served by the other one, and still counts
        as what was assigned.
        """
        choice = self.choose(name, user_id=user_id, request_id=request_id)
        if choice is None:
            return self._registry.resolve(name), None, 0
        for arm in (choice.arm, 1 - choice.arm):
            try:
                return self.model(choice.test, arm), choice, arm
            except ModelNotFound:
                continue
        return self._registry.resolve(name), None, 0

    def model(self, test: Test, arm: int) -> ModelRecord:
        """Return the model of an arm.

        :raises ModelNotFound: when it does not answer any more.
        """
        name, version = arms.model_of(test.arms[arm])
        return self._registry.resolve(name, version)

    def _open_to(self, test: Test, unit: str) -> bool:
        return test.plan.namespace is None or in_namespace(unit, test.plan.namespace)

    def _tests(self) -> list[Test]:
        until, tests = self._running
        if time.monotonic() >= until:
            try:
                tests = self.store.running()
            except (sa.exc.SQLAlchemyError, OSError) as error:
                # Tests are no reason not to answer.
                log.error("the A/B tests cannot be read: %s", type(error).__name__)
                tests = []
            self._running = (time.monotonic() + TRUSTED_SECONDS, tests)
        return tests

    def _read_again(self) -> None:
        """Believe nothing that was read of the tests so far."""
        self._running = (-1.0, [])


def concerns(subject: str, asked: str) -> bool:
    """Whether a test of *subject* is met by what is asked: ``query`` is for every domain's."""
    return subject == asked or subject == asked.partition(":")[0]
