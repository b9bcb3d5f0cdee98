"""The trail and the rights of persons over HTTP and on the command line."""

from __future__ import annotations

import json
import typing as t

import onnx_models
import pytest
from audit.trails import events
from audit.trails import run
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded

from flask_ailydian.registration import Declared

PREFIX = "/api/pytorch"
BODY = {"model_name": "shapes", "image": data_uri(encoded())}


@pytest.fixture
def officer(app: Flask) -> FlaskClient:
    """Somebody who may do everything, on a host that says who calls."""
    gate = app.extensions["test_ailydian"].gate
    gate.actor(lambda: "officer")
    gate.may(lambda actor, action: True)
    return app.test_client()


@pytest.fixture
def command(app: Flask) -> t.Callable[..., t.Any]:
    runner = app.test_cli_runner()

    def call(*args: str, fails: bool = False) -> str:
        result = runner.invoke(args=["ailydian", *args])
        assert "Traceback" not in result.output
        assert (result.exit_code != 0) is fails, result.output
        return str(result.output)

    return call


def test_the_trail_is_read_over_http_and_that_is_on_record(
    app: Flask, officer: FlaskClient
) -> None:
    ids = [
        officer.post(f"{PREFIX}/inference", json={**BODY, "user_id": f"u{i}"}).json["id"]
        for i in range(3)
    ]
    page = officer.get(f"{PREFIX}/audit/logs?kind=inference&limit=2").json
    assert [e["id"] for e in page["events"]] == [ids[2], ids[1]]
    assert page["events"][0]["user_id"] == "u2" and page["events"][0]["actor"] == "officer"
    assert page["events"][0]["record"]["status"] == "success"
    rest = officer.get(f"{PREFIX}/audit/logs?kind=inference&limit=2&after={page['next']}").json
    assert ([e["id"] for e in rest["events"]], rest["next"]) == ([ids[0]], None)
    mine = officer.get(f"{PREFIX}/audit/logs?user_id=u1").json["events"]
    assert {e["kind"] for e in mine} == {"inference", "trail_read"}
    assert officer.get(f"{PREFIX}/audit/logs?from=2020-01-01T00:00:00").json["events"]
    assert officer.get(f"{PREFIX}/audit/logs?to=2020-01-01T00:00:00Z").json["events"] == []
    assert officer.get(f"{PREFIX}/audit/logs?user_id=nobody-yet").status_code == 200
    assert officer.get(f"{PREFIX}/audit/logs?limit=0").status_code == 422
    assert len(events(app, "trail_read")) == 6


def test_a_tampered_trail_is_named_over_http(app: Flask, officer: FlaskClient) -> None:
    id = officer.post(f"{PREFIX}/inference", json=BODY).json["id"]
    whole = officer.get(f"{PREFIX}/audit/verify").json
    assert whole["ok"] is True and whole["first_bad"] is None
    run(app, "UPDATE pytorch_inference_logs SET confidence = 0.99")
    broken = officer.get(f"{PREFIX}/audit/verify").json
    (event,) = [e for e in events(app) if e.id == id]
    assert broken["ok"] is False
    assert (broken["first_bad"]["chain_id"], broken["first_bad"]["seq"]) == (
        event.chain_id,
        event.seq,
    )


def test_a_person_is_exported_and_erased_over_http(app: Flask, officer: FlaskClient) -> None:
    officer.post(f"{PREFIX}/inference", json={**BODY, "user_id": "alice"})
    response = officer.get(f"{PREFIX}/privacy/users/alice/export")
    copy = json.loads(response.data)
    assert copy["inferences"][0]["result"]["prediction"]
    assert response.headers["Cache-Control"] == "no-store"
    erased = officer.delete(f"{PREFIX}/privacy/users/alice").json
    assert erased == {"success": True, "erased": True, "rows": 1}
    assert officer.get(f"{PREFIX}/privacy/users/alice/export").status_code == 404
    assert officer.delete(f"{PREFIX}/privacy/users/alice").json["erased"] is False
    assert officer.get(f"{PREFIX}/audit/verify").json["ok"] is True


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/audit/verify"),
        ("GET", "/audit/logs"),
        ("GET", "/privacy/users/u/export"),
        ("DELETE", "/privacy/users/u"),
    ],
)
def test_refused_access_is_on_record(
    app: Flask, client: FlaskClient, method: str, path: str
) -> None:
    assert client.open(PREFIX + path, method=method).status_code == 401
    (event,) = events(app, "access_refused")
    with app.app_context():
        detail = app.extensions["ailydian"].audit.detail(event)
    assert (detail["action"], detail["status"]) == ("manage", 401)


