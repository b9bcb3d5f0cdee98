"""Workers that are killed while they write, and databases that stop, freeze or fill up."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
import typing as t
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from audit.trails import events
from chaos.proxy import standing_before
from chaos.saboteur import Failing
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host

from flask_ailydian.audit import canonical
from flask_ailydian.audit.chain import Event
from flask_ailydian.audit.writer import Item
from flask_ailydian.clock import new_id
from flask_ailydian.errors import AuditUnavailable

#: `make chaos` asks for a hundred.
ROUNDS = int(os.environ.get("AILYDIAN_KILL_ROUNDS", "3"))
WORKERS, THREADS = 4, 4
TESTS = Path(__file__).parents[1]


def start(url: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "chaos.worker", url, str(folder), str(THREADS)],
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_acknowledged_row_is_lost_when_workers_are_killed(kind: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    with database(kind, tmp_path) as url:
        app = make_host(tmp_path, database=url)
        acknowledged: list[bytes] = []
        readers: list[threading.Thread] = []
        workers: list[tuple[subprocess.Popen[bytes], threading.Event]] = []

        def read(worker: subprocess.Popen[bytes], begun: threading.Event) -> None:
            assert worker.stdout is not None
            with worker.stdout:
                for line in worker.stdout:
                    # What stands behind the last end of line was not said in full.
                    if line.endswith(b"\n"):
                        acknowledged.append(line.strip())
                        begun.set()

        def begin() -> tuple[subprocess.Popen[bytes], threading.Event]:
            worker, begun = start(url, tmp_path), threading.Event()
            readers.append(threading.Thread(target=read, args=(worker, begun)))
            readers[-1].start()
            return worker, begun

        try:
            for _ in range(WORKERS):
                workers.append(begin())
            for _ in range(ROUNDS):
                victim = chance.randrange(WORKERS)
                worker, begun = workers[victim]
                assert begun.wait(60), "the worker has acknowledged nothing"
                time.sleep(chance.uniform(0.05, 0.5))
                worker.kill()
                worker.wait()
                workers[victim] = begin()
        finally:
            for worker, _ in workers:
                worker.kill()
                worker.wait()
            for reader in readers:
                reader.join()
        with app.app_context():
            found = Counter(event.id for event in events(app, "inference"))
            report = app.extensions["ailydian"].audit.inspection.verify()
            app.extensions["ailydian"].audit.close()
        dispose(app)
    print(f"{len(acknowledged)} rows were acknowledged on {kind}")
    assert len(acknowledged) > 100 * ROUNDS
    lost = [id for id in acknowledged if id.decode() not in found]
    assert (lost, max(found.values())) == ([], 1)
    assert report.ok, report.bad
    assert report.records == report.events - report.chains


@pytest.fixture
def behind(tmp_path: Path) -> t.Iterator[tuple[Flask, t.Any]]:
    """A host whose PostgreSQL stands behind a proxy, and the proxy."""
    with database("postgresql", tmp_path) as url:
        proxy, through = standing_before(url)
        app = make_host(tmp_path, database=url, AILYDIAN_AUDIT_TIMEOUT_SECONDS=1.0)
        dispose(app)
        (tmp_path / "behind").mkdir()
        app = make_host(
            tmp_path / "behind",
            database=through,
            create=False,
            AILYDIAN_AUDIT_TIMEOUT_SECONDS=1.0,
            AILYDIAN_CHECKPOINT_SECONDS=0.0,
        )
        with app.app_context():
            yield app, proxy
            proxy.close()
            app.extensions["ailydian"].audit.close()
        dispose(app)


def refused_after(audit: t.Any) -> float:
    started = time.monotonic()
    with pytest.raises(AuditUnavailable) as refusal:
        audit.note("while away")
    assert refusal.value.retry_after == 1
    return time.monotonic() - started


def test_a_frozen_database_is_told_of_within_the_deadline(behind: tuple[Flask, t.Any]) -> None:
    app, proxy = behind
    audit = app.extensions["ailydian"].audit
    audit.note("before")
    proxy.freeze()
    assert 0.9 < refused_after(audit) < 1.2
    # Also while there is no connection at all, and for everybody who waits.
    times: list[float] = []

    def ask() -> None:
        with app.app_context():
            times.append(refused_after(audit))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 4 and max(times) < 1.2
    proxy.thaw()
    started = time.monotonic()
    while True:
        try:
            audit.note("after")
            break
        except AuditUnavailable:
            assert time.monotonic() - started < 2
    assert time.monotonic() - started < 2
    chains = {event.chain_id for event in events(app)}
    assert len(chains) >= 2
    assert audit.inspection.verify().ok


def test_a_stopped_database_refuses_at_once_and_is_found_again(
    behind: tuple[Flask, t.Any],
) -> None:
    app, proxy = behind
    audit = app.extensions["ailydian"].audit
    audit.note("before")
    proxy.drop()
    assert refused_after(audit) < 1.2
    proxy.thaw()
    started = time.monotonic()
    audit.note("after")
    assert time.monotonic() - started < 2
    assert audit.inspection.verify().ok


def test_a_connection_that_died_while_idle_costs_no_request(behind: tuple[Flask, t.Any]) -> None:
    app, proxy = behind
    audit = app.extensions["ailydian"].audit
    audit.note("before")
    proxy.drop()
    proxy.thaw()
    audit.note("after")
    assert len(events(app, "after")) == 1


# The n-th call fails


@pytest.mark.parametrize("what", ["commit", "after commit", "execute", "cursor"])
def test_whatever_call_fails_there_is_a_row_or_a_refusal(
    make_app: t.Callable[..., Flask], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"connect_args": {"factory": Failing}}
    app = make_app(SQLALCHEMY_ENGINE_OPTIONS=options, AILYDIAN_CHECKPOINT_SECONDS=0.0)
    audit = app.extensions["ailydian"].audit
    acknowledged, refused = [], 0
    with app.app_context():
        audit.note("before")
        for n in range(1, 9):
            monkeypatch.setattr(Failing, "left", {what: n})
            try:
                acknowledged += [audit.note("counted") for _ in range(3)]
            except AuditUnavailable:
                refused += 1
            Failing.left.clear()
            acknowledged.append(audit.note("counted"))
        found = Counter(event.id for event in events(app, "counted"))
        assert set(acknowledged) <= set(found) and max(found.values()) == 1
        assert refused or what == "execute"
        report = audit.inspection.verify()
        assert report.ok, report.bad
        audit.close()


def test_a_full_disk_refuses_and_answers_again_once_there_is_room(
    make_app: t.Callable[..., Flask],
) -> None:
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0)
    audit = app.extensions["ailydian"].audit
    with app.app_context():
        audit.note("before", detail={"text": "x" * 200})
        line = audit._delivery._line
        pages = line._connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        line._connection.commit()
        line._connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        line._connection.commit()
        with pytest.raises(AuditUnavailable):
            for _ in range(200):
                audit.note("filling", detail={"text": "x" * 200})
        audit.note("after")
        assert audit.inspection.verify().ok


def test_a_clock_that_goes_back_breaks_no_chain(
    make_app: t.Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    audit = app.extensions["ailydian"].audit
    with app.app_context():
        audit.note("before")
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() - 3600 * 10**9)
        audit.note("after")
        audit.checkpoints.make(now=True)
        assert audit.inspection.verify().ok


# One row at fault among many, and commits of which nobody knows


def items(count: int) -> list[t.Any]:
    return [Item(Event(new_id(), "many", 1)) for _ in range(count)]


def check_one_bad_row(app: Flask) -> None:
    """A row that the database refuses fails alone, and is told of."""
    committer = app.extensions["ailydian"].audit._delivery._committer
    batch = items(64)
    # The same id twice: the second is what the database refuses.
    batch[40].event = batch[7].event
    committer.commit(batch, time.monotonic() + 30)
    assert [i for i, item in enumerate(batch) if item.error is not None] == [40]
    assert len(events(app, "many")) == 63


def check_unclear(app: Flask) -> None:
    """After a commit that failed although it happened, later rows are kept all the same."""
    audit = app.extensions["ailydian"].audit
    committer, line = audit._delivery._committer, audit._delivery._line
    raw = line._connection
    whole = type(raw).commit

    def fails_afterwards(self: t.Any) -> None:
        whole(self)
        raise sa.exc.OperationalError("COMMIT", {}, Exception("the connection was lost"))

    unclear = items(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(raw), "commit", fails_afterwards)
        committer.commit(unclear, time.monotonic() + 30)
    assert all(item.error is not None for item in unclear)
    later = items(3)
    committer.commit(later, time.monotonic() + 30)
    assert not any(item.error for item in later)
    assert len(events(app, "many")) == 6
    assert audit.inspection.verify().ok


@pytest.fixture
def one(make_app: t.Callable[..., Flask]) -> t.Iterator[Flask]:
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0)
    with app.app_context():
        app.extensions["ailydian"].audit.note("before")
        yield app
        app.extensions["ailydian"].audit.close()


def test_one_bad_row_does_not_take_others_with_it(one: Flask) -> None:
    check_one_bad_row(one)


def test_after_an_unclear_commit_a_new_chain_begins(one: Flask) -> None:
    check_unclear(one)


def test_a_mutant_that_skips_a_row_on_an_exception_is_caught(
    one: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = one.extensions["ailydian"].audit._delivery._committer
    whole = committer._bisected

    def skipping(batch: list[t.Any]) -> None:
        whole(batch)
        for item in batch:
            item.error = None

    monkeypatch.setattr(committer, "_bisected", skipping)
    with pytest.raises(AssertionError):
        check_one_bad_row(one)


def test_a_mutant_that_goes_on_with_its_chain_after_an_error_is_caught(
    one: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = one.extensions["ailydian"].audit._delivery._committer
    whole = committer._finish

    def keeping(connection: t.Any, chains: t.Any) -> None:
        before = committer.chains
        try:
            whole(connection, chains)
        except Exception:
            committer.chains = before
            raise

    monkeypatch.setattr(committer, "_finish", keeping)
    with pytest.raises(AssertionError):
        check_unclear(one)


def check_moved_letter(app: Flask) -> None:
    """A letter that moved from one column to the next is found."""
    audit = app.extensions["ailydian"].audit
    audit.note("lettered", actor="somebody", domain="civic")
    with app.extensions["sqlalchemy"].engine.begin() as connection:
        moved = connection.exec_driver_sql(
            "UPDATE pytorch_audit_events SET domain = domain || substr(actor_ref, 1, 1), "
            "actor_ref = substr(actor_ref, 2) WHERE kind = 'lettered'"
        )
        assert moved.rowcount == 1
    assert not audit.inspection.verify().ok


def test_a_letter_that_moved_to_the_next_column_is_found(make_app: t.Callable[..., Flask]) -> None:
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0)
    with app.app_context():
        check_moved_letter(app)


def test_a_mutant_without_length_prefixes_is_caught(
    make_app: t.Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canonical, "_TEXT", [b""] * 256)
    app = make_app(AILYDIAN_CHECKPOINT_SECONDS=0.0)
    with app.app_context(), pytest.raises(AssertionError):
        check_moved_letter(app)
