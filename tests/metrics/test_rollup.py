"""Daily metrics from rows: exact, idempotent, late, concurrent, never smaller by accident."""

from __future__ import annotations

import json
import math
import threading
import typing as t
from datetime import date
from datetime import datetime
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host

from flask_ailydian import current_ailydian
from flask_ailydian.metrics import histogram
from flask_ailydian.metrics import today

FIRST = datetime(2026, 3, 1)
LATER = datetime(2026, 3, 20)
URL = "/api/pytorch/metrics/daily"


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Flask]:
    with database(request.param, tmp_path) as url:
        app = make_host(tmp_path, database=url)
        with app.app_context():
            yield app
        dispose(app)


def add_models(count: int = 2) -> None:
    table = current_ailydian.tables.Model.__table__
    with current_ailydian.db.engine.begin() as connection:
        for i in range(1, count + 1):
            model = {
                "id": i,
                "model_name": f"m{i}",
                "model_version": "1",
                "model_type": "onnx",
                "domain": "civic",
                "task": "tensor",
                "deployment_status": "active",
            }
            connection.execute(table.insert(), model)


def add_rows(latencies: t.Sequence[float | None], day: int = 0, model: int = 1) -> list[str]:
    table = current_ailydian.tables.InferenceLog.__table__
    start = FIRST + timedelta(days=day)
    rows = [
        {
            "id": f"{model}-{day}-{i}-{len(latencies)}",
            "model_id": model,
            "inference_time_ms": latency,
            "status": "failed" if latency is None else "success",
            "cost_usd": 0.001,
            "confidence": 0.9,
            "input_hash": f"{i // 2}",
            "result": {"prediction": "cat" if i % 3 else "dog"},
            "created_at": start + timedelta(seconds=i % 86_400),
        }
        for i, latency in enumerate(latencies)
    ]
    with current_ailydian.db.engine.begin() as connection:
        connection.execute(table.insert(), rows)
    return [row["id"] for row in rows]


def slices() -> dict[tuple[int, date], t.Any]:
    table = current_ailydian.tables.ModelMetric.__table__
    with current_ailydian.db.engine.connect() as connection:
        return {(row.model_id, row.date): row for row in connection.execute(table.select())}


def roll(day: int | None = None, **more: t.Any) -> t.Any:
    asked = None if day is None else (FIRST + timedelta(days=day)).date()
    return current_ailydian.metrics.rollup.run(asked, asked, **{"now": LATER, **more})


