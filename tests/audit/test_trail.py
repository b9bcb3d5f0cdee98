"""What becomes an event, and what an event holds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import typing as t
import warnings
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit.trails import events
from audit.trails import run
from flask import Flask
from flask.testing import FlaskClient
from hosts import dispose
from hosts import make_host
from pictures import data_uri
from pictures import encoded

from flask_ailydian.audit import canonical
from flask_ailydian.audit.checkpoints import Checkpoint
from flask_ailydian.audit.checkpoints import of_line
from flask_ailydian.audit.policy import Policy
from flask_ailydian.errors import AuditUnavailable
from flask_ailydian.settings import Settings

URL = "/api/pytorch/inference"
BODY = {"model_name": "shapes", "image": data_uri(encoded())}


@pytest.fixture
def audit(app: Flask) -> t.Iterator[t.Any]:
    with app.app_context():
        yield app.extensions["ailydian"].audit


def test_a_note_is_on_disk_when_it_returns(app: Flask, audit: t.Any) -> None:
    id = audit.note("model_activated", actor="user-1", detail={"model": "m", "version": "2"})
    (event,) = [e for e in events(app) if e.id == id]
    assert event.kind == "model_activated"
    assert audit.detail(event) == {"model": "m", "version": "2"}
    assert audit.subjects.identity(event.actor_ref) == "user-1"


def test_no_identity_and_no_detail_stands_in_an_event_in_the_clear(
    app: Flask, audit: t.Any
) -> None:
    audit.note("egress_intent", actor="user-1", subject="patient-7", detail={"to": "somewhere"})
    seen = repr(events(app)) + repr(run_select(app, "SELECT * FROM pytorch_subjects"))
    for secret in ("user-1", "patient-7", "somewhere"):
        assert secret not in seen


def run_select(app: Flask, sql: str) -> list[t.Any]:
    with app.app_context(), app.extensions["sqlalchemy"].engine.connect() as connection:
        return list(connection.execute(sa.text(sql)))


def test_every_answer_and_every_failure_is_one_event(app: Flask, client: FlaskClient) -> None:
    good = client.post(URL, json={**BODY, "user_id": "patient-7"}).json
    bad = client.post(URL, json={"model_name": "nobody", "image": "x"}).json
    found = events(app, "inference")
    assert sorted(e.id for e in found) == sorted([good["id"], bad["id"]])
    assert {e.domain for e in found} == {"civic", None}


def test_links_follow_each_other_and_every_chain_begins_with_its_writer(
    app: Flask, client: FlaskClient
) -> None:
    for _ in range(3):
        client.post(URL, json=BODY)
    found = [e for e in events(app) if e.chain_id == events(app, "inference")[0].chain_id]
    assert [e.seq for e in found] == list(range(1, len(found) + 1))
    assert found[0].kind == "writer_started"
    head = canonical.first_hash(found[0].chain_id)
    for event in found:
        assert event.prev_hash == head
        head = event.row_hash


def test_the_writer_states_its_settings_and_no_secret(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_HASH_KEY="a key of sixteen and more", AILYDIAN_AUDIT_QUEUE=99)
    with app.app_context():
        audit = app.extensions["ailydian"].audit
        audit.note("x")
        said = audit.detail(events(app, "writer_started")[0])
    assert said["AILYDIAN_AUDIT_QUEUE"] == "99"
    assert said["AILYDIAN_HASH_KEY"] == "(set)"


def test_work_is_done_together_with_the_event_or_not_at_all(app: Flask, audit: t.Any) -> None:
    insert = sa.text("INSERT INTO patient (name) VALUES ('x')")
    audit.note("added", work=lambda connection: connection.execute(insert))
    assert len(run_select(app, "SELECT * FROM patient")) == 1

    def fails(connection: t.Any) -> None:
        connection.execute(insert)
        raise KeyError("no")

    with pytest.raises(KeyError):
        audit.note("added", work=fails)
    assert len(run_select(app, "SELECT * FROM patient")) == 1
    assert len(events(app, "added")) == 1


def test_a_note_that_cannot_be_kept_is_refused_before_it_waits(app: Flask, audit: t.Any) -> None:
    for kind in ("a\0b", "\ud800", "x" * 33):
        with pytest.raises(AuditUnavailable):
            audit.note(kind)
    audit.note("fine")


def test_without_its_table_a_note_is_refused(app: Flask, audit: t.Any) -> None:
    audit.note("before")
    run(app, "DROP TABLE pytorch_audit_events")
    with pytest.raises(AuditUnavailable):
        audit.note("after")


def test_threads_that_write_at_once_are_all_on_disk_in_one_chain(app: Flask) -> None:
    audit = app.extensions["ailydian"].audit

    def work(number: int) -> None:
        with app.app_context():
            for i in range(20):
                audit.note("n", detail={"number": number, "i": i})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = events(app, "n")
    assert len(found) == 160
    assert len({e.chain_id for e in found}) == 1


def test_results_about_a_person_are_sealed_and_open_for_the_audit(
    app: Flask, client: FlaskClient, audit: t.Any
) -> None:
    answer = client.post(URL, json={**BODY, "user_id": "patient-7"}).json
    ((stored,),) = run_select(app, "SELECT result FROM pytorch_inference_logs")
    assert answer["prediction"] not in stored
    table = app.extensions["ailydian"].tables.InferenceLog.__table__
    with app.extensions["sqlalchemy"].engine.connect() as connection:
        row = connection.execute(table.select()).one()
    assert audit.result(row)["prediction"] == answer["prediction"]


@pytest.mark.parametrize("keep", ["off", "summary", "full"])
def test_what_is_kept_of_results_is_the_host_s_choice(
    keep: str,
) -> None:
    settings = Settings.from_config({"AILYDIAN_AUDIT_RESULT": ("medical=" + keep, "*=off")})
    policy = Policy.of(settings)
    full = {"prediction": "a", "probabilities": {"a": 1.0}}
    found = policy.result("medical", full)
    assert policy.result("civic", full) is None
    assert found == {"off": None, "summary": {"prediction": "a"}, "full": full}[keep]


def test_a_sensitive_input_is_fingerprinted_under_the_person_s_key(audit: t.Any) -> None:
    def of(user: str | None, domain: str) -> tuple[str, str]:
        return t.cast(tuple[str, str], audit.input_hash("image", b"x", user_id=user, domain=domain))

    assert of("a", "medical") == of("a", "legal") != of("b", "medical")
    assert of("a", "medical")[1] == "subject"
    assert of("a", "civic") == of("b", "civic") == of(None, "medical")


def test_a_replayed_answer_and_a_refused_key_are_events_without_a_row(
    app: Flask, client: FlaskClient, audit: t.Any
) -> None:
    headers = {"Idempotency-Key": "k"}
    id = client.post(URL, json=BODY, headers=headers).json["id"]
    client.post(URL, json=BODY, headers=headers)
    (event,) = events(app, "answer_replayed")
    assert audit.detail(event) == {"of": id, "status": 200}
    assert client.post(URL, json={**BODY, "top_k": 1}, headers=headers).status_code == 422
    assert client.post(URL, json=BODY, headers={"Idempotency-Key": "x" * 256}).status_code == 422
    said = [audit.detail(event) for event in events(app, "request_refused")]
    assert said == [{"error": "validation_failed", "status": 422}] * 2
    assert len(events(app, "inference")) == 1


def test_a_forked_child_writes_on_a_connection_and_in_a_chain_of_its_own(
    make_app: t.Callable[..., Flask],
) -> None:
    # No checkpoint may be under way while it forks: SQLite's locks do not survive that.
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0)
    with app.app_context():
        _fork_and_write(app, app.extensions["ailydian"].audit)


def _fork_and_write(app: Flask, audit: t.Any) -> None:
    audit.note("parent")
    with warnings.catch_warnings():
        # Newer Pythons warn of forking beside threads, which is what servers do.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            app.extensions["sqlalchemy"].engine.dispose(close=False)
            audit.note("child")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    audit.note("parent")
    (of_child,) = events(app, "child")
    one, other = events(app, "parent")
    assert one.chain_id == other.chain_id != of_child.chain_id
    assert (other.seq, of_child.seq) == (one.seq + 1, 2)


def test_a_process_that_ends_signs_where_its_chain_stands(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from hosts import make_host
app = make_host(pathlib.Path(sys.argv[1]), AILYDIAN_CHECKPOINT_SECONDS=3600.0)
with app.app_context():
    audit = app.extensions["ailydian"].audit
    audit.checkpoints.due = lambda: False
    audit.note("last words")
"""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent)])
    environment = os.environ | {"PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    (line,) = (tmp_path / "instance/ailydian/checkpoints.jsonl").read_text().splitlines()
    assert Checkpoint.of(of_line(line)[0]).heads[0].seq == 2


def test_importing_and_init_app_start_no_thread_and_write_nothing(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    app = make_host(tmp_path, create=False)
    assert set(threading.enumerate()) <= before
    assert not (tmp_path / "instance").exists()
    dispose(app)
