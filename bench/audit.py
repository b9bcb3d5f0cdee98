"""Durable acknowledgements: this package's ledger beside one insert and one commit per row.

`python -m bench.audit` prints one line of JSON per database: milliseconds that recording adds to
one lone request beside the commit itself, acknowledgements a second of 4 processes with 8 threads
each, and their 99th percentile, three ways: `single` inserts one row and commits it, as a host
would by itself; `alone` is the ledger with every batch cut to one row; `ledger` is the ledger as
it is. `ratio` is the ledger to single inserts, `group_commit` to its own rows one by one. The
absolute numbers are the machine's, so what bounds them stands beside them: how often a second
this disk syncs, and for each way rows in a commit, processor milliseconds of the whole machine
for a row, and how many of its cores were busy.

`--database partitions` is PostgreSQL with the tables parted by month, six years of them.

With `--trail 1000000` it fills a trail instead, verifies it, erases one of a thousand persons in
it, and looks for them in everything that the database has on disk.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import mmap
import multiprocessing
import os
import sqlite3
import statistics
import tempfile
import threading
import time
import typing as t
import uuid
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_ailydian import FlaskAilydian
from flask_ailydian.audit import writer
from flask_ailydian.clock import new_id
from flask_ailydian.clock import now
from flask_ailydian.tables.steps import partitions

from . import machine

SERVER = os.environ.get(
    "AILYDIAN_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
KINDS = ("sqlite", "postgresql", "partitions")
COLUMNS = (
    "model_id",
    "user_id",
    "input_hash",
    "inference_time_ms",
    "confidence",
    "result",
    "error",
    "cost_usd",
    "ab_test_id",
)


def host(url: str, folder: Path) -> Flask:
    """Return a host whose tables are made."""
    app = Flask("bench", root_path=str(folder), instance_path=str(folder / "instance"))
    options = {"pool_size": 32} if url.startswith("postgresql") else {}
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=options)
    db = SQLAlchemy(app)
    FlaskAilydian(app)
    with app.app_context():
        db.create_all()
    return app


def part(app: Flask) -> None:
    """Part the tables by month, as a host's migration and its cron do."""
    with app.app_context():
        with app.extensions["sqlalchemy"].engine.begin() as connection:
            partitions.upgrade(Operations(MigrationContext.configure(connection)))
        app.extensions["ailydian"].audit.partitions.make_ahead(72)


def row(user_id: str | None = None) -> dict[str, t.Any]:
    """Return an inference row as the flow makes it."""
    made: dict[str, t.Any] = {"id": new_id(), "created_at": now(), "backend": "onnx"}
    made |= dict.fromkeys(COLUMNS)
    made |= {"status": "success", "confidence": 0.875, "inference_time_ms": 12.5}
    made |= {"user_id": user_id, "input_hash": "0" * 64}
    return made


def durable(connection: sa.Connection) -> None:
    """See that a commit on SQLite is on disk, as it is on PostgreSQL by default."""
    if connection.dialect.name == "sqlite":
        for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=FULL"):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        connection.commit()


def commit(app: Flask) -> t.Callable[[], None]:
    """Return what commits one number: the least that a durable row can take."""
    connection = app.extensions["sqlalchemy"].engine.connect()
    durable(connection)
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS bare (n INTEGER)")
    connection.commit()
    raw = connection.connection.driver_connection
    cursor = raw.cursor()

    def insert() -> None:
        cursor.execute("INSERT INTO bare VALUES (1)")
        raw.commit()

    return insert


def single(app: Flask) -> t.Callable[[], None]:
    """Return what inserts one row in one durable transaction, as a host would by itself."""
    engine = app.extensions["sqlalchemy"].engine
    table = app.extensions["ailydian"].tables.InferenceLog.__table__
    local = threading.local()

    def insert() -> None:
        if not hasattr(local, "connection"):
            local.connection = engine.connect()
            durable(local.connection)
        with local.connection.begin():
            local.connection.execute(table.insert(), row(person()))

    return insert


def person() -> str:
    """Return whom a row is about: requests that come at once are about different persons."""
    return f"person-{os.getpid()}-{threading.get_ident()}"


def ledger(app: Flask) -> t.Callable[[], None]:
    """Return what records one row."""
    audit = app.extensions["ailydian"].audit
    return lambda: audit.record(row(person()))


def alone(app: Flask) -> t.Callable[[], None]:
    """Return what records one row in a transaction of its own."""
    writer.BATCH, writer.GATHERING = 1, 0.0
    return ledger(app)


WAYS: dict[str, t.Callable[[Flask], t.Callable[[], None]]] = {
    "single": single,
    "alone": alone,
    "ledger": ledger,
}


def syncs(folder: Path, seconds: float = 1.0) -> int:
    """Return how many pages a second one thread brings to the disk, one by one."""
    path = folder / "synced"
    with path.open("wb", buffering=0) as file:
        count, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return round(count / seconds)


