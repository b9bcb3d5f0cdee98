"""Durable acknowledgements: this package's ledger beside one insert and one commit per row.

`python -m bench.audit` prints one line of JSON per database: milliseconds that recording adds to
one lone request, acknowledgements a second of 4 processes with 8 threads each, and their 99th
percentile, both for rows inserted one by one and for the ledger. The ratio is the figure; the
absolute numbers are the disk's. `--database partitions` is PostgreSQL with the tables parted by
month, six years of them. With `--trail 1000000` it fills a trail instead, verifies it and
erases one of a thousand persons in it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
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
from flask_ailydian.clock import new_id
from flask_ailydian.clock import now
from flask_ailydian.tables.steps import partitions

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


def single(app: Flask) -> t.Callable[[], None]:
    """Return what inserts one row in one durable transaction, as a host would by itself."""
    engine = app.extensions["sqlalchemy"].engine
    table = app.extensions["ailydian"].tables.InferenceLog.__table__
    local = threading.local()

    def insert() -> None:
        if not hasattr(local, "connection"):
            local.connection = engine.connect()
            if engine.dialect.name == "sqlite":
                for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=FULL"):
                    local.connection.exec_driver_sql(f"PRAGMA {pragma}")
                local.connection.commit()
        with local.connection.begin():
            local.connection.execute(table.insert(), row())

    return insert


def ledger(app: Flask) -> t.Callable[[], None]:
    """Return what records one row."""
    audit = app.extensions["ailydian"].audit
    return lambda: audit.record(row("person-1"))


WAYS: dict[str, t.Callable[[Flask], t.Callable[[], None]]] = {"single": single, "ledger": ledger}


def latency(app: Flask, way: str, rounds: int) -> list[float]:
    """Return the milliseconds of *rounds* lone rows."""
    with app.app_context():
        act = WAYS[way](app)
        times = []
        for i in range(rounds + 20):
            started = time.perf_counter()
            act()
            if i >= 20:
                times.append((time.perf_counter() - started) * 1000)
    return times


def work(url: str, folder: str, way: str, threads: int, until: float, out: t.Any) -> None:
    """Write rows on *threads* threads until the time is up; the body of one worker process."""
    app = host(url, Path(folder))
    times: list[float] = []

    def run() -> None:
        with app.app_context():
            act = WAYS[way](app)
            act()
            while time.time() < until:
                started = time.perf_counter()
                act()
                times.append((time.perf_counter() - started) * 1000)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    out.put(times)


def throughput(
    url: str, folder: Path, way: str, *, processes: int, threads: int, seconds: float
) -> dict[str, float]:
    """Return acknowledgements a second and the 99th percentile in milliseconds."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    until = time.time() + seconds + 3
    workers = [
        context.Process(target=work, args=(url, str(folder), way, threads, until, out))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    times = sorted(ms for _ in workers for ms in out.get())
    for worker in workers:
        worker.join()
    # Starting up is no work: what counts is what the threads' times sum to.
    worked = sum(times) / 1000 / (processes * threads)
    return {
        "per_second": round(len(times) / worked),
        "p99_ms": round(times[int(len(times) * 0.99)], 2),
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with database(kind, folder) as url:
            app = host(url, folder)
            if kind == "partitions":
                part(app)
            lone = {way: statistics.median(latency(app, way, rounds)) for way in WAYS}
            found |= {f"{way}_lone_ms": round(ms, 3) for way, ms in lone.items()}
            found["added_ms"] = round(lone["ledger"] - lone["single"], 3)
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
    found["ratio"] = round(found["ledger"]["per_second"] / found["single"]["per_second"], 2)
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
                started = time.perf_counter()
                erased = state.privacy.erase("person-7")
                took = time.perf_counter() - started
                assert erased["rows"] > 0 and state.audit.inspection.verify().ok
                state.audit.close()
                app.extensions["sqlalchemy"].engine.dispose()
    return {
        "database": kind,
        "rows": rows,
        "verified_per_second": round(rows / verified),
        "erased_rows": erased["rows"],
        "erase_seconds": round(took, 3),
    }


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
            audit.record(row(f"person-{i % 1000}"))
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
