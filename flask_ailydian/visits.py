"""What happens around an answer: the test that a request meets, its shadow, and who counts it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
import typing as t

from flask import current_app

from . import signals
from .errors import AilydianError
from .errors import InternalError
from .errors import ModelNotFound
from .experiments.choosing import Choice
from .experiments.service import Experiments
from .experiments.shadow import Outcome
from .experiments.tests import Test
from .prediction import label_of
from .prediction import Prediction
from .records import ModelRecord
from .serving import Serving
from .settings import Settings

log = logging.getLogger("flask_ailydian")


@dataclasses.dataclass
class Visit:
    """What one request has come to so far."""

    started: float = dataclasses.field(default_factory=time.perf_counter)
    given: t.Any = None
    model: ModelRecord | None = None
    choice: Choice | None = None
    served_arm: int = 0
    stages: dict[str, float] = dataclasses.field(default_factory=dict)

    def public(self) -> dict[str, t.Any]:
        """Return what the answer says of the test that the request met, if it met one."""
        return {} if self.choice is None else {"ab_test": self.choice.public()}


class Visits:
    """Chooses the model, and afterwards tells everybody who counts."""

    def __init__(
        self,
        settings: Settings,
        serving: Serving,
        experiments: Experiments,
        prediction: Prediction,
    ) -> None:
        self._settings = settings
        self._serving = serving
        self._experiments = experiments
        self._prediction = prediction

    @contextlib.contextmanager
    def visit(self, row: dict[str, t.Any]) -> t.Iterator[Visit]:
        """Hold shadows back during a request, and account for it however it ends."""
        visit, outcome = Visit(), "failed"
        with self._experiments.background.answering():
            try:
                yield visit
                outcome = "success"
            except AilydianError as error:
                outcome = "rejected" if error.status < 500 else "failed"
                raise
            finally:
                self._account(row, visit, outcome)

    def choose(self, visit: Visit, given: t.Any, row: dict[str, t.Any]) -> ModelRecord:
        """Return the model that answers: the one asked for, or the arm of a running test."""
        visit.given = given
        model = None
        if given.model_version is None:
            model, visit.choice, visit.served_arm = self._experiments.resolve(
                given.model_name, user_id=row["user_id"], request_id=row["id"]
            )
            row["ab_test_id"] = visit.choice.test.id if visit.choice else None
        if model is None or visit.choice is None:
            model = self._serving.resolve(given.model_name, given.model_version)
        visit.model = model
        return model

    def at_once(self, given: t.Any) -> int:
        """Return how many inputs of a batch like *given* are worked on at once.

        That is one more than run, which decodes; ``None`` is an input that could not be read.
        """
        executor = self._prediction.executor
        if given is not None:
            with contextlib.suppress(AilydianError):
                model = self._serving.resolve(given.model_name, given.model_version)
                executor = self._prediction.executor_of(model)
        return executor.slots + 1

    def substitute(self, model: ModelRecord) -> ModelRecord | None:
        """Return the local version that answers in place of a remote one, if there is one."""
        if model.fallback is None:
            return None
        try:
            found = self._serving.resolve(model.name, model.fallback)
        except ModelNotFound:
            return None
        return None if found.type == "remote" else found

    def _account(self, row: dict[str, t.Any], visit: Visit, outcome: str) -> None:
        seconds = time.perf_counter() - visit.started
        signals.inference_finished.send(
            current_app._get_current_object(),  # type: ignore[attr-defined]
            record=row,
            model=visit.model,
            stages={**visit.stages, "total": seconds},
            outcome=outcome,
        )
        choice, given = visit.choice, visit.given
        if choice is None:
            return
        self._experiments.record(
            choice,
            row["id"],
            latency_ms=seconds * 1000,
            failed=outcome != "success",
            served_arm=visit.served_arm,
            cost_usd=row["cost_usd"],
        )
        if choice.shadow and outcome == "success":
            self._experiments.shadow(
                choice, row["id"], lambda arm: self._again(given, choice.test, arm)
            )

    def _again(self, given: t.Any, test: Test, arm: int) -> Outcome:
        """Answer an input with one arm, for comparison alone; nobody gets to see it."""
        deadline = time.monotonic() + self._settings.timeout_seconds
        try:
            model = self._experiments.model(test, arm)
            arrays = self._prediction.prepare(given, model)
            with self._serving.lease(model, deadline) as engine:
                started = time.perf_counter()
                outputs = engine.run(arrays, deadline=deadline)
                seconds = time.perf_counter() - started
            return Outcome(seconds * 1000, label_of(model, outputs))
        except AilydianError:
            return Outcome(0.0, failed=True)


def unforeseen(error: Exception, incident: str) -> AilydianError:
    """Log an error that is nobody's mistake but ours, and return what the client may know."""
    # The trace goes to the log alone, and never the message: it may quote the input.
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    log.error("inference %s failed: %s at %s", incident, type(error).__name__, " > ".join(frames))
    return InternalError()
