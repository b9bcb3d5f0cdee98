from __future__ import annotations

import typing as t

from flask import Flask
from flask.testing import FlaskClient

URL = "/api/pytorch/health"


def test_alive_needs_neither_database_nor_model(make_app: t.Callable[..., Flask]) -> None:
    response = make_app(create=False).test_client().get(URL)
    assert (response.status_code, response.json["status"]) == (200, "alive")


def test_ready_when_everything_is_there(client: FlaskClient) -> None:
    response = client.get(f"{URL}/ready")
    assert (response.status_code, response.json["status"]) == (200, "ready")
    assert set(response.json["checks"]) == {"database", "models", "engine", "process"}


def test_no_model_is_not_ready(make_app: t.Callable[..., Flask]) -> None:
    response = make_app().test_client().get(f"{URL}/ready")
    assert (response.status_code, response.json["checks"]["models"]["ok"]) == (503, False)


def test_no_tables_is_not_ready(make_app: t.Callable[..., Flask]) -> None:
    response = make_app(create=False).test_client().get(f"{URL}/ready")
    assert (response.status_code, response.json["checks"]["database"]["ok"]) == (503, False)
    assert "sqlite" not in response.text


def test_no_database_is_not_ready(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(database="sqlite:////nonexistent/folder/x.db", create=False)
    response = app.test_client().get(f"{URL}/ready")
    assert response.status_code == 503
    assert "nonexistent" not in response.text


def test_a_draining_process_is_not_ready(app: Flask, client: FlaskClient) -> None:
    app.extensions["ailydian"].lifecycle.drain()
    response = client.get(f"{URL}/ready")
    assert (response.status_code, response.json["checks"]["process"]["ok"]) == (503, False)
    assert client.get(URL).status_code == 200
