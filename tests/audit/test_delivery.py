"""What is said when it is not certain that a row is on disk."""

from __future__ import annotations

import logging
import threading
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit.trails import answer
from audit.trails import events
from databases import database
from flask import Flask
from flask.testing import FlaskClient
from hosts import dispose
from hosts import make_host
from pictures import data_uri
from pictures import encoded

from flask_ailydian.audit.chain import Event
from flask_ailydian.audit.writer import Full
from flask_ailydian.audit.writer import Item
from flask_ailydian.audit.writer import Late
from flask_ailydian.audit.writer import Writer
from flask_ailydian.clock import new_id
from flask_ailydian.errors import AuditUnavailable

URL = "/api/pytorch/inference"
BODY = {"model_name": "shapes", "image": data_uri(encoded()), "user_id": "alice"}


def broken_commit(app: Flask, *, happens: bool) -> t.Any:
    """Return a commit of our connection that fails, before or after it happened."""
    kind = type(app.extensions["ailydian"].audit._delivery._line._connection)
    whole = kind.commit

    def commit(self: t.Any) -> None:
        if happens:
            whole(self)
        raise sa.exc.OperationalError("COMMIT", {}, Exception("the connection was lost"))

    return kind, commit


@pytest.mark.parametrize("happens", [True, False], ids=["it-happened", "it-did-not"])
def test_a_retry_is_answered_rightly_after_a_commit_of_which_nobody_knew(
    app: Flask, client: FlaskClient, happens: bool
) -> None:
    headers = {"Idempotency-Key": "k"}
    with app.app_context():
        audit = app.extensions["ailydian"].audit
        audit.note("before")
        audit.subjects.of("alice")
        # The keeper would free the key by itself; here the retry has to.
        audit._delivery._keeper.stop()
        kind, commit = broken_commit(app, happens=happens)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kind, "commit", commit)
            first = client.post(URL, json=BODY, headers=headers)
    assert (first.status_code, first.json["error"]) == (503, "backend_unavailable")
    again = client.post(URL, json=BODY, headers=headers)
    assert again.status_code == 200
    assert (again.json["id"] == first.json["id"]) is happens
    assert again.headers.get("Idempotent-Replayed") == ("true" if happens else None)
    assert [e.id for e in events(app, "inference")] == [again.json["id"]]
    with app.app_context():
        assert app.extensions["ailydian"].audit.inspection.verify().ok


@pytest.mark.parametrize("setting", ["refuse", "warn"])
def test_a_server_that_a_power_cut_may_take_rows_from_is_told_of(
    tmp_path: Path, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    with database("postgresql", tmp_path) as url:
        app = make_host(tmp_path, database=url, AILYDIAN_AUDIT_DURABILITY=setting)
        with app.app_context():
            engine = app.extensions["sqlalchemy"].engine
            # A table of that name in front of the server's own says what nobody may set here.
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    "CREATE TABLE public.pg_settings (name text, setting text)"
                )
                connection.exec_driver_sql("INSERT INTO public.pg_settings VALUES ('fsync', 'off')")
                name = sa.make_url(url).database
                path = f"ALTER DATABASE {name} SET search_path = public, pg_catalog"
                connection.exec_driver_sql(path)
            engine.dispose()
            audit = app.extensions["ailydian"].audit
            if setting == "refuse":
                with pytest.raises(AuditUnavailable):
                    audit.note("x")
            else:
                with caplog.at_level(logging.WARNING):
                    audit.note("x")
                assert "fsync off" in caplog.text
            result = app.test_cli_runner().invoke(args=["ailydian", "doctor"])
            assert "fsync off" in result.output
            audit.close()
        dispose(app)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_is_erased_while_their_row_is_on_its_way_is_somebody_new(
    tmp_path: Path, kind: str
) -> None:
    with database(kind, tmp_path) as url:
        app = make_host(tmp_path, database=url)
        other = make_host(tmp_path, database=url, create=False)
        for each in (app, other):
            with each.app_context():
                answer(each, "alice")
        with app.app_context():
            assert app.extensions["ailydian"].privacy.erase("alice")["rows"] == 2
        # The other has their key at hand still, and somebody else comes with them.
        with other.app_context():
            audit = other.extensions["ailydian"].audit
            old = audit.subjects.of("alice").ref
            answer(other, "alice")
            answer(other, "bob")
            new = audit.subjects.of("alice").ref
        refs = [event.subject_ref for event in events(other, "inference")]
        assert new != old and sorted(map(refs.count, (old, new))) == [1, 2]
        with app.app_context():
            assert app.extensions["ailydian"].audit.inspection.verify().ok
        for each in (app, other):
            dispose(each)


