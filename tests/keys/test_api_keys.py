"""Keys for machines: what they open, and for how long."""

from __future__ import annotations

import hashlib
import json
import time
import typing as t
from datetime import timedelta
from pathlib import Path

import onnx_models
import pytest
import sqlalchemy as sa
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from pictures import data_uri
from pictures import encoded
from servers import serve

from flask_ailydian import current_ailydian
from flask_ailydian.registration import Declared

HEALTHY = {"model_name": "shapes", "image": data_uri(encoded())}
MODEL = "/api/pytorch/models/shapes/v1"


@pytest.fixture(params=["sqlite", "postgresql"])
def keyed(
    request: pytest.FixtureRequest, tmp_path: Path, make_app: t.Callable[..., Flask]
) -> t.Iterator[Flask]:
    """A host that lets keys in, and of its own callers only `boss`."""
    with database(request.param, tmp_path) as url:
        app = make_app(database=url, AILYDIAN_API_KEYS=True)
        gate = app.extensions["test_ailydian"].gate
        gate.actor(lambda: None)
        gate.may(lambda actor, action: False)
        with app.app_context():
            declared = Declared(labels=["a", "b", "c"], mean=(0.5,) * 3, std=(0.5,) * 3)
            current_ailydian.registry.register(
                onnx_models.classifier(labels=3, size=8), "shapes", "v1", declared, activate=True
            )
        yield app
        with app.app_context():
            current_ailydian.api_keys.settle()
            current_ailydian.audit.close()
            app.extensions["sqlalchemy"].engine.dispose()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def create(app: Flask, *args: t.Any, **kwargs: t.Any) -> str:
    with app.app_context():
        return current_ailydian.api_keys.create(*args, **kwargs)


def events(app: Flask) -> list[tuple[str, t.Any]]:
    with app.app_context():
        state = current_ailydian
        table = state.tables.AuditEvent.__table__
        with state.db.engine.connect() as connection:
            rows = connection.execute(table.select().order_by(table.c.id)).all()
        return [(row.kind, state.audit.detail(row)) for row in rows]


def test_a_key_opens_what_it_may_and_no_more(keyed: Flask) -> None:
    client = keyed.test_client()
    assert client.post("/api/pytorch/inference", json=HEALTHY).status_code == 401
    key = create(keyed, "viewer", ("infer", "read"))
    assert key.startswith("ail_") and len(key) == 47
    ask = client.post("/api/pytorch/inference", json=HEALTHY, headers=bearer(key))
    assert ask.status_code == 200, ask.text
    assert client.get(MODEL, headers=bearer(key)).status_code == 200
    refused = client.patch(MODEL, json={"description": "x"}, headers=bearer(key))
    assert (refused.status_code, refused.json["error"]) == (403, "forbidden")
    boss = create(keyed, "boss", ("manage",))
    assert client.patch(MODEL, json={"description": "x"}, headers=bearer(boss)).status_code == 200
    assert client.get(MODEL, headers=bearer(boss)).status_code == 403


@pytest.mark.parametrize(
    "sent", ["ail_", "ail_" + "x" * 43, "ail_\u00e9", "ail_" + "y" * 100_000], ids=str.__len__
)
def test_a_wrong_key_is_a_401_and_on_record(keyed: Flask, sent: str) -> None:
    headers = {"Authorization": f"Bearer {sent}".encode().decode("latin-1")}
    wrong = keyed.test_client().post("/api/pytorch/inference", json=HEALTHY, headers=headers)
    assert (wrong.status_code, wrong.json["error"]) == (401, "unauthenticated")
    assert wrong.headers["WWW-Authenticate"] == "Bearer"
    refused = [detail for kind, detail in events(keyed) if kind == "access_refused"]
    assert [detail["key"] for detail in refused] == ["unknown"]
    assert sent[4:] == "" or sent not in json.dumps(refused)


def test_a_key_in_the_query_is_no_key(keyed: Flask) -> None:
    key = create(keyed, "viewer")
    for name in ("key", "api_key", "access_token", "Authorization"):
        answer = keyed.test_client().post(f"/api/pytorch/inference?{name}={key}", json=HEALTHY)
        assert answer.status_code == 401


def test_a_revoked_and_an_expired_key_are_not_good(keyed: Flask) -> None:
    client = keyed.test_client()
    key = create(keyed, "viewer")
    brief = create(keyed, "brief", expires_in=timedelta(milliseconds=1))
    time.sleep(0.01)
    with keyed.app_context():
        current_ailydian.api_keys.revoke("viewer")
    for sent in (key, brief):
        answer = client.post("/api/pytorch/inference", json=HEALTHY, headers=bearer(sent))
        assert answer.status_code == 401
    kinds = events(keyed)
    assert [detail["key"] for kind, detail in kinds if kind == "access_refused"] == [
        "revoked",
        "expired",
    ]
    assert ["viewer"] == [detail["key"] for kind, detail in kinds if kind == "key_revoked"]
    assert {"viewer", "brief"} == {detail["key"] for kind, detail in kinds if kind == "key_created"}


def test_the_answer_is_recorded_as_the_key_s(keyed: Flask) -> None:
    key = create(keyed, "viewer")
    answer = keyed.test_client().post("/api/pytorch/inference", json=HEALTHY, headers=bearer(key))
    with keyed.app_context():
        state = current_ailydian
        table = state.tables.AuditEvent.__table__
        with state.db.engine.connect() as connection:
            row = connection.execute(table.select().where(table.c.id == answer.json["id"])).one()
        assert row.actor_ref == state.audit.subjects.of("key:viewer").ref


