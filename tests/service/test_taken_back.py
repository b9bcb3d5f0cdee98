"""Transactions that the database takes back because of another one are run again."""

from __future__ import annotations

import collections.abc as c
import contextlib
import threading
import time
import typing as t
from datetime import datetime
from datetime import timedelta
from pathlib import Path

import onnx_models
import pytest
import sqlalchemy as sa
from databases import database
from flask import Flask
from hosts import dispose
from hosts import make_host
from pictures import encoded

from flask_ailydian import current_ailydian
from flask_ailydian.database import DatabaseUnavailable
from flask_ailydian.experiments.plan import Plan
from flask_ailydian.jobs.store import Store as JobStore
from flask_ailydian.registration import Declared
from flask_ailydian.routing.breaker import TableStore
from flask_ailydian.routing.budget import Budgets
from flask_ailydian.transactions import undone

NOON = datetime(2026, 3, 1, 12)
LIMITS = {"day:2026-03-01": 10**9, "user:u:2026-03-01": 10**9}


def register(*versions: str) -> None:
    for number, version in enumerate(versions):
        current_ailydian.registry.register(
            onnx_models.classifier(labels=3, size=8, seed=number),
            "shapes",
            version,
            Declared(labels=["circle", "square", "star"], domain="civic"),
            activate=number == 0,
        )


@contextlib.contextmanager
def host(folder: Path, kind: str, **options: t.Any) -> t.Iterator[Flask]:
    with database(kind, folder) as url:
        app = make_host(folder, database=url, SQLALCHEMY_ENGINE_OPTIONS=options)
        with app.app_context():
            yield app
        dispose(app)


def counted(engine: sa.Engine) -> list[str]:
    """Return a list that every transaction adds to which the database takes back."""
    states: list[str] = []

    def note(context: t.Any) -> None:
        if undone(context.sqlalchemy_exception):
            states.append(context.original_exception.sqlstate)

    sa.event.listen(engine, "handle_error", note)
    return states


# Deadlocks


@pytest.fixture
def app(tmp_path: Path) -> t.Iterator[Flask]:
    with host(tmp_path, "postgresql") as app:
        yield app


def reserve() -> t.Any:
    budgets = Budgets(current_ailydian.audit.database, current_ailydian.tables)
    budgets.reserve(LIMITS, 5, NOON)
    rows = [("pytorch_budgets", f"scope = '{scope}'") for scope in LIMITS]
    return rows, lambda: budgets.reserve(LIMITS, 7, NOON), lambda: budgets.committed(min(LIMITS))


def activate() -> t.Any:
    register("v1", "v2")
    registry = current_ailydian.registry
    rows = [("pytorch_models", f"model_version = '{version}'") for version in ("v1", "v2")]

    def activated() -> None:
        registry.update("shapes", "v2", status="active", actor="somebody")

    return rows, activated, lambda: registry.resolve("shapes").version


def stop() -> t.Any:
    register("v1", "v2")
    experiments = current_ailydian.experiments
    experiments.create("trial", "shapes:v1", "shapes:v2", plan=Plan())
    test = experiments.store.get("trial")
    rows = [("pytorch_ab_tests", f"id = {test.id}"), ("pytorch_ab_phases", "number = 1")]

    def stopped() -> bool:
        closed: bool = experiments.store.close(test, {"verdict": "stopped"})
        return closed

    def status() -> tuple[str, bool]:
        found = experiments.store.get("trial")
        return found.status, found.phase.ended_at is None

    return rows, stopped, status


def remove() -> t.Any:
    state = current_ailydian
    store = JobStore(state.audit.database, state.tables)
    moment = {"created_at": NOON, "expires_at": NOON, "woken_at": NOON}
    job = {"id": "j", "model_name": "m", "subject_ref": "s", "asked": b"", "status": "open"}
    item = {"job_id": "j", "position": 0, "subject_ref": "s", "status": "waiting", "attempts": 0}
    with state.db.engine.begin() as connection:
        given = [item | {"source": b"", "due_at": NOON}]
        store.insert(connection, job | {"key_hash": None, "total": 1} | moment, given)
    rows = [("pytorch_job_items", "position = 0"), ("pytorch_jobs", "id = 'j'")]
    return rows, lambda: store.remove("j"), lambda: (store.newest(1), store.counts("j"))


