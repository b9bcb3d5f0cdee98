"""A/B tests."""

from __future__ import annotations

import typing as t

from flask import g

from ...experiments.report import describe
from ...state import current_ailydian
from ..http import accepts
from ..http import needs
from ..http import returns
from ..schemas.experiments import ABTestAnswer
from ..schemas.experiments import ABTestList
from ..schemas.experiments import ABTestPatch
from ..schemas.experiments import ABTestRequest


@needs("read")
@returns(ABTestList(), fails=(401, 403))
def list_tests() -> dict[str, t.Any]:
    """List every A/B test, the oldest first."""
    tests = current_ailydian.experiments.store.every()
    return {"success": True, "ab_tests": [describe(test) for test in tests]}


@needs("read")
@returns(ABTestAnswer(), fails=(401, 403, 404))
def show_test(name: str) -> dict[str, t.Any]:
    """Show one test and everything that is known at this moment."""
    return {"success": True, "ab_test": current_ailydian.experiments.report(name)}


@needs("manage")
@accepts(ABTestRequest())
@returns(ABTestAnswer(), status=201, fails=(400, 401, 403, 404, 409, 415, 422))
def create_test(given: dict[str, t.Any]) -> dict[str, t.Any]:
    """Start an A/B test."""
    test = current_ailydian.experiments.create(
        given["test_name"],
        given["model_a"],
        given["model_b"],
        split_percent=given["traffic_split_percent"],
        plan=given["plan"],
        subject=given.get("subject"),
        actor=g.ailydian_actor,
    )
    return {"success": True, "ab_test": describe(test)}


@needs("manage")
@accepts(ABTestPatch())
@returns(ABTestAnswer(), fails=(400, 401, 403, 404, 409, 415, 422))
def split_test(given: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    """Change a running test's split; a new phase begins."""
    test = current_ailydian.experiments.split(
        name,
        given["traffic_split_percent"],
        coverage=given.get("coverage"),
        actor=g.ailydian_actor,
    )
    return {"success": True, "ab_test": describe(test)}


@needs("manage")
@returns(ABTestAnswer(), fails=(401, 403, 404, 409))
def stop_test(name: str) -> dict[str, t.Any]:
    """End a test and store what was concluded."""
    body = current_ailydian.experiments.stop(name, actor=g.ailydian_actor)
    return {"success": True, "ab_test": body}
