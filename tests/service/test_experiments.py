"""A/B tests on PostgreSQL, with workers that race."""

from __future__ import annotations

import threading
import typing as t
from pathlib import Path

import onnx_models
import pytest
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian.errors import Conflict
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.registration import Declared


@pytest.fixture
def host(tmp_path: Path) -> t.Iterator[Flask]:
    with database("postgresql", tmp_path) as url:
        app = make_host(tmp_path, database=url)
        with app.app_context():
            for version, seed in (("v1", 0), ("v2", 1)):
                declared = Declared(
                    labels=["a", "b", "c"], domain="civic", mean=(0.5,) * 3, std=(0.5,) * 3
                )
                data = onnx_models.classifier(seed=seed)
                current_ailydian.registry.register(
                    data, "shapes", version, declared, activate=version == "v1"
                )
            yield app
        dispose(app)


def exposures() -> list[t.Any]:
    table = current_ailydian.tables.ABExposure.__table__
    with current_ailydian.db.engine.connect() as connection:
        return list(connection.execute(table.select()))


def together(app: Flask, count: int, work: t.Callable[[], t.Any]) -> list[t.Any]:
    """Do *work* in threads at the same time; return what came of it."""
    barrier, found = threading.Barrier(count), []

    def run() -> None:
        with app.app_context():
            barrier.wait()
            try:
                found.append(work())
            except Exception as error:
                found.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_test_s_life_with_feedback_and_a_report(host: Flask) -> None:
    experiments = current_ailydian.experiments
    experiments.create("trial", "shapes", "shapes:v2", plan=Plan(unit="user", min_days=0))
    for i in range(30):
        body = current_ailydian.predict("shapes", image=encoded(), user_id=f"u{i % 9}")
        current_ailydian.feedback.give(body["id"], label=body["prediction"], rating=1 + i % 5)
    experiments.split("trial", 30, coverage=0.8)
    report = experiments.report("trial")
    assert sum(report["analysis"]["requests"].values()) == 30
    assert sum(report["analysis"]["units"].values()) == 9
    metrics = report["analysis"]["metrics"]
    assert metrics["accuracy"]["a"]["value"] == 1.0 and metrics["satisfaction"]["a"]["n"] > 0
    units = {row.unit for row in exposures()}
    current_ailydian.privacy.erase("u1")
    assert len(units & {row.unit for row in exposures()}) == 8
    assert experiments.review()[0]["decision"]["verdict"] == "running"
    assert experiments.stop("trial")["verdict"] == "inconclusive"
    assert current_ailydian.metrics.capacity()["requests_per_day"] == 0
    text = host.test_client().get("/api/pytorch/metrics")
    assert text.status_code in (200, 404)


def test_counts_are_right_however_many_answer_at_once(host: Flask) -> None:
    current_ailydian.experiments.create("trial", "shapes", "shapes:v2")

    def ask() -> str:
        for _ in range(10):
            body = current_ailydian.predict("shapes", image=encoded())
        return t.cast(str, body["id"])

    assert all(isinstance(x, str) for x in together(host, 4, ask))
    table = current_ailydian.tables.ABTest.__table__
    with current_ailydian.db.engine.connect() as connection:
        row = connection.execute(table.select()).one()
    assert row.model_a_requests + row.model_b_requests == 40


def test_only_one_of_several_stops_a_test(host: Flask) -> None:
    current_ailydian.experiments.create("trial", "shapes", "shapes:v2")
    found = together(host, 4, lambda: current_ailydian.experiments.stop("trial"))
    assert sum(isinstance(x, dict) for x in found) == 1
    assert sum(isinstance(x, Conflict) for x in found) == 3


def test_feedback_that_races_leaves_one_row(host: Flask) -> None:
    id = current_ailydian.predict("shapes", image=encoded())["id"]
    found = together(host, 6, lambda: current_ailydian.feedback.give(id, rating=4))
    assert found == [{"success": True, "id": id, "correct": None, "rating": 4}] * 6
