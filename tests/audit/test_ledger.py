"""Rows, claims and signals."""

from __future__ import annotations

import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from pictures import data_uri
from pictures import encoded

from flask_ailydian import signals
from flask_ailydian.audit.claims import Claim
from flask_ailydian.audit.fingerprint import Fingerprint
from flask_ailydian.errors import Conflict
from flask_ailydian.errors import ValidationFailed

URL = "/api/pytorch/inference"
BODY = {"model_name": "shapes", "image": data_uri(encoded())}


@pytest.fixture
def ledger(app: Flask) -> t.Iterator[t.Any]:
    with app.app_context():
        yield app.extensions["ailydian"].audit


def rows(app: Flask) -> int:
    with app.app_context(), app.extensions["sqlalchemy"].engine.connect() as connection:
        count = connection.execute(sa.text("SELECT count(*) FROM pytorch_inference_logs"))
        return int(count.scalar_one())


def test_a_key_is_claimed_once_and_then_remembered(ledger: t.Any) -> None:
    claim = ledger.claim("k", "r")
    assert isinstance(claim, Claim)
    with pytest.raises(Conflict):
        ledger.claim("k", "r")
    ledger.release(claim)
    assert isinstance(ledger.claim("k", "r"), Claim)


def test_a_claim_of_a_killed_worker_is_taken_over(app: Flask, ledger: t.Any) -> None:
    first = ledger.claim("k", "r")
    keys = app.extensions["ailydian"].tables.IdempotencyKey.__table__
    with app.extensions["sqlalchemy"].engine.begin() as connection:
        old = connection.execute(sa.select(keys.c.created_at)).scalar_one()
        connection.execute(keys.update().values(created_at=old - timedelta(seconds=61)))
    second = ledger.claim("k", "r")
    assert isinstance(second, Claim) and second.token != first.token


def test_after_a_day_a_key_is_new(app: Flask, ledger: t.Any) -> None:
    keys = app.extensions["ailydian"].tables.IdempotencyKey.__table__
    ledger.claim("k", "r")
    with app.extensions["sqlalchemy"].engine.begin() as connection:
        old = connection.execute(sa.select(keys.c.created_at)).scalar_one()
        values = {"created_at": old - timedelta(hours=25), "status": 200, "body": "{}"}
        connection.execute(keys.update().values(values))
    assert isinstance(ledger.claim("k", "other"), Claim)


def test_a_key_belongs_to_its_request(ledger: t.Any) -> None:
    ledger.claim("k", "r")
    with pytest.raises(ValidationFailed):
        ledger.claim("k", "other")


def test_requests_that_race_with_one_key_leave_one_row(app: Flask) -> None:
    barrier, answers = threading.Barrier(6), []

    def ask() -> None:
        client = app.test_client()
        barrier.wait()
        answers.append(client.post(URL, json=BODY, headers={"Idempotency-Key": "race"}))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {r.status_code for r in answers} <= {200, 409}
    good = [r for r in answers if r.status_code == 200]
    assert good and len({r.json["id"] for r in good}) == 1
    assert rows(app) == 1


def test_a_server_s_failure_is_not_remembered(app: Flask, client: FlaskClient) -> None:
    (file,) = app.extensions["ailydian"].registry.folder.iterdir()
    app.extensions["ailydian"].serving.pool.clear()
    whole = file.read_bytes()
    file.write_bytes(b"broken")
    headers = {"Idempotency-Key": "k"}
    assert client.post(URL, json=BODY, headers=headers).status_code == 503
    file.write_bytes(whole)
    assert client.post(URL, json=BODY, headers=headers).status_code == 200


def test_what_the_host_rolls_back_stays_recorded(app: Flask) -> None:
    db = app.extensions["sqlalchemy"]
    with app.app_context():
        app.extensions["ailydian"].predict("shapes", image=encoded())
        db.session.rollback()
    assert rows(app) == 1


def test_signals_tell_of_answers_and_of_rows_that_were_not_written(
    app: Flask, client: FlaskClient
) -> None:
    heard: list[t.Any] = []

    def done(sender: t.Any, record: t.Any) -> None:
        heard.append((sender, record["status"]))

    def lost(sender: t.Any, error: t.Any) -> None:
        heard.append((sender, type(error).__name__))

    with signals.inference_done.connected_to(done), signals.audit_failed.connected_to(lost):
        client.post(URL, json=BODY)
        with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE pytorch_inference_logs"))
        client.post(URL, json=BODY)
    assert heard == [(app, "success"), (app, "OperationalError")]


def test_fingerprints_need_the_key(tmp_path: Path) -> None:
    one = Fingerprint("a key of sixteen and more", tmp_path / "1")
    other = Fingerprint("", tmp_path / "2")
    again = Fingerprint("", tmp_path / "2")
    assert one.of("text", b"x") != other.of("text", b"x") == again.of("text", b"x")
    assert one.of("text", b"x") != one.of("image", b"x")
    (file,) = (tmp_path / "2").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "1").exists()
