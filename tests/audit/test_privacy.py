"""Copies, erasures, corrections and the end of rows."""

from __future__ import annotations

import json
import sqlite3
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit.trails import answer
from audit.trails import events
from audit.trails import run
from audit.trails import SECRET
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host

from flask_ailydian.audit import canonical
from flask_ailydian.audit import guards
from flask_ailydian.audit.inspection import proven
from flask_ailydian.clock import new_id
from flask_ailydian.errors import NotFound
from flask_ailydian.errors import ValidationFailed

DAY_US = 86_400 * 10**6


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Flask]:
    with database(request.param, tmp_path) as url:
        app = make_host(tmp_path, database=url)
        with app.app_context():
            yield app
            app.extensions["ailydian"].audit.close()
        dispose(app)


def logs(app: Flask) -> list[t.Any]:
    table = app.extensions["ailydian"].tables.InferenceLog.__table__
    with app.extensions["sqlalchemy"].engine.connect() as connection:
        return list(connection.execute(table.select().order_by(table.c.id)))


def test_an_export_holds_everything_in_the_clear_and_is_on_record(host: Flask) -> None:
    state = host.extensions["ailydian"]
    id = answer(host, "alice")
    answer(host, "bob")
    state.audit.note("egress_intent", subject="alice", detail={"to": "elsewhere"})
    copy = json.loads("".join(state.privacy.export("alice", actor="officer")))
    assert copy["schema"] == "flask-ailydian/export/1"
    assert [(i["id"], i["result"]) for i in copy["inferences"]] == [(id, {"prediction": SECRET})]
    assert {e["kind"] for e in copy["events"]} == {"inference", "egress_intent", "export"}
    assert copy["recipients"] == ["elsewhere"]
    assert "bob" not in json.dumps(copy)
    (event,) = events(host, "export")
    assert state.audit.subjects.identity(event.actor_ref) == "officer"


def test_nothing_is_exported_about_nobody(host: Flask) -> None:
    with pytest.raises(NotFound):
        host.extensions["ailydian"].privacy.export("nobody")


def test_an_erasure_destroys_the_key_and_the_trail_stays_whole(host: Flask) -> None:
    state = host.extensions["ailydian"]
    answer(host, "alice")
    answer(host, "bob")
    hashed = logs(host)[0].input_hash
    assert state.privacy.erase("alice", actor="officer") == {"erased": True, "rows": 1}
    mine, other = logs(host)
    assert (mine.user_id, other.user_id) == (None, "bob")
    assert state.audit.result(mine) is None
    assert state.audit.result(other) == {"prediction": SECRET}
    assert state.audit.subjects.find("alice") is None
    again = state.audit.input_hash("image", b"x-ray", user_id="alice", domain="medical")
    assert again[0] != hashed
    (event,) = events(host, "erasure")
    assert state.audit.detail(event)["rows"] == 1
    assert "alice" not in repr(state.audit.detail(event))
    assert state.audit.inspection.verify().ok


def test_erasing_twice_does_no_harm_and_a_person_may_come_again(host: Flask) -> None:
    state = host.extensions["ailydian"]
    answer(host, "alice")
    state.privacy.erase("alice")
    assert state.privacy.erase("alice") == {"erased": False, "rows": 0}
    answer(host, "alice")
    copy = json.loads("".join(state.privacy.export("alice")))
    assert len(copy["inferences"]) == 1


def test_another_worker_that_still_has_the_key_at_hand_does_not_use_it(host: Flask) -> None:
    state = host.extensions["ailydian"]
    answer(host, "alice")
    old = state.audit.subjects.find("alice")
    cached = dict(state.audit.subjects._cache)
    state.privacy.erase("alice")
    state.audit.subjects._cache.update(cached)
    answer(host, "alice")
    new = state.audit.subjects.find("alice")
    assert new is not None and new != old
    assert [e.subject_ref for e in events(host, "inference")] == [old, new]