#: What a lone row is measured by: with one caller a batch has one row anyway.
LONE = {"commit": commit, "single": single, "ledger": ledger}


def latency(app: Flask, way: str, rounds: int) -> list[float]:
    """Return the milliseconds of *rounds* lone rows."""
    with app.app_context():
        act = LONE[way](app)
        times = []
        for i in range(rounds + 20):
            started = time.perf_counter()
            act()
            if i >= 20:
                times.append((time.perf_counter() - started) * 1000)
    return times


def work(
    url: str, folder: str, way: str, threads: int, seconds: float, ready: t.Any, out: t.Any
) -> None:
    """Write rows on *threads* threads for so long; the body of one worker process.

    :param ready: Where the processes wait for one another: starting up is no work.
    """
    app = host(url, Path(folder))
    times: list[float] = []
    commits = count_commits(app)
    warm, go = threading.Barrier(threads + 1), threading.Event()
    until = 0.0

    def run() -> None:
        with app.app_context():
            act = WAYS[way](app)
            act()
            warm.wait()
            go.wait()
            while time.monotonic() < until:
                started = time.perf_counter()
                act()
                times.append((time.perf_counter() - started) * 1000)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    warm.wait()
    commits.clear()
    ready.wait()
    until = time.monotonic() + seconds
    go.set()
    for thread in running:
        thread.join()
    out.put((times, len(commits)))


def count_commits(app: Flask) -> list[int]:
    """Return a list that gets a 1 for each batch which this process's ledger commits."""
    committer = app.extensions["ailydian"].audit._delivery._committer
    whole, commits = committer.commit, []

    def commit(items: t.Any, due: float) -> None:
        commits.append(1)
        whole(items, due)

    committer.commit = commit
    return commits


