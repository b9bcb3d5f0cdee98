"""Sixteen clients hang up, then one asks: how long must it wait for work that nobody wants?"""

from __future__ import annotations

import contextlib
import socket
import time

import numpy as np

from .. import load
from .. import rivals
from ..figures import Figure
from ..figures import Row
from ..machine import Meter
from ..servers import Server
from ..workshop import bare
from ..workshop import Bench
from ..workshop import Host

MODEL, CLIENTS = "resnet50", 16
#: Seconds after which the clients hang up.
PATIENCE = 0.1


def measure(bench: Bench) -> list[Row]:
    """Compare a request after the others hung up with one on an idle server."""
    host = Host(bench, "hangups")
    host.add(MODEL)
    rows = []
    for server in (host.server(MODEL), bare(bench, MODEL), *rivals.servers(bench, MODEL)):
        figure = Figure("×")
        with server:
            server.wait(bench.photos[0])
            load.closed_loop(server.port, bench.wires(server), clients=4, count=16)
            for _ in range(bench.rounds):
                _round(bench, server, figure)
        ours = server.name == "flask-ailydian"
        what = f"{server.name}: the next request ÷ one alone"
        rows.append(Row("hangups", what, figure, ("<=", 1.5) if ours else None))
    return rows


def _round(bench: Bench, server: Server, figure: Figure) -> None:
    wires = bench.wires(server)
    with Meter() as meter:
        alone = load.closed_loop(server.port, wires, clients=1, count=bench.count(15))
        with contextlib.ExitStack() as clients:
            for i in range(CLIENTS):
                gone = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                gone.sendall(wires[i % len(wires)])
            # Long enough for all of them to stand in the server's queue.
            time.sleep(PATIENCE)
        asked = load.Connection(server.port).ask(wires[0])
    typical = float(np.median([a.seconds for a in alone.good]))
    figure.add(asked.seconds / typical, meter)
    # What is still at work on the others' requests is none of the next round's.
    time.sleep(CLIENTS * typical)