def test_other_rooms_are_asked_as_well(host: Flask) -> None:
    privacy = host.extensions["ailydian"].privacy
    asked = []
    privacy.exporters["letters"] = lambda connection, user_id, ref: [{"to": user_id}]
    privacy.erasers["letters"] = lambda connection, user_id, ref: asked.append(user_id) or 0
    answer(host, "alice")
    assert json.loads("".join(privacy.export("alice")))["letters"] == [{"to": "alice"}]
    privacy.erase("alice")
    assert asked == ["alice"]


def test_a_correction_is_appended_and_the_answer_stays(host: Flask) -> None:
    state = host.extensions["ailydian"]
    id = answer(host, "alice")
    before = logs(host)
    state.privacy.correct(id, "It was a cold.", actor="doctor")
    assert logs(host) == before
    (event,) = events(host, "correction")
    assert state.audit.detail(event) == {"of": id, "text": "It was a cold."}
    assert "cold" not in repr(event)
    with pytest.raises(NotFound):
        state.privacy.correct(new_id(), "x")
    with pytest.raises(ValidationFailed):
        state.privacy.correct(id, " ")


def test_old_rows_end_by_domain_and_the_trail_still_verifies(
    host: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = host.extensions["ailydian"]
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 200 * DAY_US * 1000)
    for i in range(6):
        answer(host, "alice", "medical" if i == 3 else "civic")
    monkeypatch.setattr(time, "time_ns", real)
    answer(host, "alice", "civic")
    planned = state.privacy.retain(dry_run=True)
    assert (planned.domains, len(logs(host))) == ({"civic": 5}, 7)
    done = state.privacy.retain(actor="officer")
    assert done.body() == planned.body()
    assert len(logs(host)) == 2
    report = state.audit.inspection.verify()
    assert report.ok, report.bad
    (event,) = events(host, "retention")
    assert state.audit.detail(event) == {"checkpoints": 0, "events": 5, "records": 5}
    assert state.privacy.retain().events == 0
    # What was taken away without a signed note is missed.
    run(host, "DELETE FROM pytorch_audit_purges")
    assert not state.audit.inspection.verify().ok


def test_what_hangs_on_an_answer_ends_with_it(host: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    state = host.extensions["ailydian"]
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 200 * DAY_US * 1000)
    old = [answer(host, "alice", "civic") for _ in range(2)]
    monkeypatch.setattr(time, "time_ns", real)
    young = answer(host, "alice", "civic")
    tests, values = state.tables.ABTest.__table__, {"test_name": "t", "status": "stopped"}
    split = {"traffic_split_percent": 50, "model_a_requests": 0, "model_b_requests": 0}
    exposure = {
        "phase": 1,
        "unit": "u",
        "arm": 0,
        "served_arm": 0,
        "latency_ms": 1,
        "failed": False,
    }
    shadow = {"latency_a_ms": 1.0, "failed": False}
    with host.app_context(), state.db.engine.begin() as connection:
        connection.execute(tests.insert(), {"id": 1, **values, **split})
        for id in (*old, young):
            about = {"id": id, "ab_test_id": 1}
            connection.execute(state.tables.ABExposure.__table__.insert(), {**about, **exposure})
            connection.execute(state.tables.Feedback.__table__.insert(), {"id": id, "rating": 5})
        about = {"id": old[0], "ab_test_id": 1}
        connection.execute(state.tables.ABShadow.__table__.insert(), {**about, **shadow})
    expected = {"pytorch_ab_exposures": 2, "pytorch_ab_shadows": 1, "pytorch_feedback": 2}
    assert state.privacy.retain(dry_run=True).tables == expected
    shown = host.test_cli_runner().invoke(args=["ailydian", "privacy", "retain", "--dry-run"])
    assert "pytorch_ab_exposures: 2" in shown.output and "domain civic: 2" in shown.output
    assert state.privacy.retain().tables == expected
    with host.app_context(), state.db.engine.connect() as connection:
        for name, left in (("ABExposure", [young]), ("ABShadow", []), ("Feedback", [young])):
            table = getattr(state.tables, name).__table__
            assert list(connection.execute(sa.select(table.c.id)).scalars()) == left
    assert state.audit.inspection.verify().ok