@pytest.mark.parametrize("n", [1, 2, 19, 20, 100, 101, 1000])
def test_percentiles_are_exact_nearest_ranks(host: Flask, n: int) -> None:
    add_models()
    latencies = list(map(float, np.random.default_rng(n).permutation(n) + 1))
    add_rows([*latencies, None])
    roll(0)
    (row,) = slices().values()
    # Of 1 to n the q-th percentile by nearest rank is the rank itself.
    for percent in (50, 95, 99):
        expected = math.ceil(n * percent / 100)
        assert getattr(row, f"p{percent}_inference_time_ms") == expected
    assert (row.total_requests, row.successful_requests, row.failed_requests) == (n + 1, n, 1)
    assert row.avg_inference_time_ms == pytest.approx((n + 1) / 2)
    assert float(row.cost_usd) == pytest.approx(0.001 * (n + 1))
    assert sum(row.histogram["latency"].values()) == n
    assert row.histogram["inputs"] == [n + 1, n // 2 + 1]
    assert sum(row.histogram["classes"].values()) == n + 1


def test_a_day_ends_at_midnight_utc(host: Flask) -> None:
    add_models()
    table = current_ailydian.tables.InferenceLog.__table__
    edges = {"last": datetime(2026, 3, 1, 23, 59, 59, 999_999), "first": datetime(2026, 3, 2)}
    with current_ailydian.db.engine.begin() as connection:
        for name, moment in edges.items():
            row = {"id": name, "model_id": 1, "status": "success", "created_at": moment}
            connection.execute(table.insert(), {**row, "inference_time_ms": 5.0})
    roll()
    assert {day: row.total_requests for (_, day), row in slices().items()} == {
        date(2026, 3, 1): 1,
        date(2026, 3, 2): 1,
    }


def test_running_it_again_changes_nothing(host: Flask) -> None:
    add_models()
    add_rows([1.0, 2.0, 3.0])
    add_rows([4.0], day=1, model=2)
    roll()
    before = slices()
    assert {x.state for x in roll(0)} == {"written"}
    assert slices() == before and len(before) == 2


def test_late_rows_are_counted_even_in_a_final_day(host: Flask) -> None:
    add_models()
    add_rows([1.0, 2.0])
    roll()
    assert [row.finalised for row in slices().values()] == [True]
    add_rows([9.0, 9.0, 9.0])
    roll(0)
    (row,) = slices().values()
    assert (row.total_requests, row.p50_inference_time_ms) == (5, 9.0)


def test_a_day_is_not_final_at_once(host: Flask) -> None:
    add_models()
    add_rows([1.0])
    roll(0, now=FIRST + timedelta(hours=30))
    assert [row.finalised for row in slices().values()] == [False]


def test_a_slice_never_shrinks_by_accident(host: Flask) -> None:
    add_models()
    add_rows([float(i) for i in range(10)])
    roll()
    table = current_ailydian.tables.InferenceLog.__table__
    with current_ailydian.db.engine.begin() as connection:
        connection.execute(table.delete().where(table.c.inference_time_ms > 3))
    assert [(x.state, x.total_requests) for x in roll(0)] == [("kept", 4)]
    assert [row.total_requests for row in slices().values()] == [10]
    assert [x.state for x in roll(0, shrink=True)] == ["written"]
    assert [row.total_requests for row in slices().values()] == [4]


def test_a_day_whose_rows_are_gone_keeps_its_slice(host: Flask) -> None:
    add_models()
    add_rows([1.0])
    roll()
    table = current_ailydian.tables.InferenceLog.__table__
    with current_ailydian.db.engine.begin() as connection:
        connection.execute(table.delete())
    assert roll(0) == [] and len(slices()) == 1


def test_only_what_is_due_is_looked_at(host: Flask) -> None:
    add_models()
    for day in range(3):
        add_rows([1.0], day=day)
    moment = FIRST + timedelta(days=2, hours=12)
    assert {x.date.day for x in roll(now=moment)} == {1, 2, 3}
    # The first day is not final: two days have not passed since it ended.
    assert {x.date.day for x in roll(now=moment)} == {1, 2, 3}
    assert {x.date.day for x in roll(now=LATER)} == {1, 2, 3}
    assert roll(now=LATER) == []
    add_rows([1.0], day=10)
    assert {x.date.day for x in roll(now=LATER)} == {11}


def test_runs_at_the_same_time_agree(host: Flask) -> None:
    add_models()
    for day in range(4):
        add_rows([1.0, 2.0, 3.0], day=day)
    barrier, failed = threading.Barrier(4), []

    def run() -> None:
        with host.app_context():
            barrier.wait()
            try:
                current_ailydian.metrics.rollup.run(None, None, now=LATER)
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [row.total_requests for row in slices().values()] == [3] * 4


def test_accuracy_is_that_of_the_feedback(host: Flask) -> None:
    add_models()
    ids = add_rows([1.0] * 10)
    for i, id in enumerate(ids[:4]):
        said = "cat" if i < 3 else "dog"
        table = current_ailydian.tables.Feedback.__table__
        with current_ailydian.db.engine.begin() as connection:
            row = {"id": id, "label": said, "correct": i < 3, "created_at": LATER}
            connection.execute(table.insert(), row)
    roll()
    (row,) = slices().values()
    assert (row.accuracy, row.labelled_requests) == (0.75, 4)


def test_days_are_read_over_http(host: Flask) -> None:
    add_models()
    rng = np.random.default_rng(3)
    everything = []
    for day in range(3):
        values = list(map(float, rng.lognormal(3, 1, 400)))
        everything += values
        add_rows(values, day=day)
    add_rows([5.0], model=2)
    roll()
    client = host.test_client()
    found = client.get(URL, query_string={"model": "m1", "from": "2026-03-01", "to": "2026-03-31"})
    body = found.json
    assert [day["date"] for day in body["days"]] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    (summary,) = body["summary"]
    assert summary["total_requests"] == 1200
    exact = sorted(everything)[math.ceil(0.95 * 1200) - 1]
    assert summary["p95_inference_time_ms"] == pytest.approx(exact, rel=0.0101)
    assert body["days"][0]["p95_inference_time_ms"] == sorted(everything[:400])[379]
    assert client.get(URL).json["days"] == []
    wrong = client.get(URL, query_string={"from": "2026-03-02", "to": "2026-03-01"})
    assert wrong.status_code == 422 and "from" in wrong.json["fields"]
    assert client.get(URL, query_string={"from": "yesterday"}).status_code == 422


def test_the_command(host: Flask) -> None:
    add_models()
    add_rows([1.0, 2.0])
    runner = host.test_cli_runner()
    assert "1 slices written" in runner.invoke(args=["ailydian", "metrics", "rollup"]).output
    table = current_ailydian.tables.InferenceLog.__table__
    with current_ailydian.db.engine.begin() as connection:
        connection.execute(table.delete().where(table.c.inference_time_ms > 1))
    days = ("--from", "2026-03-01", "--to", "2026-03-01")
    said = runner.invoke(args=["ailydian", "metrics", "rollup", *days]).output
    assert "kept as it was" in said
    said = runner.invoke(args=["ailydian", "metrics", "rollup", *days, "--json"]).output
    assert json.loads(said)["kept"] == [{"model_id": 1, "date": "2026-03-01"}]
    said = runner.invoke(args=["ailydian", "metrics", "rollup", *days, "--shrink"]).output
    assert "1 slices written" in said
    assert runner.invoke(args=["ailydian", "metrics", "rollup", "--from", "x"]).exit_code == 2


# Histograms


def test_percentiles_of_a_histogram_are_right_to_one_per_cent() -> None:
    values = np.random.default_rng(8).lognormal(2, 2, 10_000)
    counted = histogram.of(values)
    for q in (0.01, 0.5, 0.95, 0.999):
        exact = np.sort(values)[math.ceil(q * len(values)) - 1]
        assert histogram.quantile(counted, q) == pytest.approx(exact, rel=0.0101)


def test_histograms_add_up() -> None:
    values = np.random.default_rng(9).lognormal(2, 2, 4000)
    parts = [histogram.of(part) for part in np.array_split(values, 7)]
    assert histogram.merged([*parts, None]) == histogram.of(values)


def test_nothing_has_no_percentiles() -> None:
    assert histogram.quantile({}, 0.5) is None
    assert histogram.of([]) == {}
    assert histogram.quantile(histogram.of([0.0]), 0.5) == pytest.approx(0.001, rel=0.02)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_today_is_counted_from_the_rows_themselves(kind: str, tmp_path: Path) -> None:
    moment = datetime(2026, 3, 1, 15)
    with database(kind, tmp_path) as url:
        app = make_host(tmp_path, database=url)
        with app.app_context():
            state = current_ailydian
            nothing = today.read(state.audit.database, state.tables, moment)
            assert (nothing["requests"], nothing["failed"], nothing["p95_ms"]) == (0, 0, None)
            assert nothing["rolled_up_at"] is None
            add_models()
            add_rows([7.0] * 5, day=-1)
            add_rows([*map(float, range(1, 101)), None])
            roll(0)
            found = today.read(state.audit.database, state.tables, moment)
        assert (found["date"], found["requests"], found["failed"]) == ("2026-03-01", 101, 1)
        assert [found[f"p{percent}_ms"] for percent in (50, 95, 99)] == [50.0, 95.0, 99.0]
        assert found["rolled_up_at"] == LATER.isoformat() + "Z"
        answer = app.test_client().get("/api/pytorch/metrics/today")
        assert (answer.status_code, answer.json["requests"]) == (200, 0)
        dispose(app)
