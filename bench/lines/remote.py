"""Models on other servers: what a call costs, what the host does beside it, what travels."""

from __future__ import annotations

import collections
import importlib.util
import json
import sys
import threading
import time
import typing as t

import numpy as np

from flask_ailydian.engine.remote.address import parse
from flask_ailydian.engine.remote.discovery import discover
from flask_ailydian.engine.remote.options import RemoteOptions
from flask_ailydian.engine.remote.remote_engine import RemoteEngine
from flask_ailydian.inputs import preprocessing
from flask_ailydian.oip import messages

from .. import load
from ..figures import Figure
from ..figures import ratio
from ..figures import Row
from ..figures import Skipped
from ..machine import Meter
from ..servers import gunicorn
from ..servers import Server
from ..workshop import ARENAS
from ..workshop import Bench
from ..workshop import Host

#: Calls in a row before the other client has its turn, so that noise falls on both.
BLOCK = 50
CLIENTS = (1, 8)
THREADS = 16
KB = 1024
Call = t.Callable[[], t.Any]


def measure(bench: Bench) -> list[Row]:
    """Ask a server whose models cost nothing, through the engine, the bare client and the host."""
    if importlib.util.find_spec("tritonclient") is None:
        raise Skipped("the bare client is missing: pip install 'tritonclient[http]'")
    free = Server(
        "free-engine", [sys.executable, "-m", "bench.free_engine", "{port}"], "/", bench.work
    )
    found: dict[str, Figure] = collections.defaultdict(lambda: Figure("ms"))
    rates = Figure("1/s")
    with free:
        free.listen()
        for number in range(bench.rounds):
            bench.say(f"remote: round {number + 1} of {bench.rounds}")
            for clients in CLIENTS:
                _calls(bench, free.port, clients, found)
            _host(bench, free.port, rates)
    rows = []
    for clients in CLIENTS:
        ours, bare = found[f"ours {clients}"], found[f"bare {clients}"]
        note = "602 KB of tensor to a server that costs nothing, in turns"
        rows += [
            Row("remote", f"bare client, {clients} at once, ms", bare),
            Row("remote", f"our engine, {clients} at once, ms", ours),
            Row("remote", f"× the time, {clients} at once", ratio(ours, bare), ("<=", 1.1), note),
            Row(
                "remote",
                f"× the processor time, {clients} at once",
                ratio(found[f"ours {clients} cpu"], found[f"bare {clients} cpu"]),
            ),
        ]
    rows.append(
        Row(
            "remote",
            "audited requests a second and core",
            rates,
            (">=", 350),
            f"the host's processor time, {THREADS} threads, 8 numbers each",
        )
    )
    return rows + _sizes(bench)


def _calls(bench: Bench, port: int, clients: int, found: dict[str, Figure]) -> None:
    engine = _engine(port)
    array = np.random.default_rng(1).normal(size=(1, 3, 224, 224)).astype(np.float32)

    def ours() -> None:
        engine.run({"input": array}, deadline=time.monotonic() + 60)

    times: dict[str, list[float]] = collections.defaultdict(list)
    cpu: dict[str, float] = collections.defaultdict(float)
    blocks = bench.count(10)
    with Meter() as meter:
        for block in range(blocks + 1):
            for name, make in (("bare", lambda: _bare(port, array)), ("ours", lambda: ours)):
                seconds, used = _at_once(make, clients)
                # The first is for connections and caches.
                if block:
                    times[name] += seconds
                    cpu[name] += used
    engine.close()
    for name in ("bare", "ours"):
        found[f"{name} {clients}"].add(1000 * float(np.median(times[name])), meter)
        found[f"{name} {clients} cpu"].add(1000 * cpu[name] / len(times[name]), meter)


def _engine(port: int, model: str = "picture") -> RemoteEngine:
    options = RemoteOptions()
    found = discover(*parse([f"oip://127.0.0.1:{port}/{model}"]), options)
    return RemoteEngine(found.to_bytes(), options)


def _bare(port: int, array: t.Any) -> Call:
    """Return the same call by the protocol's own client; each thread has one of its own."""
    import tritonclient.http as triton

    client = triton.InferenceServerClient(f"127.0.0.1:{port}")

    def call() -> None:
        tensor = triton.InferInput("input", list(array.shape), "FP32")
        tensor.set_data_from_numpy(array)
        output = triton.InferRequestedOutput("scores")
        client.infer("picture", [tensor], outputs=[output]).as_numpy("scores")

    return call


def _at_once(make: t.Callable[[], Call], clients: int) -> tuple[list[float], float]:
    """Return how long each call of *clients* threads took, and their processor time together."""
    times: list[float] = []
    ready = threading.Barrier(clients + 1)

    def work() -> None:
        call, mine = make(), []
        call()
        ready.wait()
        for _ in range(BLOCK):
            started = time.perf_counter()
            call()
            mine.append(time.perf_counter() - started)
        times.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    before = time.process_time()
    for thread in threads:
        thread.join()
    return times, time.process_time() - before


def _host(bench: Bench, port: int, rates: Figure) -> None:
    host = Host(bench, "remote")
    url = f"oip://127.0.0.1:{port}/small"
    words = ("--name", "small", "--version", "v1", "--task", "tensor", "--activate")
    host.flask("ailydian", "models", "add", "--remote", url, *words)
    server = Server(
        "flask-ailydian",
        gunicorn("bench.host:create_app()"),
        "/api/pytorch/inference",
        host.folder,
        {"BENCH_FOLDER": str(host.folder), **ARENAS},
    )
    body = json.dumps({"model_name": "small", "inputs": {"input": [[0.5] * 8]}}).encode()
    wire = load.request(server.path, body).replace(b"image/jpeg", b"application/json", 1)
    with server:
        server.listen()
        load.closed_loop(server.port, [wire], clients=THREADS, count=200)
        before = sum(host.rows().values())
        with Meter(server.pid) as used:
            seconds = bench.seconds(8)
            done = load.closed_loop(server.port, [wire], clients=THREADS, seconds=seconds)
        written = sum(host.rows().values()) - before
    if written != len(done.answers) or len(done.good) != written:
        raise RuntimeError(f"{written} audit rows, {len(done.good)} of {len(done.answers)} good")
    rates.add(len(done.good) / used.cpu, used)


def _sizes(bench: Bench) -> list[Row]:
    """Return how many bytes one photograph is, by the form in which it goes."""
    recipe = preprocessing.ImagePreprocessing.from_json({"kind": "image", "size": [224, 224]})
    photo = bench.photos[0]
    array = preprocessing.load(photo, recipe, max_bytes=2**24, max_pixels=2**26)
    sizes = {}
    for name, binary in (("JSON", False), ("binary", True)):
        text, behind = messages.write_request("i", {"input": array}, ["scores"], binary=binary)
        sizes[f"{name} tensor"] = len(text) + sum(map(len, behind))
    reach = {"JSON tensor": 3001.0, "binary tensor": 588.5}
    rows = []
    for name, size in sizes.items():
        figure = Figure("KB")
        figure.add(size / KB, 0.0)
        what = f"a photograph as {name}, KB"
        rows.append(Row("remote", what, figure, ("<=", reach[name]), "224 × 224 × 3, and its JSON"))
    files = Figure("KB")
    for file in bench.photos:
        files.add(len(file) / KB, 0.0)
    # Nothing is added to a file; how large it is, the camera decides.
    rows.append(Row("remote", "a photograph as JPEG, KB", files, note="1024 × 1024, quality 80"))
    return rows
