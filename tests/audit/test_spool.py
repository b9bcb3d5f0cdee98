"""Rows that wait on this machine until the database is back."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import typing as t
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from audit.test_privacy import answer
from audit.trails import events
from chaos.proxy import standing_before
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host

from flask_ailydian.audit.chain import Event
from flask_ailydian.audit.claims import Claim
from flask_ailydian.audit.claims import Claims
from flask_ailydian.audit.spool import packed
from flask_ailydian.audit.spool import Spool
from flask_ailydian.audit.spool import unpacked
from flask_ailydian.audit.writer import Full
from flask_ailydian.audit.writer import Item
from flask_ailydian.errors import AuditUnavailable
from flask_ailydian.errors import Conflict
from flask_ailydian.errors import NotFound


@pytest.fixture
def behind(tmp_path: Path) -> t.Iterator[tuple[Flask, t.Any]]:
    with database("postgresql", tmp_path) as url:
        dispose(make_host(tmp_path, database=url))
        proxy, through = standing_before(url)
        (tmp_path / "behind").mkdir()
        app = make_host(
            tmp_path / "behind",
            database=through,
            create=False,
            AILYDIAN_AUDIT_TIMEOUT_SECONDS=1.0,
            AILYDIAN_AUDIT_FAILURE="spool",
            AILYDIAN_SPOOL_ROWS=5,
            AILYDIAN_CHECKPOINT_SECONDS=0.0,
        )
        with app.app_context():
            yield app, proxy
            proxy.close()
            app.extensions["ailydian"].audit.close()
        dispose(app)


def events_behind(app: Flask, proxy: t.Any) -> list[t.Any]:
    """Return the events; the database is back from then on."""
    proxy.thaw()
    return events(app)


def wait_until_shipped(audit: t.Any) -> None:
    until = time.monotonic() + 20
    while audit.spooled():
        assert time.monotonic() < until, "the spool was not shipped"
        time.sleep(0.05)


def test_rows_wait_in_the_spool_and_arrive_exactly_once(behind: tuple[Flask, t.Any]) -> None:
    app, proxy = behind
    audit = app.extensions["ailydian"].audit
    before = answer(app, "alice")
    proxy.drop()
    app.extensions["sqlalchemy"].engine.dispose()
    waiting = [audit.note("waited", subject="alice", detail={"n": n}) for n in range(3)]
    assert audit.spooled() == 3
    # This one made it before, and only its acknowledgement was lost.
    known = next(e for e in events_behind(app, proxy) if e.id == before)
    audit._delivery.shipping.spool.put(Item(Event(known.id, known.kind, known.created_us)))
    wait_until_shipped(audit)
    found = events(app)
    assert [e.id for e in found if e.kind == "waited"] == waiting
    assert [e.id for e in found if e.kind == "inference"] == [before]
    assert audit.inspection.verify().ok


def test_a_full_spool_refuses(behind: tuple[Flask, t.Any]) -> None:
    app, proxy = behind
    audit = app.extensions["ailydian"].audit
    audit.note("before")
    proxy.drop()
    app.extensions["sqlalchemy"].engine.dispose()
    for _ in range(5):
        audit.note("waits")
    with pytest.raises(AuditUnavailable):
        audit.note("too much")
    proxy.thaw()
    wait_until_shipped(audit)
    assert len(events(app, "waits")) == 5


def test_what_waits_about_an_erased_person_arrives_as_nobody_s(
    behind: tuple[Flask, t.Any],
) -> None:
    app, proxy = behind
    state = app.extensions["ailydian"]
    answer(app, "alice")
    shipping, state.audit._delivery.shipping = state.audit._delivery.shipping, None
    proxy.drop()
    app.extensions["sqlalchemy"].engine.dispose()
    state.audit._delivery.shipping = shipping
    ship, shipping.ship = shipping.ship, lambda write: False
    id = answer_spooled(app)
    proxy.thaw()
    state.privacy.erase("alice")
    shipping.ship = ship
    state.audit.note("later")
    wait_until_shipped(state.audit)
    (event,) = [e for e in events(app) if e.id == id]
    assert (event.subject_ref, event.actor_ref) == (None, None)
    assert state.audit.inspection.verify().ok
    assert "alice" not in repr(logs(app))


@pytest.mark.parametrize("known", [False, True], ids=["new", "known-to-the-database-alone"])
def test_a_person_whom_this_process_does_not_know_is_answered_too(
    behind: tuple[Flask, t.Any], known: bool
) -> None:
    app, proxy = behind
    state = app.extensions["ailydian"]
    audit = state.audit
    before = answer(app, "carol") if known else None
    earlier = audit.subjects.find("carol") if known else None
    audit.subjects.forget_all()
    audit.close()
    proxy.drop()
    app.extensions["sqlalchemy"].engine.dispose()
    ids = [answer(app, "carol"), answer(app, "carol")]
    noted = audit.note("waited", actor="officer", subject="carol", detail={"n": 7})
    assert audit.spooled() == 3
    # Whoever takes the spool's file away has no name.
    spool = Path(app.instance_path) / "ailydian" / "spool.db"
    assert b"officer" not in b"".join(f.read_bytes() for f in spool.parent.glob("spool.db*"))
    proxy.thaw()
    audit.note("back")
    wait_until_shipped(audit)
    ref = audit.subjects.find("carol")
    assert ref is not None and (not known or ref == earlier)
    copy = json.loads("".join(state.privacy.export("carol")))
    assert {i["id"] for i in copy["inferences"]} == {*ids, *([before] if known else [])}
    assert all(i["result"] is not None for i in copy["inferences"])
    (event,) = [e for e in copy["events"] if e["id"] == noted]
    assert event["detail"] == {"n": 7}
    assert audit.inspection.verify().ok
    assert audit.detail(events(app, "writer_started")[-1]) is not None
    # And they can be forgotten as a whole.
    assert state.privacy.erase("carol")["rows"] == len(copy["inferences"])
    assert all(audit.result(row) is None for row in logs(app) if row.id in ids)
    assert audit.inspection.verify().ok


def test_who_is_erased_while_only_the_spool_knows_them_arrives_as_nobody(
    behind: tuple[Flask, t.Any],
) -> None:
    app, proxy = behind
    state = app.extensions["ailydian"]
    audit, shipping = state.audit, state.audit._delivery.shipping
    answer(app, "alice")
    proxy.drop()
    app.extensions["sqlalchemy"].engine.dispose()
    ship, shipping.ship = shipping.ship, lambda write: True
    ids = [answer(app, "dora"), answer(app, "alice"), answer(app, "dora")]
    noted = audit.note("waited", actor="dora", subject="alice")
    proxy.thaw()
    spool = Path(app.instance_path) / "ailydian"
    assert b"dora" in b"".join(f.read_bytes() for f in spool.glob("spool.db*"))
    known = audit.subjects.find("alice")
    assert state.privacy.erase("dora") == {"erased": True, "rows": 2}
    assert b"dora" not in b"".join(f.read_bytes() for f in spool.glob("spool.db*"))
    shipping.ship = ship
    audit.note("later")
    wait_until_shipped(audit)
    about = {e.id: (e.actor_ref, e.subject_ref) for e in events(app)}
    assert [about[id] for id in ids] == [(None, None), (known, known), (None, None)]
    assert about[noted] == (None, known)
    assert [row.user_id for row in logs(app) if row.id in ids] == [None, "alice", None]
    assert [audit.result(row) is None for row in logs(app) if row.id in ids] == [True, False, True]
    with pytest.raises(NotFound):
        state.privacy.export("dora")
    # Who comes back is somebody else, under another key.
    answer(app, "dora")
    assert audit.subjects.find("dora") not in {event.sealed_ref for event in events(app)[:-1]}
    assert audit.inspection.verify().ok


def test_a_claim_that_nobody_settled_is_free_for_another_worker_after_its_lease(
    tmp_path: Path,
) -> None:
    app = make_host(tmp_path, AILYDIAN_TIMEOUT_SECONDS=0.25)
    audit = app.extensions["ailydian"].audit
    with app.app_context():
        mine = audit.claims.take("k" * 64, "r" * 64)
        assert isinstance(mine, Claim)
        # The worker that took it knows nothing of its answer, and is gone.
        table = app.extensions["ailydian"].tables.IdempotencyKey.__table__
        other = Claims(audit.database, table, stale_after=0.5)
        with pytest.raises(Conflict):
            other.take("k" * 64, "r" * 64)
        time.sleep(0.6)
        assert isinstance(other.take("k" * 64, "r" * 64), Claim)
        # Late as it is, the first one's settlement touches nothing of the other's.
        audit.claims.release(mine)
        with pytest.raises(Conflict):
            other.take("k" * 64, "r" * 64)
        audit.close()
    dispose(app)


def answer_spooled(app: Flask) -> str:
    return answer(app, "alice")


def logs(app: Flask) -> list[t.Any]:
    table = app.extensions["ailydian"].tables.InferenceLog.__table__
    with app.extensions["sqlalchemy"].engine.connect() as connection:
        return list(connection.execute(table.select()))


def test_a_row_is_the_same_after_it_waited(tmp_path: Path) -> None:
    event = Event("id", "kind", 1, payload=b"\x00\xff", record_hash=b"h" * 32)
    log = {"created_at": datetime(2026, 1, 2, 3, 4, 5, 6), "cost_usd": Decimal("0.000000001")}
    item = Item(event, log, (Claim("k", "t"), {"status": 200, "body": "{}"}))
    again = unpacked(packed(item))
    assert (again.event, again.log, again.settle) == (item.event, item.log, item.settle)
    spool = Spool(tmp_path / "spool.db", 1)
    spool.put(item)
    with pytest.raises(Full):
        spool.put(Item(Event("other", "kind", 1)))
    assert (tmp_path / "spool.db").stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    spool.drop("id")
    assert spool.waiting() == 0