def test_only_a_digest_is_stored_and_the_last_use_once_a_minute(keyed: Flask) -> None:
    client = keyed.test_client()
    key = create(keyed, "viewer")
    for _ in range(3):
        client.post("/api/pytorch/inference", json=HEALTHY, headers=bearer(key))
    with keyed.app_context():
        current_ailydian.api_keys.settle()
        table = current_ailydian.tables.ApiKey.__table__
        with current_ailydian.db.engine.connect() as connection:
            row = connection.execute(table.select()).one()
        assert row.digest == hashlib.sha256(key.encode()).hexdigest()
        assert row.prefix == key[:8] and key not in repr(row)
        assert row.last_used_at is not None and row.actions == "infer"
        assert repr(current_ailydian.api_keys.all()).count(row.digest) == 0
        for _ in range(3):
            client.post("/api/pytorch/inference", json=HEALTHY, headers=bearer(key))
        current_ailydian.api_keys.settle()
        with current_ailydian.db.engine.connect() as connection:
            assert connection.execute(table.select()).one().last_used_at == row.last_used_at


def test_the_host_reads_tokens_that_are_not_ours(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_API_KEYS=True)
    client = app.test_client()
    headers = bearer("the-host-s-own")
    # Nobody could make sense of it: it is not taken for an open door.
    assert (
        client.post("/api/pytorch/route", json={"query": "x"}, headers=headers).status_code == 401
    )
    app.extensions["test_ailydian"].gate.actor(lambda: "somebody")
    assert (
        client.post("/api/pytorch/route", json={"query": "x"}, headers=headers).status_code == 200
    )


def test_without_the_setting_a_key_means_nothing(make_app: t.Callable[..., Flask]) -> None:
    app = make_app()
    key = create(app, "viewer", ("infer", "read", "manage"))
    answer = app.test_client().get("/api/pytorch/audit/logs", headers=bearer(key))
    assert answer.status_code == 401 and "WWW-Authenticate" not in answer.headers
    assert app.test_client().get("/api/pytorch/models", headers=bearer("ail_x")).status_code == 200


def test_two_apps_with_one_extension_have_keys_each(tmp_path: Path) -> None:
    apps = []
    for name, on in (("one", True), ("two", False)):
        folder = tmp_path / name
        folder.mkdir()
        apps.append(make_host(folder, AILYDIAN_API_KEYS=on))
    for app, status in zip(apps, (401, 200), strict=True):
        answer = app.test_client().get("/api/pytorch/models", headers=bearer("ail_x"))
        assert answer.status_code == status
        dispose(app)


def test_keys_that_cannot_be_read_let_nobody_in(keyed: Flask) -> None:
    key = create(keyed, "viewer")
    with keyed.app_context():
        table = current_ailydian.tables.ApiKey.__table__
        with current_ailydian.db.engine.begin() as connection:
            connection.execute(sa.schema.DropTable(table))
    answer = keyed.test_client().post("/api/pytorch/inference", json=HEALTHY, headers=bearer(key))
    assert (answer.status_code, answer.json["error"]) == (503, "backend_unavailable")


def test_the_commands_make_list_and_revoke(keyed: Flask) -> None:
    run = keyed.test_cli_runner().invoke
    made = json.loads(
        run(args="ailydian key create ci --may infer --may read --days 3 --json".split()).stdout
    )
    client = keyed.test_client()
    assert client.get("/api/pytorch/models", headers=bearer(made["key"])).status_code == 200
    again = run(args=["ailydian", "key", "create", "ci"])
    assert again.exit_code == 1 and "names are given once" in again.output
    assert run(args=["ailydian", "key", "create", "no name"]).exit_code == 1
    listed = run(args=["ailydian", "key", "list"]).output
    assert made["key"][:8] in listed and made["key"] not in listed and "infer,read" in listed
    assert run(args=["ailydian", "key", "revoke", "ci"]).exit_code == 0
    assert "already" in run(args=["ailydian", "key", "revoke", "ci"]).output
    assert "no key 'x'" in run(args=["ailydian", "key", "revoke", "x"]).output
    shown = json.loads(run(args=["ailydian", "key", "list", "--json"]).output)
    assert [(key["name"], key["state"]) for key in shown] == [("ci", "revoked")]
    assert client.get("/api/pytorch/models", headers=bearer(made["key"])).status_code == 401


def test_every_worker_knows_of_a_revoked_key_within_a_second(tmp_path: Path) -> None:
    config = {"AILYDIAN_API_KEYS": True}
    with database("postgresql", tmp_path) as url:
        config["database"] = url
        with serve(tmp_path / "host", "--workers", "2", "--threads", "2", **config) as server:
            app = make_host(tmp_path / "host", **config)
            key = create(app, "ci", ("read",))
            end = time.monotonic() + 5
            while time.monotonic() < end:
                if server.ask("GET", "/api/pytorch/models", **bearer(key))[0] == 200:
                    break
            for _ in range(20):
                assert server.ask("GET", "/api/pytorch/models", **bearer(key))[0] == 200
            with app.app_context():
                current_ailydian.api_keys.revoke("ci")
            time.sleep(1)
            for _ in range(20):
                assert server.ask("GET", "/api/pytorch/models", **bearer(key))[0] == 401
            dispose(app)
