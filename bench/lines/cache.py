"""A hit in the result cache: what the answer takes when the model need not run."""

from __future__ import annotations

import json

from .. import load
from ..figures import Figure
from ..figures import Row
from ..figures import Skipped
from ..machine import Meter
from ..workshop import Bench
from ..workshop import Host

MODEL = "resnet50"


def measure(bench: Bench) -> list[Row]:
    """Ask about every photograph once, then again and again.

    :raises Skipped: when this version has no result cache.
    """
    host = Host(bench, "cache")
    if "--cache-entries" not in host.flask("ailydian", "models", "add", "--help").stdout:
        raise Skipped("this version has no result cache (`models add --cache-entries`)")
    host.add(MODEL, "--cache-entries", "256", "--cache-seconds", "3600")
    hit, missed = Figure("ms"), Figure()
    with host.server(MODEL) as server:
        server.wait(bench.photos[0])
        wires = bench.wires(server)
        load.closed_loop(server.port, wires, clients=4, count=len(wires))
        for _ in range(bench.rounds):
            before = sum(host.rows().values())
            with Meter(server.pid) as meter:
                done = load.closed_loop(server.port, wires, clients=1, count=bench.count(400))
            hits = [json.loads(a.body).get("cached") is True for a in done.good]
            hit.add(done.percentile(50), meter)
            missed.add(len(done.answers) + done.broken - sum(hits), meter)
            if sum(host.rows().values()) - before != len(done.good):
                raise RuntimeError("Answers from the cache and their audit rows differ in number.")
    note = "as the client sees it: with the transfer of the photograph and the audit row"
    return [
        Row("cache", "hit, p50 ms", hit, ("<=", 1.5), note),
        Row("cache", "answers that were no hit", missed, ("<=", 0)),
    ]
