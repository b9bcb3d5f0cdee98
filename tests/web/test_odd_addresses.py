"""Addresses and queries that nobody means: each gets a 4xx of the one shape, on every database."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from databases import database
from flask import Flask
from flask.testing import FlaskClient

PREFIX = "/api/pytorch"


@pytest.fixture(params=["sqlite", "postgresql"])
def asking(
    request: pytest.FixtureRequest, tmp_path: Path, make_app: t.Callable[..., Flask]
) -> t.Iterator[FlaskClient]:
    with database(request.param, tmp_path) as url:
        app = make_app(database=url)
        app.extensions["ailydian"].gate.may(lambda actor, action: True)
        yield app.test_client()
        with app.app_context():
            app.extensions["ailydian"].audit.close()
            app.extensions["sqlalchemy"].engine.dispose()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/models/%00", 404, "not_found"),
        ("GET", "/models/a/%00", 404, "not_found"),
        ("PATCH", "/models/a/%00", 404, "not_found"),
        ("DELETE", "/models/a/%00", 404, "not_found"),
        ("GET", "/ab-tests/%00", 404, "not_found"),
        ("POST", "/ab-tests/%00/stop", 404, "not_found"),
        ("GET", "/jobs/%00", 404, "not_found"),
        ("GET", "/privacy/users/%00/export", 404, "not_found"),
        ("DELETE", "/privacy/users/a%00", 404, "not_found"),
        ("GET", "/v2/models/%00", 404, "not_found"),
        ("GET", "/audit/logs?kind=%00", 422, "validation_failed"),
        ("GET", "/audit/logs?user_id=%00", 422, "validation_failed"),
        ("GET", "/metrics/daily?model=%00", 422, "validation_failed"),
        ("GET", "/metrics/daily?to=0001-01-01", 422, "validation_failed"),
        ("GET", "/metrics/daily?from=9999-12-31", 422, "validation_failed"),
        ("GET", "/costs?to=0001-01-01", 422, "validation_failed"),
        ("GET", "/costs?from=9999-12-01&to=9999-12-31", 422, "validation_failed"),
        ("TRACE", "/inference", 405, "method_not_allowed"),
        ("TRACE", "/nowhere", 404, "not_found"),
        ("PROPFIND", "/inference", 405, "method_not_allowed"),
        ("QUERY", "/nowhere", 404, "not_found"),
        ("NOSUCHMETHOD", "/query", 405, "method_not_allowed"),
    ],
)
def test_it_is_refused(asking: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    answer = asking.open(PREFIX + path, method=method)
    assert (answer.status_code, answer.json["error"]) == (status, code), answer.json
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    if status == 405:
        assert answer.headers["Allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    "command",
    [
        "costs --to 0001-01-01",
        "costs --from 9999-12-31 --to 9999-12-31",
        "metrics rollup --from 9999-12-31 --to 9999-12-31",
    ],
)
def test_a_day_outside_the_calendar_is_a_mistake_on_the_command_line(
    app: Flask, command: str
) -> None:
    result = app.test_cli_runner().invoke(args=["ailydian", *command.split()])
    assert result.exit_code == 2 and "is not between" in result.output
