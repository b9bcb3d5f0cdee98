"""Drift: silent on what chance does, loud on what has moved, mute on a few rows."""

from __future__ import annotations

import typing as t
from datetime import date
from datetime import timedelta

import numpy as np
import pytest
from flask import Flask

from flask_ailydian import current_ailydian
from flask_ailydian.clock import now
from flask_ailydian.metrics import drift
from flask_ailydian.metrics import histogram

TODAY = date(2026, 6, 30)


def days(
    count: int = 60,
    *,
    per_day: int = 400,
    moved: t.Callable[[np.random.Generator, int], t.Any] | None = None,
    sure: float = 8.0,
    since: int = 7,
    cats: float = 0.7,
    last: int | None = None,
    repeated: float = 0.0,
) -> list[drift.Day]:
    """Days up to yesterday; what is given changes in the last *since* of them."""
    rng = np.random.default_rng(11)
    found = []
    for back in range(count, 0, -1):
        new = back <= since
        n = last if last is not None and back == 1 else rng.poisson(per_day)
        latency = moved(rng, n) if moved and new else rng.lognormal(3, 0.4, n)
        many = int(rng.binomial(n, cats if new else 0.7))
        found.append(
            drift.Day(
                date=TODAY - timedelta(days=back),
                requests=n,
                p95_ms=float(np.quantile(latency, 0.95)) if n else None,
                latency=histogram.of(latency),
                confidence=histogram.of(rng.beta(sure if new else 8.0, 2, n)),
                classes={"cat": many, "dog": n - many},
                inputs=(n, n - int(n * (repeated if new else 0))),
            )
        )
    return found


def alarms(found: list[drift.Day]) -> set[str]:
    return {x.name for x in drift.watch(found, TODAY, reference_days=14) if x.alarm}


def test_what_stays_as_it_was_raises_no_alarm() -> None:
    signals = drift.watch(days(), TODAY, reference_days=14)
    assert {x.name for x in signals} == {
        "confidence",
        "latency",
        "classes",
        "repeated_inputs",
        "volume",
        "latency_p95",
    }
    assert all(x.value is not None and not x.alarm for x in signals)


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        ({"sure": 3.0}, {"confidence"}),
        ({"moved": lambda rng, n: rng.lognormal(4, 0.4, n)}, {"latency", "latency_p95"}),
        ({"cats": 0.2}, {"classes"}),
        ({"repeated": 0.5}, {"repeated_inputs"}),
        ({"last": 4000}, {"volume"}),
        ({"last": 3}, {"volume"}),
    ],
)
def test_what_has_moved_is_told_by_name(change: dict[str, t.Any], alarm: set[str]) -> None:
    assert alarm <= alarms(days(**change))
    assert alarms(days(**change)) - alarm <= {"latency_p95"}


def test_a_few_rows_raise_no_alarm_whatever_they_hold() -> None:
    found = drift.watch(days(per_day=9, sure=1.0, cats=0.0), TODAY, reference_days=14)
    assert not any(x.alarm for x in found)
    assert {x.name for x in found if x.value is None} >= {"confidence", "classes"}


def test_chance_alone_is_deducted() -> None:
    rng = np.random.default_rng(2)
    found = [
        drift.psi(rng.multinomial(300, [0.1] * 10), rng.multinomial(300, [0.1] * 10))
        for _ in range(300)
    ]
    assert np.mean(found) < 0.02 and np.mean(np.array(found) > drift.PSI_LIMIT) < 0.01
    assert drift.psi([100, 100], [180, 20]) > drift.PSI_LIMIT


def test_today_is_not_over_and_left_out() -> None:
    found = days()
    today = drift.Day(TODAY, 1, None, {}, {}, {}, (0, 0))
    assert drift.watch([*found, today], TODAY, reference_days=14) == drift.watch(
        found, TODAY, reference_days=14
    )
    assert drift.watch([today], TODAY, reference_days=14) == []