def test_a_refusal_stands_also_without_a_trail(app: Flask, client: FlaskClient) -> None:
    run(app, "DROP TABLE pytorch_audit_events")
    assert client.get(f"{PREFIX}/audit/logs").status_code == 401


def test_a_repeated_answer_about_an_erased_person_is_gone(app: Flask, officer: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {**BODY, "user_id": "alice"}
    first = officer.post(f"{PREFIX}/inference", json=body, headers=headers)
    assert officer.post(f"{PREFIX}/inference", json=body, headers=headers).json == first.json
    officer.delete(f"{PREFIX}/privacy/users/alice")
    gone = officer.post(f"{PREFIX}/inference", json=body, headers=headers)
    assert (gone.status_code, gone.json["error"]) == (409, "conflict")


def test_changes_of_the_registry_are_on_record(app: Flask) -> None:
    registry = app.extensions["ailydian"].registry
    with app.app_context():
        data = onnx_models.classifier(labels=2, size=8, seed=3)
        registry.register(data, "m", "1", Declared(domain="civic"), actor="officer")
        registry.update("m", "1", status="active")
        registry.update("m", "1", status="inactive")
        registry.update("m", "1", description="words")
        kinds = [e.kind for e in events(app) if e.kind.startswith("model_")]
    assert kinds[-4:] == ["model_registered", "model_activated", "model_retired", "model_changed"]


def test_the_commands_of_the_trail(app: Flask, client: FlaskClient, command: t.Any) -> None:
    id = client.post(f"{PREFIX}/inference", json={**BODY, "user_id": "alice"}).json["id"]
    assert "Whole:" in command("audit", "verify")
    command("audit", "checkpoint")
    assert json.loads(command("audit", "prove", id))["event"]["id"] == id
    assert "no event" in command("audit", "prove", "nothing", fails=True)
    assert len(command("audit", "public-key").split()[0]) == 64
    assert "is down" in command("audit", "guard", "status")
    assert "CREATE TRIGGER" in command("audit", "guard", "sql")
    assert "GRANT" in command("audit", "guard", "sql", "--role", "app")
    assert "stands" in command("audit", "guard", "install")
    assert "is down" in command("audit", "guard", "remove")
    assert "are wrapped under" in command("audit", "rotate-keys", "--fingerprints")
    assert json.loads(command("audit", "verify", "--json"))["ok"] is True
    assert "Whole: " in command("audit", "verify", "--incremental")
    run(app, "UPDATE pytorch_audit_events SET kind = 'other' WHERE id = :id", id=id)
    assert "Not whole: chain" in command("audit", "verify", fails=True)


def test_the_commands_of_the_rights(app: Flask, client: FlaskClient, command: t.Any) -> None:
    id = client.post(f"{PREFIX}/inference", json={**BODY, "user_id": "alice"}).json["id"]
    assert json.loads(command("privacy", "export", "alice"))["user_id"] == "alice"
    assert "Nothing is kept" in command("privacy", "export", "bob", fails=True)
    assert "Recorded as" in command("privacy", "correct", id, "It was a square.")
    assert "0 events" in command("privacy", "retain", "--dry-run")
    assert "183" in command("privacy", "retain", "--older-than", "5", fails=True)
    assert json.loads(command("privacy", "ropa"))[0]["domain"] == "civic"
    assert "1 inference rows" in command("privacy", "erase", "alice", "--yes")
    assert json.loads(command("privacy", "erase", "alice", "--json"))["erased"] is False


def test_the_doctor_looks_at_durability_keys_and_the_guard(command: t.Any) -> None:
    found = json.loads(command("doctor", "--json"))
    assert found["durability"]["ok"] and found["keys"]["ok"] and found["guard"]["ok"]
    assert "guard install" in found["guard"]["detail"]
