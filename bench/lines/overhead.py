"""What the package adds to a model of a millisecond, against a bare Flask view, one client."""

from __future__ import annotations

import collections
import dataclasses
import sqlite3
import time
from pathlib import Path

import numpy as np

from .. import load
from ..figures import difference
from ..figures import Figure
from ..figures import Row
from ..machine import CORES
from ..machine import Meter
from ..servers import Server
from ..workshop import bare
from ..workshop import Bench
from ..workshop import Host

MODEL = "small"
#: Servers take turns after so many requests, so that noise falls on all of them.
BLOCK = 100


def measure(bench: Bench) -> list[Row]:
    """Ask a bare view, the package, and the package without its audit, in turns."""
    host = Host(bench, "overhead")
    host.add(MODEL)
    servers = {
        "bare": bare(bench, MODEL),
        "bare, wide": dataclasses.replace(bare(bench, MODEL, run_threads=CORES), name="bare-wide"),
        "audit": host.server(MODEL),
        "no audit": host.server(MODEL, name="no-audit", BENCH_AUDIT="off"),
    }
    found: dict[str, Figure] = collections.defaultdict(lambda: Figure("ms"))
    for number in range(bench.rounds):
        bench.say(f"overhead: round {number + 1} of {bench.rounds}")
        _round(bench, host, servers, found)
    quickest = min(("bare", "bare, wide"), key=lambda name: found[name].median)
    base_cpu = found[f"{quickest} cpu"]
    base, note = found[quickest], "median of one client's requests, less the bare view's"
    return [
        Row("overhead", "bare Flask view, p50 ms", base),
        Row("overhead", "with audit, p50 ms", found["audit"]),
        Row(
            "overhead", "added with audit, ms", difference(found["audit"], base), ("<=", 1.0), note
        ),
        Row(
            "overhead",
            "added without audit, ms",
            difference(found["no audit"], base),
            ("<=", 0.3),
            note,
        ),
        Row("overhead", "bare Flask view, CPU ms", base_cpu),
        Row("overhead", "added CPU with audit, ms", difference(found["audit cpu"], base_cpu)),
        Row("overhead", "added CPU without audit, ms", difference(found["no audit cpu"], base_cpu)),
        Row(
            "overhead",
            "a bare SQLite commit on this disk, at this pace, ms",
            found["commit"],
            note="one row every 8 ms, WAL, synced, Python's sqlite3",
        ),
    ]


def _round(bench: Bench, host: Host, servers: dict[str, Server], found: dict[str, Figure]) -> None:
    times: dict[str, list[float]] = collections.defaultdict(list)
    cpu: dict[str, float] = collections.defaultdict(float)
    blocks = bench.count(8)
    try:
        for server in servers.values():
            server.start()
        for server in servers.values():
            server.wait(bench.photos[0])
            load.closed_loop(server.port, bench.wires(server), clients=1, count=BLOCK)
        before = sum(host.rows().values())
        with Meter() as meter:
            for _ in range(blocks):
                for name, server in servers.items():
                    with Meter(server.pid) as used:
                        wires = bench.wires(server)
                        done = load.closed_loop(server.port, wires, clients=1, count=BLOCK)
                    times[name] += [a.seconds * 1000 for a in done.good]
                    cpu[name] += used.cpu
        written = sum(host.rows().values()) - before
    finally:
        for server in servers.values():
            server.stop()
    if written != blocks * BLOCK or any(len(t) != blocks * BLOCK for t in times.values()):
        counts = {name: len(found) for name, found in times.items()}
        raise RuntimeError(f"{written} audit rows and these answers: {counts}")
    for name in servers:
        found[name].add(float(np.median(times[name])), meter)
        found[f"{name} cpu"].add(1000 * cpu[name] / len(times[name]), meter)
    found["commit"].add(_commit(bench.work / "commit.db"), meter)


def _commit(path: Path, count: int = 200) -> float:
    """Return the median milliseconds of inserting and committing one row, as often as requests."""
    path.unlink(missing_ok=True)
    times = []
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE logs (id TEXT PRIMARY KEY, result TEXT)")
    for i in range(count):
        # A disk that has been idle for a moment takes longer than one that is kept busy.
        time.sleep(0.008)
        started = time.perf_counter()
        connection.execute("INSERT INTO logs VALUES (?, ?)", (f"{i:036}", "x" * 300))
        connection.commit()
        times.append((time.perf_counter() - started) * 1000)
    connection.close()
    return float(np.median(times))