def throughput(
    url: str, folder: Path, way: str, *, processes: int, threads: int, seconds: float
) -> dict[str, float]:
    """Return acknowledgements a second, the 99th percentile in milliseconds, and what it took."""
    context = multiprocessing.get_context("spawn")
    out, ready = context.Queue(), context.Barrier(processes + 1)
    workers = [
        context.Process(target=work, args=(url, str(folder), way, threads, seconds, ready, out))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait(60)
    with machine.Meter(os.getpid()) as meter:
        found = [out.get() for _ in workers]
        for worker in workers:
            worker.join()
    times = sorted(ms for each, _ in found for ms in each)
    commits = sum(count for _, count in found) or len(times)
    worked = sum(times) / 1000 / (processes * threads)
    rate = len(times) / worked
    # A server's work is the others'.
    busy = meter.cpu / meter.wall + meter.others * machine.CORES
    return {
        "per_second": round(rate),
        "p99_ms": round(times[int(len(times) * 0.99)], 2),
        "rows_per_commit": round(len(times) / commits, 1),
        "cpu_ms_per_row": round(busy / rate * 1000, 3),
        "busy_cores": round(busy, 2),
    }


@contextlib.contextmanager
def database(kind: str, folder: Path) -> t.Iterator[str]:
    """Yield the URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / f'{uuid.uuid4().hex}.db'}"
        return
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    name = f"ailydian_bench_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        server.dispose()


def measure(kind: str, *, seconds: float, rounds: int, processes: int, threads: int) -> t.Any:
    """Return the figures of one kind of database."""
    found: dict[str, t.Any] = {"database": kind, "processes": processes, "threads": threads}
    found["cores"] = machine.CORES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with database(kind, folder) as url:
            app = host(url, folder)
            if kind == "partitions":
                part(app)
            found["syncs_per_second"] = syncs(folder)
            # In turns: what else the machine does meanwhile meets both.
            turns = [
                {way: statistics.median(latency(app, way, rounds // 5)) for way in LONE}
                for _ in range(5)
            ]
            lone = {way: statistics.median(turn[way] for turn in turns) for way in LONE}
            found |= {f"{way}_lone_ms": round(ms, 3) for way, ms in lone.items()}
            found["added_ms"] = round(lone["ledger"] - lone["commit"], 3)
            with app.app_context():
                app.extensions["ailydian"].audit.close()
                app.extensions["sqlalchemy"].engine.dispose()
        for way in WAYS:
            with database(kind, folder) as url:
                app = host(url, folder)
                if kind == "partitions":
                    part(app)
                found[way] = throughput(
                    url, folder, way, processes=processes, threads=threads, seconds=seconds
                )
    for name, way in (("ratio", "single"), ("group_commit", "alone")):
        found[name] = round(found["ledger"]["per_second"] / found[way]["per_second"], 2)
    return found


def trail(kind: str, rows: int) -> dict[str, t.Any]:
    """Return how fast a trail of *rows* rows is verified, and a person among them erased."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with database(kind, folder) as url:
            app = host(url, folder)
            if kind == "partitions":
                part(app)
            with app.app_context():
                state = app.extensions["ailydian"]
                # One thread: the leader's batches are filled by handing many rows over at once.
                fill(state.audit, rows)
                started = time.perf_counter()
                report = state.audit.inspection.verify()
                verified = time.perf_counter() - started
                assert report.ok and report.records == rows
                ref, traces = traces_of(app, "person-7.")
                before = hits(app, folder, [*traces, ref])
                started = time.perf_counter()
                erased = state.privacy.erase("person-7.")
                took = time.perf_counter() - started
                after = hits(app, folder, traces)
                # Who comes with the same input again is somebody else.
                again, _ = fingerprint(state.audit, "person-7.")
                after += hits(app, folder, [again])
                assert erased["rows"] > 0 and state.audit.inspection.verify().ok
                state.audit.close()
                app.extensions["sqlalchemy"].engine.dispose()
    return {
        "database": kind,
        "rows": rows,
        "verified_per_second": round(rows / verified),
        "erased_rows": erased["rows"],
        "erase_seconds": round(took, 3),
        "hits_before": before,
        "hits_after": after,
    }


def fingerprint(audit: t.Any, user_id: str) -> tuple[str, str]:
    """Return the fingerprint of what this person sent, and which key it is under."""
    data = f"what {user_id} sent".encode()
    found: tuple[str, str] = audit.input_hash("text", data, user_id=user_id, domain="medical")
    return found


def traces_of(app: Flask, user_id: str) -> tuple[str, list[str | bytes]]:
    """Return a person's random name, and what must be found nowhere after their erasure."""
    state = app.extensions["ailydian"]
    table = state.audit.subjects.table
    ref = state.audit.subjects.find(user_id)
    with state.db.engine.connect() as connection:
        row = connection.execute(table.select().where(table.c.ref == ref)).one()
    plain = hashlib.sha256(f"what {user_id} sent".encode()).hexdigest()
    return ref, [user_id, f"answer to {user_id}", plain, row.blind, row.wrapped, row.identity]


def hits(app: Flask, folder: Path, needles: t.Sequence[str | bytes]) -> int:
    """Return how many of *needles* stand in the database, its journal or a backup.

    Of SQLite the files are searched, with a copy that its own backup makes; of PostgreSQL every
    row of every table, which is what a dump holds.
    """
    wanted = {n.encode() if isinstance(n, str) else n for n in needles}
    engine = app.extensions["sqlalchemy"].engine
    found: set[bytes] = set()
    if engine.dialect.name == "sqlite":
        copy = folder / "backup.db"
        with (
            contextlib.closing(sqlite3.connect(engine.url.database)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        for file in [copy, *Path(engine.url.database).parent.glob("*.db*")]:
            with file.open("rb") as opened, contextlib.suppress(ValueError):
                with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    found |= {needle for needle in wanted if data.find(needle) >= 0}
        copy.unlink()
        return len(found)
    wanted |= {f"\\x{needle.hex()}".encode() for needle in wanted}
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        for table in sa.inspect(connection).get_table_names():
            with driver.cursor().copy(f"COPY {table} TO STDOUT") as rows:
                for data in rows:
                    # COPY doubles a backslash.
                    line = bytes(data).replace(b"\\\\", b"\\")
                    found |= {needle for needle in wanted - found if needle in line}
    return len(found)


def fill(audit: t.Any, rows: int) -> None:
    """Record *rows* rows about a thousand persons."""
    delivery = audit._delivery
    audit.note("filling")
    whole, batch = delivery._writer.write, []

    def gather(item: t.Any, deadline: float) -> None:
        batch.append(item)
        if len(batch) == 512:
            flush()

    def flush() -> None:
        delivery._committer.commit(batch, time.monotonic() + 60)
        assert not any(item.error for item in batch)
        batch.clear()

    delivery._writer.write = gather
    try:
        for i in range(rows):
            who = f"person-{i % 1000}."
            more = {"domain": "medical", "result": {"prediction": f"answer to {who}"}}
            if i < 1000:
                more["input_hash"], more["hash_key_id"] = fingerprint(audit, who)
            audit.record(row(who) | more)
        flush()
    finally:
        delivery._writer.write = whole


def main(argv: list[str] | None = None) -> None:
    """Print the figures of both databases, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=KINDS, action="append")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--trail", type=int, metavar="ROWS", help="Verify and erase instead.")
    given = parser.parse_args(argv)
    for kind in given.database or KINDS[:2]:
        if given.trail:
            print(json.dumps(trail(kind, given.trail)), flush=True)
            continue
        figures = measure(
            kind,
            seconds=given.seconds,
            rounds=given.rounds,
            processes=given.processes,
            threads=given.threads,
        )
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
