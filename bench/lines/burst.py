"""A burst of 150 with a deadline of two seconds: some are answered in time, the rest at once."""

from __future__ import annotations

import json

from .. import load
from .. import reference
from ..figures import Figure
from ..figures import Row
from ..machine import Meter
from ..servers import Server
from ..workshop import Bench
from ..workshop import Host

MODEL, CLIENTS, DEADLINE = "resnet50", 150, 2


def measure(bench: Bench) -> list[Row]:
    """Let 150 clients ask at the same moment, and count what became of each."""
    host = Host(bench, "burst")
    host.add(MODEL)
    session = reference.open_session(str(bench.model(MODEL)), 1)
    wanted = {
        i: reference.answer(reference.run(session, reference.prepare(photo)))["prediction"]
        for i, photo in enumerate(bench.photos)
    }
    names = ("accepted", "slowest", "refused", "late", "wrong", "bare", "lost")
    found = {name: Figure() for name in names}
    with host.server(MODEL) as server:
        server.wait(bench.photos[0])
        load.closed_loop(server.port, bench.wires(server), clients=8, count=bench.count(80))
        for _ in range(min(bench.rounds, 3)):
            _round(bench, host, server, wanted, found)
    return [
        Row("burst", "answered of 150", found["accepted"]),
        Row("burst", "slowest answer, s", found["slowest"], ("<", 2.3)),
        Row("burst", "refused with 503 or 504", found["refused"]),
        Row("burst", "slowest 503, s", found["late"]),
        Row("burst", "refused without Retry-After", found["bare"], ("<=", 0)),
        Row(
            "burst", "wrong answers, other statuses, broken connections", found["wrong"], ("<=", 0)
        ),
        Row("burst", "answers without an audit row, or rows without", found["lost"], ("<=", 0)),
    ]


def _round(
    bench: Bench, host: Host, server: Server, wanted: dict[int, str], found: dict[str, Figure]
) -> None:
    # The answer repeats the id, which says whose class it must name.
    deadline = {"X-Timeout-Seconds": str(DEADLINE)}
    marked = [
        load.request(server.path, photo, {**deadline, "X-Request-ID": f"photo-{i}"})
        for i, photo in enumerate(bench.photos)
    ]
    before = host.rows().get("success", 0)
    with Meter() as meter:
        done = load.closed_loop(server.port, marked, clients=CLIENTS, count=CLIENTS)
    rows = host.rows().get("success", 0) - before
    refused = [a for a in done.answers if a.status in (503, 504)]
    right = sum(
        json.loads(a.body)["prediction"] == wanted[int(a.headers["x-request-id"][6:])]
        for a in done.good
    )
    found["accepted"].add(len(done.good), meter)
    found["slowest"].add(max((a.seconds for a in done.good), default=float("inf")), meter)
    found["refused"].add(len(refused), meter)
    found["late"].add(max((a.seconds for a in refused if a.status == 503), default=0.0), meter)
    found["bare"].add(sum("retry-after" not in a.headers for a in refused), meter)
    found["wrong"].add(CLIENTS - right - len(refused), meter)
    found["lost"].add(abs(rows - len(done.good)), meter)