def test_old_checkpoints_are_trimmed_and_what_they_vouched_for_stays_vouched_for(
    make_app: t.Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0, AILYDIAN_CHECKPOINT_SINKS=[])
    state = app.extensions["ailydian"]
    audit, real = state.audit, time.time_ns
    with app.app_context():
        monkeypatch.setattr(time, "time_ns", lambda: real() - 400 * DAY_US * 1000)
        ended = audit.note("of a chain that ended", domain="medical")
        audit.checkpoints.make(now=True)
        audit.close()
        answer(app, "alice", "civic")
        audit.close()
        first = audit.note("kept", domain="medical")
        audit.checkpoints.make(now=True)
        audit.note("kept too", domain="medical")
        audit.checkpoints.make(now=True)
        monkeypatch.setattr(time, "time_ns", real)
        audit.note("today")
        audit.checkpoints.make(now=True)
        assert state.privacy.retain(dry_run=True).checkpoints == 3
        done = state.privacy.retain()
        assert (done.checkpoints, done.events) == (3, 1)
        audit.checkpoints.make(now=True)
        report = audit.inspection.verify()
        assert report.ok, report.bad
        assert report.checkpoints == 2
        # Proofs of old events go by what was signed later.
        key = audit.inspection.signer.public_keys()[0].hex()
        assert proven(audit.inspection.prove(ended), key)
        assert proven(audit.inspection.prove(first), key)
        assert state.privacy.retain().checkpoints == 0
    # A chain that only trimmed checkpoints had named cannot be dropped unseen.
    run(app, f"DELETE FROM pytorch_audit_events WHERE id = '{ended}'")
    run(app, "DELETE FROM pytorch_audit_events WHERE kind = 'writer_started' AND seq = 1")
    with app.app_context():
        assert not audit.inspection.verify().ok


def test_checkpoints_that_go_without_a_note_are_missed(
    make_app: t.Callable[..., Flask],
) -> None:
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0, AILYDIAN_CHECKPOINT_SINKS=[])
    audit = app.extensions["ailydian"].audit
    with app.app_context():
        for n in range(3):
            audit.note("noted", detail={"n": n})
            audit.checkpoints.make(now=True)
        assert audit.inspection.verify().ok
    run(app, "DELETE FROM pytorch_audit_checkpoints WHERE number = 1")
    with app.app_context():
        (bad,) = audit.inspection.verify().bad
    assert "missing" in bad.why


def test_with_the_last_row_of_a_person_ends_who_they_were(
    host: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = host.extensions["ailydian"]
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 200 * DAY_US * 1000)
    answer(host, "alice", "civic")
    answer(host, "bob", "medical")
    monkeypatch.setattr(time, "time_ns", real)
    assert state.privacy.retain(dry_run=True).persons == 0
    assert state.privacy.retain().persons == 1
    assert state.audit.subjects.find("alice") is None
    assert state.audit.subjects.find("bob") is not None
    # And whoever comes again is somebody new, also for a process that still had them at hand.
    answer(host, "alice", "civic")
    assert state.audit.subjects.find("alice") is not None
    assert state.audit.inspection.verify().ok


def test_nothing_ends_before_the_floor(host: Flask) -> None:
    with pytest.raises(ValidationFailed):
        host.extensions["ailydian"].privacy.retain(older_than=182)


def test_the_database_itself_refuses_to_change_the_trail(
    host: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, engine = host.extensions["ailydian"], host.extensions["sqlalchemy"].engine
    with engine.begin() as connection:
        assert not guards.present(connection)
        for sql in guards.statements(connection.dialect.name):
            connection.execute(sa.text(sql))
        assert guards.present(connection)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 200 * DAY_US * 1000)
    answer(host, None, "civic")
    monkeypatch.setattr(time, "time_ns", real)
    for sql in ("UPDATE pytorch_audit_events SET kind = 'x'", "DELETE FROM pytorch_audit_events"):
        with pytest.raises(sa.exc.DatabaseError, match="new rows only"):
            run(host, sql)
    assert state.privacy.retain().events == 1
    with pytest.raises(sa.exc.DatabaseError, match="new rows only"):
        run(host, "DELETE FROM pytorch_audit_purges")
    with engine.begin() as connection:
        assert guards.present(connection)
        for sql in guards.removal(connection.dialect.name):
            connection.execute(sa.text(sql))
        assert not guards.present(connection)


