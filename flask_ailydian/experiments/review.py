"""Looks at a test as it stands, and stores what was concluded with the numbers behind it."""

from __future__ import annotations

import collections.abc as c
import logging
import typing as t

from ..clock import now
from ..errors import AilydianError
from ..errors import Conflict
from ..registry import Registry
from . import arms
from .analysis import analyse
from .analysis import Analysis
from .decision import decide
from .decision import Decision
from .report import to_json
from .shadows import analyse_pairs
from .tests import Store
from .tests import Test

log = logging.getLogger("flask_ailydian.experiments")

Note = c.Callable[[str, str, str | None, dict[str, int | str]], None]


class Reviewer:
    """Analyses tests and applies their own rules to them."""

    def __init__(self, store: Store, registry: Registry, note: Note) -> None:
        self._store = store
        self._registry = registry
        self._note = note

    def report(self, test: Test) -> dict[str, t.Any]:
        """Return everything that is known of a test at this moment."""
        found, days = self._look(test)
        over = test.status != "running"
        body = to_json(test, found, decide(found, test.plan, days, over=over), days)
        return body | {"decided": test.snapshot}

    def review(self, test: Test) -> dict[str, t.Any]:
        """Apply a running test's rules: harm stops it, a winner is stored once."""
        found, days = self._look(test)
        decision = decide(found, test.plan, days)
        body = to_json(test, found, decision, days)
        values = self._values(test, decision, body)
        if decision.verdict == "harm":
            if self._store.close(test, values):
                self._note("ab_test_stopped", test.name, None, _said(decision))
        elif decision.verdict == "winner" and test.plan.promote:
            self._promote(test, decision, values)
        elif decision.verdict == "winner" and test.verdict != "winner":
            self._store.conclude(test, values)
            self._note("ab_test_decided", test.name, None, _said(decision))
        return body

    def close(self, test: Test, actor: str | None) -> dict[str, t.Any]:
        """End a test for good, with what can be concluded now."""
        found, days = self._look(test)
        decision = decide(found, test.plan, days, over=True)
        body = to_json(test, found, decision, days)
        if test.verdict == "winner" and test.snapshot is not None:
            # What was decided by the rules stays decided.
            values = {}
        else:
            values = self._values(test, decision, body)
        if not self._store.close(test, values):
            raise Conflict(f"The A/B test {test.name!r} has stopped already.")
        self._note("ab_test_stopped", test.name, actor, _said(decision))
        return self.report(self._store.get(test.name))

    def _promote(self, test: Test, decision: Decision, values: dict[str, t.Any]) -> None:
        assert decision.winner is not None
        name, version = arms.model_of(test.arms[decision.winner])
        try:
            self._registry.update(name, version, status="active")
        except AilydianError as error:
            log.error("the winner of %s was not promoted: %s", test.name, error.code)
            self._store.conclude(test, values)
            return
        if self._store.close(test, values):
            self._note("ab_test_promoted", test.name, None, {"model": test.arms[decision.winner]})

    def _values(self, test: Test, decision: Decision, body: dict[str, t.Any]) -> dict[str, t.Any]:
        won = decision.verdict in ("winner", "harm") and decision.winner is not None
        return {
            "verdict": decision.verdict,
            "winner_model_id": test.models[decision.winner or 0] if won else None,
            "decided_at": now(),
            "snapshot": {"analysis": body["analysis"], "decision": body["decision"]},
        }

    def _look(self, test: Test) -> tuple[Analysis, float]:
        days = ((test.stopped_at or now()) - test.started_at).total_seconds() / 86_400
        if test.plan.mode == "shadow":
            return analyse_pairs(self._store.pairs_of(test)), days
        shares = {phase.number: phase.split_percent / 100 for phase in test.phases}
        return analyse(self._store.exposures_of(test), shares, test.plan), days


def _said(decision: Decision) -> dict[str, int | str]:
    winner = "none" if decision.winner is None else "ab"[decision.winner]
    return {"verdict": decision.verdict, "winner": winner}
