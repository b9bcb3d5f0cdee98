"""Memory of the process tree (PSS): one model, its int8 variant, and after it was evicted."""

from __future__ import annotations

from .. import int8
from .. import load
from .. import models
from ..figures import Figure
from ..figures import Row
from ..machine import memory_bytes
from ..machine import Meter
from ..servers import Server
from ..settings import knows
from ..workshop import Bench
from ..workshop import Host

MODEL = int8.MODEL
#: Without a session of its own for callers who are alone.
ONE_SESSION = {"FLASK_AILYDIAN_THREADS": "1"}


def measure(bench: Bench) -> list[Row]:
    """Serve each model in a fresh server, then read what the kernel says."""
    host, has_int8 = int8.serving(bench)
    empty, full = Figure("MB"), Figure("MB")
    for _ in range(_starts(bench)):
        _one(bench, host.server(MODEL), empty, full)
    rows = [
        Row("memory", "before the first model (PSS), MB", empty),
        Row("memory", "fp32 ResNet-50 (PSS), MB", full, ("<=", 330)),
    ]
    if has_int8:
        small, single = Figure("MB"), Figure("MB")
        for _ in range(_starts(bench)):
            _one(bench, host.server(int8.query()), Figure("MB"), small)
            _one(bench, host.server(int8.query(), **ONE_SESSION), Figure("MB"), single)
        rows.append(Row("memory", "int8 ResNet-50 (PSS), MB", small, ("<=", 200)))
        # int8 weights are packed by each session for itself: the second one costs their size.
        rows.append(Row("memory", "int8 with AILYDIAN_THREADS=1: one session, MB", single))
    if not knows("model_memory_bytes"):
        bench.say("memory: eviction skipped, this version has no AILYDIAN_MODEL_MEMORY_BYTES.")
        return rows
    return [*rows, Row("memory", "after eviction (PSS), MB", _evicted(bench, host), ("<=", 110))]


def _starts(bench: Bench) -> int:
    return 1 if bench.quick else min(bench.rounds, 3)


def _one(bench: Bench, server: Server, before: Figure, after: Figure) -> None:
    with server, Meter() as meter:
        server.listen()
        before_bytes = memory_bytes(server.pid)
        _warm(bench, server)
        after_bytes = memory_bytes(server.pid)
    before.add(before_bytes / 1e6, meter)
    after.add(after_bytes / 1e6, meter)


def _warm(bench: Bench, server: Server) -> None:
    server.wait(bench.photos[0])
    wires = bench.wires(server)
    load.closed_loop(server.port, wires, clients=8, seconds=bench.seconds(4))


def _evicted(bench: Bench, host: Host) -> Figure:
    """Load ResNet-50, then small models until the budget has no room for it."""
    found = Figure("MB")
    small = 2
    for i in range(small):
        file = bench.work / f"evict-{i}.onnx"
        file.write_bytes(models.weighty(1000 + i, megabytes=1))
        host.add(f"evict-{i}", file=file)
    # The large one fits with one of the small ones, and not with both.
    budget = host.cost(MODEL) + host.cost("evict-0") * 3 // 2
    for _ in range(_starts(bench)):
        server = host.server(MODEL, FLASK_AILYDIAN_MODEL_MEMORY_BYTES=str(budget))
        with server, Meter() as meter:
            _warm(bench, server)
            for i in range(small):
                path = server.path.replace(f"={MODEL}&", f"=evict-{i}&")
                answer = load.Connection(server.port).ask(load.request(path, bench.photos[0]))
                if answer.status != 200:
                    raise RuntimeError(f"evict-{i}: {answer.status} {answer.body[:300]!r}")
            left = memory_bytes(server.pid)
        found.add(left / 1e6, meter)
    return found