def keep(found: list[drift.Day]) -> None:
    """Store days as the rollup does, so that the last of them was yesterday."""
    table = current_ailydian.tables.ModelMetric.__table__
    model = current_ailydian.registry.get("shapes", "v1").id
    shift = now().date() - TODAY
    rows = [
        {
            "model_id": model,
            "date": day.date + shift,
            "total_requests": day.requests,
            "successful_requests": day.requests,
            "failed_requests": 0,
            "p95_inference_time_ms": day.p95_ms,
            "histogram": {
                "latency": day.latency,
                "confidence": day.confidence,
                "classes": day.classes,
                "inputs": list(day.inputs),
            },
        }
        for day in found
    ]
    with current_ailydian.db.engine.begin() as connection:
        connection.execute(table.insert(), rows)


@pytest.fixture
def busy(make_app: t.Any) -> t.Callable[..., Flask]:
    def make(app: Flask, found: list[drift.Day]) -> Flask:
        with app.app_context():
            keep(found)
        return app

    return make


def test_drift_is_shown_by_every_door(app: Flask, busy: t.Any) -> None:
    busy(app, days(cats=0.2))
    client, runner = app.test_client(), app.test_cli_runner()
    signals = client.get("/api/pytorch/metrics/drift").json["signals"]
    assert {x["name"] for x in signals if x["alarm"]} == {"classes"}
    said = runner.invoke(args=["ailydian", "metrics", "drift"])
    assert said.exit_code == 1 and "ALARM" in said.output
    doctor = runner.invoke(args=["ailydian", "doctor"])
    assert doctor.exit_code == 1 and "shapes v1: classes" in doctor.output
    scraped = client.get("/api/pytorch/metrics").text
    line = next(x for x in scraped.splitlines() if 'signal="classes"' in x)
    assert line.startswith('ailydian_drift{model="shapes"') and float(line.split()[-1]) > 1


def test_a_model_that_nobody_asks_any_more_is_news(app: Flask, busy: t.Any) -> None:
    busy(app, days()[:-1])
    with app.app_context():
        assert not any(x["alarm"] for x in current_ailydian.metrics.drift())
        models = current_ailydian.tables.Model.__table__
        metric = current_ailydian.tables.ModelMetric.__table__
        with current_ailydian.db.engine.begin() as connection:
            other = {
                "model_name": "other",
                "model_version": "1",
                "model_type": "onnx",
                "domain": "civic",
                "task": "tensor",
                "deployment_status": "active",
            }
            key = connection.execute(models.insert(), other).inserted_primary_key[0]
            yesterday = {
                "model_id": key,
                "date": now().date() - timedelta(days=1),
                "total_requests": 5,
                "successful_requests": 5,
                "failed_requests": 0,
            }
            connection.execute(metric.insert(), yesterday)
        found = {(x["model"], x["name"]) for x in current_ailydian.metrics.drift() if x["alarm"]}
    assert found == {("shapes", "volume")}


def test_no_drift_is_no_alarm_by_any_door(app: Flask, busy: t.Any) -> None:
    busy(app, days())
    runner = app.test_cli_runner()
    assert runner.invoke(args=["ailydian", "metrics", "drift"]).exit_code == 0
    assert runner.invoke(args=["ailydian", "doctor"]).exit_code == 0


def test_the_capacity_is_watched_once_it_was_measured(make_app: t.Any) -> None:
    app = make_app(AILYDIAN_CAPACITY_PER_DAY=450)
    with app.app_context():
        assert current_ailydian.metrics.capacity() == {
            "requests_per_day": 0,
            "capacity_per_day": 450,
            "used": 0.0,
            "alarm": False,
        }
        table = current_ailydian.tables.Model.__table__
        metric = current_ailydian.tables.ModelMetric.__table__
        model = {
            "id": 1,
            "model_name": "m",
            "model_version": "1",
            "model_type": "onnx",
            "domain": "civic",
            "task": "tensor",
            "deployment_status": "active",
        }
        day = {
            "model_id": 1,
            "date": now().date() - timedelta(days=1),
            "total_requests": 400,
            "successful_requests": 400,
            "failed_requests": 0,
        }
        with current_ailydian.db.engine.begin() as connection:
            connection.execute(table.insert(), model)
            connection.execute(metric.insert(), day)
        assert current_ailydian.metrics.capacity()["alarm"]
    assert app.test_cli_runner().invoke(args=["ailydian", "metrics", "drift"]).exit_code == 1
