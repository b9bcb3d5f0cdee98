"""A test's life in the database, without HTTP."""

from __future__ import annotations

import collections
import json
import os
import threading
import time
import typing as t
from datetime import timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from flask import Flask
from pictures import encoded
from pictures import picture

from flask_ailydian import current_ailydian
from flask_ailydian.errors import Conflict
from flask_ailydian.errors import ModelNotFound
from flask_ailydian.errors import TestNotFound
from flask_ailydian.errors import ValidationFailed
from flask_ailydian.experiments.background import Background
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.experiments.report import to_text
from flask_ailydian.experiments.shadow import Outcome

QUICK = Plan(min_days=0, guardrails={"failures": 0.02})


def rows(table: sa.Table) -> list[t.Any]:
    with current_ailydian.db.engine.connect() as connection:
        return list(connection.execute(table.select()))


def feed(experiments: t.Any, n: int, *, slower: float = 0.0, failing: float = 0.0) -> None:
    """Let *n* requests meet the running test of `shapes`."""
    rng = np.random.default_rng(5)
    exposures = []
    for i in range(n):
        choice = experiments.choose("shapes", user_id=f"u{i % 500}", request_id=f"r{i}")
        latency = rng.lognormal(3, 0.2) * (1 + slower * choice.arm)
        failed = bool(choice.arm and rng.random() < failing)
        exposures.append(
            {
                "id": f"r{i}",
                "ab_test_id": choice.test.id,
                "phase": choice.phase,
                "unit": choice.unit,
                "arm": choice.arm,
                "served_arm": choice.arm,
                "latency_ms": latency,
                "failed": failed,
            }
        )
    with current_ailydian.db.engine.begin() as connection:
        connection.execute(experiments.store.exposures.insert(), exposures)


