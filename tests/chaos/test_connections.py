"""Questions to a database that freezes or is busy: at which moment ever, they end in time."""

from __future__ import annotations

import sqlite3
import threading
import time
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from chaos.proxy import Proxy
from chaos.proxy import standing_before
from databases import database

from flask_ailydian.connections import DatabaseUnavailable
from flask_ailydian.connections import ready
from flask_ailydian.database import Database

SECONDS = 0.4
SLACK = 0.6
ONE = sa.select(sa.literal(1))
THINGS = sa.text("SELECT * FROM things")


@pytest.fixture
def behind(tmp_path: Path) -> t.Iterator[tuple[str, Proxy]]:
    """The URL of a PostgreSQL behind a proxy."""
    with database("postgresql", tmp_path) as url:
        proxy, through = standing_before(url)
        try:
            yield through, proxy
        finally:
            proxy.close()


@pytest.fixture
def make_engine(behind: tuple[str, Proxy]) -> t.Iterator[t.Callable[..., sa.Engine]]:
    made: list[sa.Engine] = []

    def make(**options: t.Any) -> sa.Engine:
        made.append(sa.create_engine(behind[0], **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def read(asked: Database) -> list[t.Any]:
    with asked.connect() as connection:
        return list(connection.execute(THINGS))


def ask(asked: Database) -> int:
    with asked.connect() as connection:
        return connection.execute(ONE).scalar_one()


def fetchers() -> int:
    return sum(thread.name == "ailydian-fetch" for thread in threading.enumerate())


def test_a_connection_that_is_idle_in_the_pool_is_used_as_it_is(
    make_engine: t.Callable[..., sa.Engine],
) -> None:
    engine = make_engine()
    asked = Database(lambda: engine, SECONDS)
    assert ready(engine) is None
    assert ask(asked) == 1
    with ready(engine) as first:
        # The next is to be made: that is not "at once", for this thread or for another.
        assert ready(engine) is None
        assert first.execute(ONE).scalar_one() == 1
        # The host makes its own as before.
        with engine.connect() as its:
            assert its.execute(ONE).scalar_one() == 1
    assert engine.pool.checkedin() == 2


def test_the_threads_that_fetch_connections_are_used_again(
    make_engine: t.Callable[..., sa.Engine],
) -> None:
    # A ping before use may wait for the server: no connection is had at once.
    engine = make_engine(pool_pre_ping=True)
    asked = Database(lambda: engine, SECONDS)
    before = fetchers()
    assert [ask(asked) for _ in range(20)] == [1] * 20
    assert ready(engine) is None
    assert fetchers() <= before + 1


@pytest.mark.parametrize("ping", [False, True], ids=["plain", "pre-ping"])
def test_a_server_that_is_frozen_when_it_is_asked(
    behind: tuple[str, Proxy], make_engine: t.Callable[..., sa.Engine], ping: bool
) -> None:
    engine = make_engine(pool_pre_ping=ping)
    asked = Database(lambda: engine, SECONDS)
    assert ask(asked) == 1
    behind[1].freeze()
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        ask(asked)
    assert time.monotonic() - started < SECONDS + SLACK
    behind[1].thaw()
    time.sleep(0.3)
    assert ask(asked) == 1


def test_a_server_that_freezes_before_the_transaction_is_over(
    behind: tuple[str, Proxy], make_engine: t.Callable[..., sa.Engine]
) -> None:
    engine = make_engine()
    asked = Database(lambda: engine, SECONDS)
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable), asked.connect() as connection:
        assert connection.execute(ONE).scalar_one() == 1
        behind[1].freeze()
    assert time.monotonic() - started < SECONDS + SLACK


def test_a_failure_of_the_block_is_what_the_caller_sees(
    make_engine: t.Callable[..., sa.Engine],
) -> None:
    engine = make_engine()
    asked = Database(lambda: engine, SECONDS)
    with pytest.raises(LookupError), asked.connect() as connection:
        connection.execute(ONE)
        raise LookupError
    with pytest.raises(sa.exc.ProgrammingError), asked.connect() as connection:
        connection.exec_driver_sql("SELECT no_such_column")
    assert ask(asked) == 1


def test_a_pool_whose_connections_are_all_in_use(
    make_engine: t.Callable[..., sa.Engine],
) -> None:
    engine = make_engine(pool_size=1, max_overflow=0)
    asked = Database(lambda: engine, SECONDS)
    started = time.monotonic()
    with engine.connect(), pytest.raises(DatabaseUnavailable):
        ask(asked)
    assert time.monotonic() - started < SECONDS + SLACK
    time.sleep(0.1)
    assert ask(asked) == 1


def test_a_file_that_is_busy_or_gone_is_a_database_that_is_away(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    engine = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": 0.05})
    asked = Database(lambda: engine, SECONDS)
    make = sa.text("CREATE TABLE things (id INTEGER)")
    asked.transact(lambda connection: connection.execute(make))
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        for question in (lambda: read(asked), lambda: asked.transact(lambda c: c.execute(THINGS))):
            with pytest.raises(DatabaseUnavailable):
                question()
        other.execute("ROLLBACK")
    other.close()
    assert read(asked) == []
    # What is wrong with a question is said as it is.
    with pytest.raises(sa.exc.OperationalError), asked.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM no_such_table")
    engine.dispose()
    file.unlink()
    file.mkdir()
    with pytest.raises(DatabaseUnavailable):
        read(asked)
    engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_pool_that_gives_up_before_we_do(kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as url:
        engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.05)
        asked = Database(lambda: engine, SECONDS)
        with engine.connect():
            for question in (lambda: ask(asked), lambda: asked.transact(lambda c: c.execute(ONE))):
                with pytest.raises(DatabaseUnavailable):
                    question()
        assert ask(asked) == 1
        engine.dispose()
