"""`GET /metrics` in one process."""

from __future__ import annotations

import subprocess
import sys
import typing as t

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded

from flask_ailydian.clock import now
from flask_ailydian.errors import NotFound
from flask_ailydian.metrics import prometheus
from flask_ailydian.metrics.gauges import Lately

parser = pytest.importorskip("prometheus_client.parser", reason="needs the extra prometheus")

BODY = {"model_name": "shapes", "image": data_uri(encoded())}
URL = "/api/pytorch"


def samples(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Return what a scrape holds, by name and labels; it must parse."""
    response = client.get(f"{URL}/metrics")
    assert response.status_code == 200 and response.mimetype == "text/plain"
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_outcome(app: Flask, client: FlaskClient) -> None:
    for _ in range(3):
        client.post(f"{URL}/inference", json=BODY)
    client.post(f"{URL}/inference", json={**BODY, "image": data_uri(b"nothing")})
    client.post(f"{URL}/inference", json={**BODY, "model_name": "somebody-s-text"})
    (file,) = app.extensions["ailydian"].registry.folder.iterdir()
    app.extensions["ailydian"].serving.pool.clear()
    file.write_bytes(b"broken")
    client.post(f"{URL}/inference", json=BODY)
    found = samples(client)
    total = "ailydian_inference_requests_total"
    assert found[total, "shapes", "success", "v1"] == 3
    assert found[total, "rejected", "shapes", "v1"] == 1
    assert found[total, "failed", "shapes", "v1"] == 1
    assert found[total, "", "", "rejected"] == 1
    assert "somebody-s-text" not in client.get(f"{URL}/metrics").text
    count = "ailydian_inference_duration_seconds_count"
    assert found[count, "inference", "shapes", "v1"] == 3
    assert found[count, "shapes", "total", "v1"] == 5
    assert found["ailydian_model_ready", "shapes", "v1"] == 0


def test_lost_records_are_counted(app: Flask, client: FlaskClient) -> None:
    assert samples(client)[("ailydian_audit_write_failures_total",)] == 0
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE pytorch_inference_logs"))
    assert client.post(f"{URL}/inference", json=BODY).status_code == 503
    found = samples(client)
    assert found[("ailydian_audit_write_failures_total",)] == 1
    assert found["ailydian_inference_requests_total", "failed", "shapes", "v1"] == 1


def test_two_apps_in_a_process_are_two(make_app: t.Any, app: Flask) -> None:
    other = make_app()
    app.test_client().post(f"{URL}/inference", json=BODY)
    name = "ailydian_inference_requests_total"
    assert samples(app.test_client())[name, "shapes", "success", "v1"] == 1
    assert not [key for key in samples(other.test_client()) if key[0] == name]


def test_a_database_that_is_away_does_not_take_the_counters_with_it(
    app: Flask, client: FlaskClient
) -> None:
    client.post(f"{URL}/inference", json=BODY)
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE pytorch_ab_exposures"))
        connection.execute(sa.text("DROP TABLE pytorch_ab_phases"))
        connection.execute(sa.text("DROP TABLE pytorch_ab_shadows"))
        connection.execute(sa.text("DROP TABLE pytorch_inference_logs"))
        connection.execute(sa.text("DROP TABLE pytorch_ab_tests"))
    assert samples(client)["ailydian_inference_requests_total", "shapes", "success", "v1"] == 1


def test_a_running_test_is_shown(app: Flask, client: FlaskClient) -> None:
    gate = app.extensions["test_ailydian"].gate
    gate.may(lambda actor, action: True)
    with app.app_context():
        state = app.extensions["ailydian"]
        state.experiments.create("paid", "backend:onnx", "backend:3rdparty")
        choice = state.experiments.choose("query", user_id=None, request_id="q")
        state.experiments.record(choice, "q", latency_ms=12.0, failed=False)
    found = samples(client)
    assert found["ailydian_ab_test_requests", choice.name, "paid"] == 1
    assert found["ailydian_ab_test_latency_ms", choice.name, "paid"] == 12
    assert found["ailydian_ab_test_winner", "a", "paid"] == 0


def test_the_host_s_gate_can_close_it(make_app: t.Any) -> None:
    app = make_app(AILYDIAN_METRICS_OPEN=False)
    client = app.test_client()
    assert client.get(f"{URL}/metrics").status_code == 401
    gate = app.extensions["test_ailydian"].gate
    gate.actor(lambda: "prometheus")
    gate.may(lambda actor, action: actor == "prometheus" and action == "read")
    assert client.get(f"{URL}/metrics").status_code == 200


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "installed", lambda: False)
    with pytest.raises(NotFound, match=r"flask-ailydian\[prometheus\]"):
        prometheus.Prometheus().render()


def test_importing_the_package_does_not_import_the_client() -> None:
    code = "import sys, flask_ailydian; assert 'prometheus_client' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_costs_is_asked_for_lately_and_not_again() -> None:
    asked: list[int] = []
    lately = Lately(lambda: asked.append(1) or [((), 2.0)])  # type: ignore[func-returns-value]
    assert lately() == lately() == [((), 2.0)] and len(asked) == 1


def test_the_day_s_budget_is_shown_where_there_is_one(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_BUDGET_DAY=0.5)
    budgets = app.extensions["ailydian"].router.third_party.budgets
    moment = now()
    with app.app_context():
        scope = f"day:{moment.date().isoformat()}"
        budgets.reserve({scope: 500_000_000}, 125_000_000, moment)
    text = app.test_client().get(f"{URL}/metrics").text
    assert 'ailydian_budget_used_ratio{budget="day"} 0.25' in text
    without = make_app().test_client().get(f"{URL}/metrics").text
    assert 'budget="day"' not in without
