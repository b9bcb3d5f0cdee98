"""Forty models under a budget of four, at random: errors, and memory that must not grow."""

from __future__ import annotations

import random

import numpy as np

from .. import load
from .. import models
from ..figures import Figure
from ..figures import Row
from ..figures import Skipped
from ..machine import memory_bytes
from ..machine import Meter
from ..settings import knows
from ..workshop import Bench
from ..workshop import Host

MODELS, FIT, REQUESTS, CLIENTS, STEP = 40, 4, 2000, 8, 100


def measure(bench: Bench) -> list[Row]:
    """Ask 2,000 times about models chosen at random, and read the memory every hundred.

    :raises Skipped: when this version has no budget of memory.
    """
    if not knows("model_memory_bytes"):
        raise Skipped("this version has no AILYDIAN_MODEL_MEMORY_BYTES")
    host = Host(bench, "budget")
    bench.say(f"budget: registering {MODELS} models …")
    folder = bench.work / "many"
    folder.mkdir(exist_ok=True)
    for i in range(MODELS):
        (folder / f"many-{i:02}.onnx").write_bytes(models.weighty(i))
    host.flask("add-folder", str(folder))
    room = int((FIT + 0.5) * host.cost("many-00"))
    rng = random.Random(40)
    errors, slope, last = Figure(), Figure("MB"), Figure("MB")
    with host.server("many-00", FLASK_AILYDIAN_MODEL_MEMORY_BYTES=str(room)) as server:
        server.wait(bench.photos[0])
        paths = [server.path.replace("many-00", f"many-{i:02}") for i in range(MODELS)]
        sizes, wrong = [], 0
        with Meter() as meter:
            for _ in range(bench.count(REQUESTS) // STEP):
                wires = [load.request(rng.choice(paths), bench.photos[0]) for _ in range(STEP)]
                done = load.closed_loop(server.port, wires, clients=CLIENTS, count=STEP)
                wrong += STEP - len(done.good)
                sizes.append(memory_bytes(server.pid) / 1e6)
    errors.add(wrong, meter)
    # The first fifth fills caches and pools; of the rest nine in ten find their model gone.
    steady = sizes[len(sizes) // 5 :]
    loads = STEP * (1 - FIT / MODELS)
    slope.add(_slope(steady) * 100 / loads, meter)
    last.add(sizes[-1], meter)
    note = "least squares over the memory after every hundred requests"
    return [
        Row("budget", "errors", errors, ("<=", 0)),
        Row("budget", "memory (PSS) by 100 loads, MB", slope, ("<", 1.0), note),
        Row("budget", "memory (PSS) at the end, MB", last),
    ]


def _slope(values: list[float]) -> float:
    return float(np.polyfit(np.arange(len(values)), values, 1)[0]) if len(values) > 1 else 0.0
