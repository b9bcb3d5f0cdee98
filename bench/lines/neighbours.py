"""Good requests beside undecodable ones: does a neighbour's bad image fail them?"""

from __future__ import annotations

from .. import load
from .. import rivals
from ..figures import Figure
from ..figures import Reach
from ..figures import Row
from ..machine import Meter
from ..workshop import bare
from ..workshop import Bench
from ..workshop import Host

MODEL, GOOD = "resnet50", 60


def measure(bench: Bench) -> list[Row]:
    """Mix sixty photographs with sixty files that are none, eight at a time."""
    host = Host(bench, "neighbours")
    host.add(MODEL)
    rows = []
    for server in (host.server(MODEL), bare(bench, MODEL), *rivals.servers(bench, MODEL)):
        failed, blamed = Figure(), Figure()
        with server:
            server.wait(bench.photos[0])
            wires = []
            for i in range(GOOD):
                photo = bench.photos[i % len(bench.photos)]
                bad = (photo[: len(photo) // 3], b"\xff\xd8" + b"no image " * 9, b"text")[i % 3]
                wires += [server.wire(photo), server.wire(bad)]
            for _ in range(1 if bench.quick else min(bench.rounds, 3)):
                with Meter() as meter:
                    done = load.closed_loop(server.port, wires, clients=8, count=len(wires))
                failed.add(GOOD - len(done.good), meter)
                bad_ones = [a for a in done.answers if a.status != 200]
                blamed.add(sum(not 400 <= a.status < 500 for a in bad_ones), meter)
        ours = server.name == "flask-ailydian"
        reach: Reach | None = ("<=", 0.0) if ours else None
        rows += [
            Row("neighbours", f"{server.name}: good requests that failed, of 60", failed, reach),
            Row(
                "neighbours", f"{server.name}: bad ones answered with no 4xx, of 60", blamed, reach
            ),
        ]
    return rows
