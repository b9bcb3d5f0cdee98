"""A host that never ran its migrations, or not all of them: told so, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import database
from flask import Flask
from flask.testing import FlaskClient
from hosts import dispose
from hosts import make_host
from pictures import data_uri
from pictures import encoded

from flask_ailydian.clock import new_id
from flask_ailydian.web.blueprint import Route
from flask_ailydian.web.blueprint import ROUTES

PREFIX = "/api/pytorch"
REMEDY = "Run: flask ailydian revision, then flask db upgrade."
#: What is answered without a look at the database, or says in its own way that it is not ready.
WITHOUT = ("alive", "ready", "openapi", "docs", "docs_asset", "dashboard", "metrics", "route")
WITHOUT += ("oip_server", "oip_live", "oip_ready", "upload_model", "submit_job")
BODY = {"model_name": "m", "image": data_uri(encoded()), "query": "hello"}
BODIES = {
    "infer_batch": {"model_name": "m", "items": [{"image": data_uri(encoded())}]},
    "feedback": {"id": new_id(), "rating": 3},
    "create_ab_test": {"test_name": "t", "model_a": "a:v1", "model_b": "b:v1"},
    "split_ab_test": {"traffic_split_percent": 30},
    "change_model": {"description": "x"},
    "oip_infer": {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]},
}
BODIES["oip_infer_version"] = BODIES["oip_infer"]


def asked(client: FlaskClient, route: Route, headers: dict[str, str]) -> tuple[int, str]:
    path = route.path.replace("<id>", new_id())
    for name in ("<name>", "<version>", "<user_id>"):
        path = path.replace(name, "x")
    body = None if route.method in ("GET", "DELETE") else BODIES.get(route.endpoint, BODY)
    answer = client.open(PREFIX + path, method=route.method, json=body, headers=headers)
    return answer.status_code, answer.get_data(as_text=True)


def check(app: Flask) -> None:
    """Every route that needs the database says what to do, and no more than that."""
    client = app.test_client()
    for route in ROUTES:
        if route.endpoint in WITHOUT:
            continue
        for headers in ({}, {"Idempotency-Key": "k"}):
            status, said = asked(client, route, headers)
            assert status == 503 and REMEDY in said, (route.endpoint, said)
            assert '"error":"backend_unavailable"' in said
            assert not any(word in said for word in ("SELECT", "INSERT", "://", "Traceback"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_without_tables_every_route_names_the_remedy(tmp_path: Path, kind: str) -> None:
    with database(kind, tmp_path) as url:
        app = make_host(tmp_path, database=url, create=False)
        app.extensions["ailydian"].gate.may(lambda actor, action: True)
        check(app)
        with app.app_context():
            app.extensions["sqlalchemy"].create_all()
        assert app.test_client().get(f"{PREFIX}/models").status_code == 200
        dispose(app)


def test_a_column_of_a_later_version_is_named_too(tmp_path: Path) -> None:
    app = make_host(tmp_path)
    app.extensions["ailydian"].gate.may(lambda actor, action: True)
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE pytorch_models DROP COLUMN task"))
    answer = app.test_client().get(f"{PREFIX}/models")
    assert answer.json["detail"] == f"Table pytorch_models lacks task. {REMEDY}"
    assert answer.status_code == 503
    dispose(app)


def test_another_mistake_in_a_statement_stays_an_internal_error(tmp_path: Path) -> None:
    app = make_host(tmp_path)

    def may(actor: str | None, action: str) -> bool:
        with app.extensions["sqlalchemy"].engine.connect() as connection:
            connection.execute(sa.text("SELECT * FROM the_hosts_own"))
        return True

    app.extensions["ailydian"].gate.may(may)
    answer = app.test_client().get(f"{PREFIX}/models")
    assert (answer.status_code, answer.json["error"]) == (500, "internal_error")
    assert "the_hosts_own" not in answer.get_data(as_text=True)
    dispose(app)