def test_master_keys_are_changed_without_touching_a_row(host: Flask) -> None:
    state = host.extensions["ailydian"]
    answer(host, "alice")
    before = (logs(host), events(host))
    keys = state.audit.subjects.keys
    old = keys.ids()[0]
    new = keys.rotate()
    assert state.audit.subjects.rewrap() == 2
    assert (logs(host), events(host)) == before
    # The old key is not needed any more, not even to find a person.
    file = Path(host.instance_path) / "ailydian" / "master.keys"
    file.write_text("\n".join(line for line in file.read_text().split() if old not in line))
    keys._keys = None
    state.audit.subjects.forget_all()
    assert keys.ids() == [new]
    assert state.audit.subjects.find("alice") is not None
    assert state.audit.result(logs(host)[0]) == {"prediction": SECRET}


def test_after_an_erasure_database_log_and_backup_know_nothing(tmp_path: Path) -> None:
    app = make_host(
        tmp_path,
        AILYDIAN_AUDIT_IDENTITY="sealed",
        AILYDIAN_SUBJECT_KEYS_URL=f"sqlite:///{tmp_path / 'keys.db'}",
    )
    with app.app_context():
        state = app.extensions["ailydian"]
        for i in range(50):
            answer(app, f"patient-{i:05d}")
        hashed = [row.input_hash for row in logs(app)]
        backup = tmp_path / "backup.db"
        one, other = sqlite3.connect(tmp_path / "host.db"), sqlite3.connect(backup)
        with one, other:
            one.backup(other)
        one.close()
        other.close()
        blinds = state.audit.subjects.blinds(b"user\0patient-00007")
        person = state.audit.subjects._row(b"user\0patient-00007")
        state.privacy.erase("patient-00007")
        again = state.audit.input_hash(
            "image", b"x-ray", user_id="patient-00007", domain="medical"
        )[0]
        state.privacy.erase("patient-00007")
        assert again not in hashed
        assert state.audit.inspection.verify().ok
        state.audit.close()
    dispose(app)
    needles = [b"patient-00007", SECRET.encode(), again.encode(), *(b.encode() for b in blinds)]
    needles += [bytes(person.wrapped), bytes(person.identity)]
    for file in tmp_path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert not [needle for needle in needles if needle in data], file


def test_records_of_processing_come_from_the_settings(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(
        AILYDIAN_PURPOSE=("medical=second reading",), AILYDIAN_RETENTION_DAYS=("civic=365",)
    )
    with app.app_context():
        state = app.extensions["ailydian"]
        models = state.tables.Model.__table__
        row = {"model_name": "m", "model_type": "onnx", "task": "tensor", "model_version": "1"}
        row |= {"deployment_status": "testing"}
        with app.extensions["sqlalchemy"].engine.begin() as connection:
            connection.execute(models.insert(), {**row, "domain": "medical"})
            connection.execute(models.insert(), {**row, "domain": "civic", "model_name": "c"})
        civic, medical = state.privacy.ropa()
        assert (medical["purpose"], medical["retention_days"]) == ("second reading", 2192)
        assert (civic["purpose"], civic["retention_days"]) == (None, 365)
        answer(app, "alice")
        assert logs(app)[0].purpose == "second reading"


def test_numbers_are_hashed_to_the_bit() -> None:
    row = [1.0] * len(canonical.RECORD)
    assert canonical.record_hash(row) != canonical.record_hash([1.0 + 2**-52, *row[1:]])
    assert canonical.encode("ab", "c") != canonical.encode("a", "bc")
    assert canonical.encode(None) != canonical.encode("") != canonical.encode(b"")