@pytest.mark.parametrize(
    ("made", "after"),
    [
        (reserve, 12),
        (activate, "v2"),
        (stop, ("stopped", False)),
        (remove, ([], {})),
    ],
)
def test_the_victim_of_a_deadlock_has_its_way_in_the_end(
    app: Flask, made: c.Callable[[], t.Any], after: t.Any
) -> None:
    (first, second), work, outcome = made()
    engine = current_ailydian.db.engine
    taken_back, failed = counted(engine), []
    with app.app_context():
        # The look for a deadlock that finds it ends the transaction of whoever looked: ours.
        with engine.begin() as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'")
        current_ailydian.audit.close()
        engine.dispose()

        def ours() -> None:
            with app.app_context():
                try:
                    work()
                except Exception as error:
                    failed.append(error)

        thread = threading.Thread(target=ours)
        with engine.begin() as rival:
            rival.exec_driver_sql("SET LOCAL deadlock_timeout = '1h'")
            rival.exec_driver_sql(_locking(second))
            thread.start()
            _wait_for_somebody_waiting(engine)
            rival.exec_driver_sql(_locking(first))
        thread.join(20)
    assert not failed
    assert set(taken_back) == {"40P01"}
    assert outcome() == after
    assert current_ailydian.audit.inspection.verify().ok


def _locking(row: tuple[str, str]) -> str:
    return "SELECT 1 FROM {} WHERE {} FOR UPDATE".format(*row)


def _wait_for_somebody_waiting(engine: sa.Engine) -> None:
    until = time.monotonic() + 20
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while time.monotonic() < until:
        with engine.connect() as connection:
            if connection.exec_driver_sql(query).scalar_one():
                return
        time.sleep(0.005)
    raise AssertionError("nobody waits")


# Serialisation failures


@pytest.fixture(params=["REPEATABLE READ", "SERIALIZABLE"])
def strict(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Flask]:
    """A host whose transactions all run isolated from each other."""
    with host(tmp_path, "postgresql", isolation_level=request.param, pool_size=10) as app:
        yield app


def at_once(app: Flask, work: c.Callable[[int], t.Any], threads: int = 6) -> None:
    """Run *work* in several threads and raise what any of them raised."""
    failed: list[BaseException] = []
    ready = threading.Barrier(threads)

    def run(number: int) -> None:
        with app.app_context():
            ready.wait()
            try:
                work(number)
            except BaseException as error:
                failed.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    if failed:
        raise failed[0]


def test_counts_that_many_change_at_once_add_up_where_the_host_wants_them_isolated(
    strict: Flask,
) -> None:
    state = current_ailydian
    taken_back = counted(state.db.engine)
    budgets = Budgets(state.audit.database, state.tables)
    circuits = TableStore(state.audit.database, state.tables)

    def work(number: int) -> None:
        for _ in range(15):
            budgets.reserve(LIMITS, 3, NOON)
            budgets.give_back(LIMITS, 1)
            circuits.fail("twin", threshold=1000, now=1.0)

    at_once(strict, work)
    assert budgets.committed("day:2026-03-01") == 6 * 15 * 2
    assert circuits.read("twin").failures == 6 * 15
    assert set(taken_back) == {"40001"}


