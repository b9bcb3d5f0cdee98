"""A/B tests and shadow tests between the router's backends."""

from __future__ import annotations

import typing as t
from decimal import Decimal

import pytest
from flask import Flask
from routing.conftest import ANSWERS
from routing.conftest import rows
from routing.conftest import text_model

from flask_ailydian import current_ailydian
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.registration import Declared

MEDIUM = "Bu göğüs röntgeninde pnömoni var mı?"
API = "/api/pytorch"


def ask(app: Flask, user: str) -> t.Any:
    return app.test_client().post(f"{API}/query", json={"query": MEDIUM, "user_id": user})


@pytest.fixture
def make_sure(make_twin: t.Any) -> t.Callable[..., tuple[Flask, t.Any]]:
    """Make a host whose local model is sure of everything, so that nothing is escalated."""

    def make(**config: t.Any) -> tuple[Flask, t.Any]:
        app, twin = make_twin(**config)
        data = text_model(answers=ANSWERS, threshold=0.1)
        with app.app_context():
            current_ailydian.registry.register(
                data, "desk", "v2", Declared(domain="chat"), activate=True
            )
        return app, twin

    return make


def create(app: Flask, name: str, a: str, b: str, **options: t.Any) -> None:
    with app.app_context():
        plan = Plan(unit="user", **options)
        current_ailydian.experiments.create(name, f"backend:{a}", f"backend:{b}", plan=plan)


def pairs(app: Flask) -> list[t.Any]:
    assert app.extensions["ailydian"].experiments.background.join()
    return rows(app, "ABShadow")


def test_medium_queries_meet_the_running_test_and_are_counted_as_assigned(make_sure: t.Any) -> None:
    app, _ = make_sure()
    create(app, "paid-or-not", "onnx", "3rdparty")
    arms = {}
    for i in range(24):
        body = ask(app, f"user-{i}").json
        assert body["reason"] == "ab-test"
        arms[body["id"]] = body["ab_test"]["arm"]
        assert body["backend"] == {"a": "onnx", "b": "3rdparty"}[body["ab_test"]["arm"]]
        # The same person meets the same arm.
        assert ask(app, f"user-{i}").json["ab_test"] == body["ab_test"]
    assert set(arms.values()) == {"a", "b"}
    exposures = {row.id: row for row in rows(app, "ABExposure")}
    assert len(exposures) == 48
    for id, arm in arms.items():
        row = exposures[id]
        assert ("ab"[row.arm], "ab"[row.served_arm], row.failed) == (arm, arm, False)
        assert (row.cost_usd == Decimal("0.0001")) == (arm == "a")
    assert {row.ab_test_id for row in rows(app, "InferenceLog")} == {1}


def test_a_shadow_asks_the_paid_backend_and_every_cent_is_on_record(
    make_sure: t.Any,
) -> None:
    app, twin = make_sure()
    create(app, "dark", "onnx", "3rdparty", mode="shadow")
    body = ask(app, "user-1").json
    assert (body["backend"], body["ab_test"]["arm"]) == ("onnx", "a")
    (pair,) = pairs(app)
    assert pair.id == body["id"] and not pair.failed and pair.latency_b_ms > 0
    assert twin.asked and pair.cost_usd > 0
    shadow = next(row for row in rows(app, "QueryCost") if row.state == "shadow")
    assert shadow.actual_nano > 0 and shadow.baseline_nano == shadow.actual_nano
    kinds = [row.kind for row in rows(app, "AuditEvent") if row.kind.startswith("egress")]
    assert kinds == ["egress_intent", "egress_result"]


def test_a_shadow_may_be_the_local_model_and_a_failing_one_is_a_failed_pair(
    make_sure: t.Any,
) -> None:
    app, _ = make_sure()
    create(app, "dark", "3rdparty", "onnx", mode="shadow")
    body = ask(app, "user-1").json
    assert body["backend"] == "3rdparty"
    (pair,) = pairs(app)
    assert not pair.failed and pair.cost_usd < 0.001


def test_a_shadow_sends_nothing_that_must_stay_in_the_house(make_sure: t.Any) -> None:
    app, twin = make_sure(AILYDIAN_ROUTER_IN_HOUSE=["chat"])
    create(app, "dark", "onnx", "3rdparty", mode="shadow")
    assert ask(app, "user-1").json["backend"] == "onnx"
    assert pairs(app) == [] and not twin.asked


def test_a_shadow_costs_no_more_than_a_day_s_shadows_may(make_sure: t.Any) -> None:
    app, twin = make_sure(AILYDIAN_SHADOW_DAILY_USD=0.001)
    create(app, "dark", "onnx", "3rdparty", mode="shadow")
    assert ask(app, "user-1").json["backend"] == "onnx"
    assert pairs(app) == [] and not twin.asked