@pytest.mark.parametrize("watched", [False, True], ids=["unwatched", "watched"])
def test_a_batch_goes_to_postgresql_in_one_statement(tmp_path: Path, watched: bool) -> None:
    with database("postgresql", tmp_path) as url:
        app = make_host(tmp_path, database=url, AILYDIAN_CHECKPOINT_SECONDS=0.0)
        with app.app_context():
            audit = app.extensions["ailydian"].audit
            audit.note("before", actor="alice")
            engine = app.extensions["sqlalchemy"].engine
            seen: list[str] = []
            if watched:
                sa.event.listen(
                    engine, "before_cursor_execute", lambda *given: seen.append(given[2])
                )
                # What listens is taken over when a connection is made.
                audit.close()
                audit.note("again", actor="alice")
                seen.clear()
            line = audit._delivery._line._connection
            raw = line.connection.dbapi_connection
            backend = raw.info.backend_pid
            audit.note("alone", actor="alice")
            assert len(seen) == watched and raw.info.backend_pid == backend
            # Nothing stays open behind it, and a later transaction is one.
            assert raw.info.transaction_status.name == "IDLE" and not raw.autocommit
            with engine.connect() as connection:
                last = "SELECT query FROM pg_stat_activity WHERE pid = %s"
                query = connection.exec_driver_sql(last, (backend,)).scalar_one()
            assert query.startswith("WITH living")
            with pytest.raises(ValueError, match="no"):
                audit.note("undone", actor="alice", work=refusing)
        assert [event.kind for event in events(app)][-1] == "alone"
        dispose(app)


def refusing(connection: sa.Connection) -> None:
    raise ValueError("no")


def item() -> Item:
    return Item(Event(new_id(), "x", 1))


def test_those_who_wait_while_one_commits_are_committed_together() -> None:
    batches: list[int] = []
    first, go_on = threading.Event(), threading.Event()

    def commit(items: list[Item], due: float) -> None:
        batches.append(len(items))
        first.set()
        assert go_on.wait(10)

    writer = Writer(commit, 100)
    threads = [threading.Thread(target=writer.write, args=(item(), time.monotonic() + 10))]
    threads[0].start()
    assert first.wait(10)
    for _ in range(9):
        threads.append(threading.Thread(target=writer.write, args=(item(), time.monotonic() + 10)))
        threads[-1].start()
    until = time.monotonic() + 10
    while len(writer._queue) < 9:
        assert time.monotonic() < until
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert batches == [1, 9]


def test_a_full_queue_and_a_deadline_are_told_at_once_and_nothing_is_left_behind() -> None:
    started, go_on = threading.Event(), threading.Event()
    written: list[str] = []

    def commit(items: list[Item], due: float) -> None:
        started.set()
        assert go_on.wait(10)
        written.extend(i.event.id for i in items)

    writer = Writer(commit, 1)
    leader = threading.Thread(target=writer.write, args=(item(), time.monotonic() + 10))
    leader.start()
    assert started.wait(10)
    late = item()
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            writer.write(late, time.monotonic() + 0.2)
        except Late as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until = time.monotonic() + 10
    while not writer._queue:
        assert time.monotonic() < until
        time.sleep(0.001)
    with pytest.raises(Full):
        writer.write(item(), time.monotonic() + 10)
    waiting.join()
    assert isinstance(outcome[0], Late) and not outcome[0].unclear
    go_on.set()
    leader.join()
    writer.write(item(), time.monotonic() + 10)
    assert late.event.id not in written and len(written) == 2


def test_a_leader_that_is_torn_away_tells_everybody_and_leaves_the_lead() -> None:
    calls = 0

    def commit(items: list[Item], due: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyboardInterrupt

    writer = Writer(commit, 10)
    with pytest.raises(KeyboardInterrupt):
        writer.write(item(), time.monotonic() + 10)
    writer.write(item(), time.monotonic() + 10)
    assert calls == 2


def test_a_database_in_memory_is_left_alone_by_threads(tmp_path: Path) -> None:
    app = make_host(tmp_path, database="sqlite://")
    with app.app_context():
        audit = app.extensions["ailydian"].audit
        audit.note("one")
        audit.drain()
        assert audit._delivery._keeper._thread is None
        assert audit.inspection.verify().ok
    assert [e.kind for e in events(app)] == ["writer_started", "one"]
    dispose(app)