def test_a_running_test_s_arm_answers_and_is_on_record(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2")
    bodies = [current_ailydian.predict("shapes", image=encoded()) for _ in range(40)]
    met = collections.Counter((b["ab_test"]["arm"], b["model"]["version"]) for b in bodies)
    assert set(met) == {("a", "v1"), ("b", "v2")}
    test = experiments.store.get("trial")
    exposures = {row.id: row for row in rows(experiments.store.exposures)}
    logs = rows(current_ailydian.tables.InferenceLog.__table__)
    assert {row.id for row in logs} == set(exposures)
    for body, log in zip(bodies, logs, strict=True):
        assert log.ab_test_id == test.id
        assert "ab"[exposures[log.id].arm] == body["ab_test"]["arm"]
    (cached,) = rows(experiments.store.tests)
    assert (cached.model_a_requests, cached.model_b_requests) == (met["a", "v1"], met["b", "v2"])
    mean = np.mean([row.latency_ms for row in exposures.values() if row.arm == 1])
    assert cached.model_b_avg_latency_ms == pytest.approx(mean)


def test_a_request_that_names_a_version_meets_no_test(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2")
    body = current_ailydian.predict("shapes", image=encoded(), model_version="v1")
    assert "ab_test" not in body and not rows(experiments.store.exposures)


def test_a_user_keeps_their_arm(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2", plan=Plan(unit="user"))
    for user in ("ayşe", "mehmet", "u3", "u4"):
        arms = {
            current_ailydian.predict("shapes", image=encoded(), user_id=user)["ab_test"]["arm"]
            for _ in range(4)
        }
        assert len(arms) == 1
    assert "ab_test" not in current_ailydian.predict("shapes", image=encoded())
    units = {row.unit for row in rows(experiments.store.exposures)}
    assert len(units) == 4 and not {"ayşe", "mehmet"} & units


def test_failures_count_as_assigned(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2", split_percent=99)
    with pytest.raises(Exception, match="image"):
        current_ailydian.predict("shapes", image=b"no image")
    current_ailydian.predict("shapes", image=encoded())
    assert sorted(row.failed for row in rows(experiments.store.exposures)) == [False, True]


def test_an_arm_that_was_retired_is_served_by_the_other_and_counts_as_assigned(
    experiments: t.Any,
) -> None:
    experiments.create("trial", "shapes", "shapes:v2", split_percent=99)
    current_ailydian.registry.update("shapes", "v2", status="inactive")
    bodies = [current_ailydian.predict("shapes", image=encoded()) for _ in range(6)]
    assert {b["model"]["version"] for b in bodies} == {"v1"}
    assert {row.served_arm for row in rows(experiments.store.exposures)} == {0}
    assert 1 in {row.arm for row in rows(experiments.store.exposures)}


def test_another_split_opens_another_phase(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2", split_percent=10)
    first = {i: experiments.choose("shapes", user_id=None, request_id=str(i)) for i in range(300)}
    test = experiments.split("trial", 50)
    second = {i: experiments.choose("shapes", user_id=None, request_id=str(i)) for i in range(300)}
    assert [phase.split_percent for phase in test.phases] == [10, 50]
    assert test.phases[0].ended_at is not None and test.phases[1].ended_at is None
    assert {c.phase for c in first.values()} == {1} and {c.phase for c in second.values()} == {2}
    assert all(second[i].arm == 1 for i, choice in first.items() if choice.arm == 1)


def test_more_coverage_moves_nobody_who_is_in(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2", plan=Plan(coverage=0.2))
    first = {i: experiments.choose("shapes", user_id=None, request_id=str(i)) for i in range(300)}
    experiments.split("trial", 50, coverage=1.0)
    for i, choice in first.items():
        later = experiments.choose("shapes", user_id=None, request_id=str(i))
        assert choice is None or choice.arm == later.arm
    assert 30 < sum(choice is not None for choice in first.values()) < 90


def test_requests_belong_to_one_test(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2")
    with pytest.raises(Conflict, match="namespace"):
        experiments.create("other", "shapes", "shapes:v2")
    with pytest.raises(Conflict, match="exists already"):
        experiments.create("trial", "shapes:v2", "shapes:v1", subject="else")


def test_disjoint_parts_of_a_namespace_share_nobody(experiments: t.Any) -> None:
    for name, low, high in (("one", 0, 0.5), ("two", 0.5, 1)):
        plan = Plan(namespace=("triage", low, high))
        experiments.create(name, "shapes", "shapes:v2", plan=plan)
    met = collections.Counter(
        experiments.choose("shapes", user_id=None, request_id=str(i)).test.name for i in range(400)
    )
    assert set(met) == {"one", "two"} and min(met.values()) > 100


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (("x", "shapes", "shapes:v1"), ValidationFailed),
        (("x", "shapes", "backend:onnx"), ValidationFailed),
        (("x", "backend:onnx", "backend:mainframe"), ValidationFailed),
        (("x", "shapes", "nobody"), ModelNotFound),
        (("no spaces", "shapes", "shapes:v2"), ValidationFailed),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(
    experiments: t.Any, given: tuple[str, str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        experiments.create(*given)


def test_backends_of_the_router_are_arms(experiments: t.Any) -> None:
    experiments.create("paid", "backend:onnx", "backend:3rdparty", split_percent=30)
    found = [
        experiments.choose("query:medical", user_id=f"u{i}", request_id=f"q{i}") for i in range(300)
    ]
    assert {(c.backend, c.name) for c in found} == {("onnx", "a"), ("3rdparty", "b")}
    assert {round(c.propensity, 3) for c in found} == {0.7, 0.3}
    assert experiments.store.get("paid").plan.guardrails == {"failures": 0.01}
    experiments.record(found[0], "q0", latency_ms=5, failed=False, served_arm=1, cost_usd=0.002)
    body = experiments.report("paid")
    assert body["analysis"]["requests"]["ab"[found[0].arm]] == 1
    (row,) = rows(experiments.store.exposures)
    assert (row.served_arm, float(row.cost_usd)) == (1, 0.002)
    with pytest.raises(Conflict):
        experiments.create("law", "backend:onnx", "backend:3rdparty", subject="query:legal")


def test_a_winner_is_stored_with_the_numbers_and_moves_no_traffic(experiments: t.Any) -> None:
    test = experiments.create("trial", "shapes", "shapes:v2", plan=QUICK)
    feed(experiments, 3000, slower=-0.1)
    (body,) = experiments.review()
    assert body["decision"]["winner"] == {"arm": "b", "name": "shapes:v2"}
    after = experiments.store.get("trial")
    assert (after.status, after.verdict) == ("running", "winner")
    assert after.winner_model_id == test.models[1]
    assert after.snapshot["decision"]["verdict"] == "winner"
    assert current_ailydian.registry.resolve("shapes").version == "v1"
    assert "for a person to decide" in to_text(body)
    stopped = experiments.stop("trial")
    assert (stopped["status"], stopped["verdict"]) == ("stopped", "winner")
    assert stopped["decided"] == after.snapshot


def test_a_winner_takes_over_when_the_test_was_made_so(experiments: t.Any) -> None:
    plan = Plan(min_days=0, guardrails={}, promote=True)
    experiments.create("trial", "shapes", "shapes:v2", plan=plan)
    feed(experiments, 3000, slower=-0.1)
    experiments.review()
    assert current_ailydian.registry.resolve("shapes").version == "v2"
    assert experiments.store.get("trial").status == "stopped"


def test_harm_ends_a_test_at_once(experiments: t.Any) -> None:
    plan = Plan(min_days=7, guardrails={"failures": 0.02})
    test = experiments.create("trial", "shapes", "shapes:v2", plan=plan)
    feed(experiments, 2000, failing=0.3)
    experiments.review()
    after = experiments.store.get("trial")
    assert (after.status, after.verdict, after.winner_model_id) == (
        "stopped",
        "harm",
        test.models[0],
    )
    assert experiments.choose("shapes", user_id=None, request_id="x") is None


def test_a_test_stopped_too_early_is_inconclusive(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2")
    feed(experiments, 100)
    body = experiments.stop("trial")
    assert (body["verdict"], body["winner_model_id"]) == ("inconclusive", None)
    with pytest.raises(Conflict, match="stopped already"):
        experiments.stop("trial")
    with pytest.raises(Conflict):
        experiments.split("trial", 20)
    with pytest.raises(TestNotFound):
        experiments.report("nothing")


def test_the_report_can_be_read(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2", plan=QUICK)
    feed(experiments, 1500)
    text = to_text(experiments.report("trial"))
    assert "Arm B, shapes:v2, is compared with arm A, shapes:v1, for shapes." in text
    assert "the split is as planned" in text
    assert "Latency: A" in text.split("What we do not know yet")[1]
    assert "p95" in text and "Go on" in text
    empty = experiments.store.get("trial")
    assert empty.verdict == "running"


def test_a_person_is_forgotten_and_still_counts_once(experiments: t.Any) -> None:
    experiments.create("trial", "shapes", "shapes:v2", plan=Plan(unit="user"))
    for _ in range(3):
        body = current_ailydian.predict("shapes", image=encoded(), user_id="ayşe")
    current_ailydian.feedback.give(body["id"], label=body["prediction"], rating=4)
    before = {row.unit for row in rows(experiments.store.exposures)}
    export = json.loads("".join(current_ailydian.privacy.export("ayşe")))
    assert [x["test_name"] for x in export["ab_tests"]] == ["trial"] * 3
    assert [(x["label"], x["rating"]) for x in export["feedback"]] == [(body["prediction"], 4)]
    assert current_ailydian.privacy.erase("ayşe")["rows"] == 3
    after = {row.unit for row in rows(experiments.store.exposures)}
    assert len(after) == 1 and after != before


def test_tables_that_are_missing_are_no_reason_not_to_answer(experiments: t.Any) -> None:
    with current_ailydian.db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE pytorch_ab_phases"))
        connection.execute(sa.text("DROP TABLE pytorch_ab_tests"))
    assert current_ailydian.predict("shapes", image=encoded())["success"]


def test_every_decision_is_told_to_the_audit_trail(experiments: t.Any) -> None:
    told: list[t.Any] = []
    experiments._event = lambda kind, **more: told.append((kind, more["actor"], more["detail"]))
    experiments.create("trial", "shapes", "shapes:v2", plan=QUICK, actor="ayşe")
    experiments.split("trial", 40, actor="ayşe")
    feed(experiments, 3000, slower=-0.1)
    experiments.review()
    experiments.review()
    experiments.stop("trial", actor="mehmet")
    won = {"test": "trial", "verdict": "winner", "winner": "b"}
    assert told == [
        (
            "ab_test_created",
            "ayşe",
            {"test": "trial", "arm_a": "shapes:v1", "arm_b": "shapes:v2", "split": 50},
        ),
        ("ab_test_split", "ayşe", {"test": "trial", "split": 40}),
        ("ab_test_decided", None, won),
        ("ab_test_stopped", "mehmet", won),
    ]


# Shadow mode


def test_a_shadow_answers_unseen_and_pairs_are_compared(experiments: t.Any) -> None:
    experiments.create("dark", "shapes", "shapes:v2", plan=Plan(mode="shadow"))
    bodies = []
    for seed in range(6):
        bodies.append(current_ailydian.predict("shapes", image=encoded(picture(seed=seed))))
        assert experiments.background.join()
    assert {(b["model"]["version"], b["ab_test"]["arm"]) for b in bodies} == {("v1", "a")}
    pairs = rows(experiments.store.shadows)
    assert {row.id for row in pairs} == {body["id"] for body in bodies}
    assert all(row.latency_a_ms > 0 and row.latency_b_ms > 0 and not row.failed for row in pairs)
    agreement = experiments.report("dark")["analysis"]["agreement"]
    assert agreement["compared"] == 6
    # What the second model says of the same pictures, asked aloud.
    aloud = [
        current_ailydian.predict("shapes", image=encoded(picture(seed=s)), model_version="v2")[
            "prediction"
        ]
        for s in range(6)
    ]
    same = sum(b["prediction"] == other for b, other in zip(bodies, aloud, strict=True))
    assert agreement["same"] == same
    assert "answered in the shadow of" in to_text(experiments.report("dark"))


def test_a_shadow_that_fails_is_a_pair_that_failed(experiments: t.Any) -> None:
    experiments.create("dark", "shapes", "shapes:v2", plan=Plan(mode="shadow"))
    record = current_ailydian.registry.get("shapes", "v2")
    (current_ailydian.registry.folder / record.file_path).write_bytes(b"broken")
    assert current_ailydian.predict("shapes", image=encoded())["success"]
    assert experiments.background.join()
    (pair,) = rows(experiments.store.shadows)
    assert pair.failed and pair.latency_b_ms is None


def test_shadows_never_cost_more_than_they_may(experiments: t.Any) -> None:
    experiments.create("dark", "backend:onnx", "backend:3rdparty", plan=Plan(mode="shadow"))
    choice = experiments.choose("query:chat", user_id=None, request_id="q")
    asked = []

    def answer(arm: int) -> Outcome:
        asked.append(arm)
        return Outcome(5.0, "yes", cost_usd=0.4)

    for i in range(4):
        experiments.shadow(choice, f"q{i}", answer, first=Outcome(3.0, "yes"), may_cost=0.4)
        assert experiments.background.join()
    # 0.4 and 0.8 are within a dollar; a third would not be.
    assert asked == [1, 1] and len(rows(experiments.store.shadows)) == 2


def test_yesterday_s_shadows_cost_nothing_today(experiments: t.Any) -> None:
    experiments.create("dark", "backend:onnx", "backend:3rdparty", plan=Plan(mode="shadow"))
    test = experiments.store.get("dark")
    yesterday = test.started_at - timedelta(days=1)
    experiments.store.pair(
        {
            "id": "old",
            "ab_test_id": test.id,
            "latency_a_ms": 1.0,
            "failed": False,
            "cost_usd": 9,
            "created_at": yesterday,
        }
    )
    midnight = test.started_at.replace(hour=0, minute=0, second=0, microsecond=0)
    assert experiments.store.shadow_cost(midnight) == 0
    assert experiments.store.shadow_cost(yesterday) == 9


# The background


def test_what_does_not_fit_is_dropped(app: Flask) -> None:
    background = Background(2)
    done: list[int] = []
    with background.answering():
        offered = [background.offer(app, lambda i=i: done.append(i)) for i in range(5)]
        assert offered == [True, True, False, False, False] and background.dropped == 3
        assert not done
    assert background.join() and done == [0, 1]


def test_requests_come_first(app: Flask) -> None:
    background, done = Background(2, patience=0.05), []
    with background.answering():
        background.offer(app, lambda: done.append(1))
        deadline = time.monotonic() + 5
        while not background.dropped and time.monotonic() < deadline:
            time.sleep(0.01)
    assert background.dropped == 1 and not done


def test_a_job_that_fails_takes_nothing_with_it(app: Flask) -> None:
    background, done = Background(4), []
    background.offer(app, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    background.offer(app, lambda: done.append(os.getpriority(os.PRIO_PROCESS, _tid())))
    assert background.join() and done == [19]


def _tid() -> int:
    return threading.get_native_id()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_starts_anew(app: Flask) -> None:
    background = Background(4)
    background.offer(app, lambda: None)
    assert background.join()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        done: list[int] = []
        background.offer(app, lambda: done.append(1))
        os.write(write, b"1" if background.join() and done else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