def test_requests_and_switches_go_on_where_the_host_wants_them_isolated(strict: Flask) -> None:
    register("v1", "v2")
    state = current_ailydian
    taken_back = counted(state.db.engine)
    state.experiments.create("trial", "shapes", "shapes:v2")
    answered: list[str] = []

    def work(number: int) -> None:
        for turn in range(8):
            # A request about somebody: their row is read while others write.
            body = current_ailydian.predict("shapes", image=encoded(), user_id=f"u{turn}")
            answered.append(body["id"])
            current_ailydian.feedback.give(answered[0], rating=1 + turn % 5)
            if number == 0:
                version = "v1" if turn % 2 else "v2"
                current_ailydian.registry.update("shapes", version, description=f"{turn}")

    at_once(strict, work)
    test = state.experiments.store.get("trial")
    with state.db.engine.connect() as connection:
        logs = sa.text("SELECT count(*) FROM pytorch_inference_logs")
        counts = sa.text("SELECT model_a_requests + model_b_requests FROM pytorch_ab_tests")
        assert connection.execute(logs).scalar_one() == 48
        assert connection.execute(counts).scalar_one() == 48
    assert len(state.experiments.store.exposures_of(test).arm) == 48
    assert state.audit.inspection.verify().ok
    assert set(taken_back) == {"40001"}


@pytest.mark.alone
def test_a_transaction_that_is_always_taken_back_ends_in_time(tmp_path: Path) -> None:
    with host(tmp_path, "postgresql", isolation_level="REPEATABLE READ") as app:
        engine, database = current_ailydian.db.engine, current_ailydian.audit.database
        budgets = Budgets(database, current_ailydian.tables)
        budgets.reserve(LIMITS, 1, NOON)
        database.seconds = 0.5
        attempts = 0

        def work(connection: sa.Connection) -> None:
            nonlocal attempts
            attempts += 1
            connection.exec_driver_sql("SELECT * FROM pytorch_budgets")
            with engine.begin() as rival:
                rival.exec_driver_sql("UPDATE pytorch_budgets SET committed_nano = 9")
            connection.exec_driver_sql("UPDATE pytorch_budgets SET committed_nano = 5")

        start = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            database.transact(work)
        assert attempts > 3 and time.monotonic() - start < 2
        assert app is not None


# SQLite


def begun_for_certain(engine: sa.Engine) -> None:
    """Let every transaction begin when SQLAlchemy says so, as its documentation recommends."""

    @sa.event.listens_for(engine, "connect")
    def _connected(raw: t.Any, _: t.Any) -> None:
        raw.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def test_a_snapshot_that_somebody_wrote_after_is_taken_anew(tmp_path: Path) -> None:
    with host(tmp_path, "sqlite") as app:
        engine, database = current_ailydian.db.engine, current_ailydian.audit.database
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        budgets = Budgets(database, current_ailydian.tables)
        budgets.reserve(LIMITS, 1, NOON)
        engine.dispose()
        begun_for_certain(engine)
        codes: list[int] = []
        sa.event.listen(
            engine,
            "handle_error",
            lambda context: codes.append(context.original_exception.sqlite_errorcode),
        )
        read: list[int] = []

        def work(connection: sa.Connection) -> None:
            query = "SELECT committed_nano FROM pytorch_budgets WHERE scope LIKE 'day%'"
            read.append(connection.exec_driver_sql(query).scalar_one())
            if len(read) == 1:
                rival = threading.Thread(target=spend, args=(app, budgets))
                rival.start()
                rival.join()
            more = f"UPDATE pytorch_budgets SET committed_nano = {read[-1]} + 2"
            connection.exec_driver_sql(more)

        database.transact(work)
        assert codes == [517] and read == [1, 101]
        assert budgets.committed("day:2026-03-01") == 103


def spend(app: Flask, budgets: Budgets) -> None:
    with app.app_context():
        budgets.reserve(LIMITS, 100, NOON)


def test_a_busy_file_is_waited_for_whatever_the_host_s_own_patience(tmp_path: Path) -> None:
    with host(tmp_path, "sqlite", connect_args={"timeout": 0}) as app:
        budgets = Budgets(current_ailydian.audit.database, current_ailydian.tables)
        budgets.reserve(LIMITS, 1, NOON)
        rival = sa.create_engine(app.config["SQLALCHEMY_DATABASE_URI"])
        with rival.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            threading.Timer(0.3, connection.rollback).start()
            start = time.monotonic()
            budgets.reserve(LIMITS, 1, NOON + timedelta(seconds=1))
            assert time.monotonic() - start > 0.2
        rival.dispose()
        assert budgets.committed("day:2026-03-01") == 2
