"""The query router: many short queries at once, none lost; what scoring and routing take."""

from __future__ import annotations

import collections.abc as c
import csv
import importlib.util
import json
import random
import sqlite3
import time
import typing as t
from pathlib import Path

import numpy as np

from flask_ailydian.routing import complexity
from flask_ailydian.routing import lexicon

from .. import load
from ..figures import Figure
from ..figures import Row
from ..machine import Meter
from ..servers import Server
from ..workshop import Bench
from ..workshop import Host

QUERIES, CLIENTS, SCORED = 1000, 16, 2000
#: Labels of the router that learns; with fewer it is refused.
TAUGHT, LEAST = 3000, 600
PATH = "/api/pytorch/query"
SIMPLE = (
    "Merhaba",
    "Günaydın",
    "İyi akşamlar",
    "Saat kaçta açıyorsunuz?",
    "Adresiniz nerede?",
    "Randevu almak istiyorum",
    "Otopark var mı?",
    "Telefon numaranız nedir?",
)
LONGER = (
    "Bu göğüs röntgeninde pnömoni var mı?",
    "Hasta verilerini analiz ederek COVID-19, pnömoni ve normal akciğer dokusu arasındaki farkları "
    "karşılaştır",
    "İki kira sözleşmesini değerlendir: hangisinde kiracının hakları daha iyi korunuyor, cayma "
    "bedeli ve dava yolu nasıl düzenlenmiş, aralarındaki farklar neler? " * 3,
)


def measure(bench: Bench) -> list[Row]:
    """Send short queries from several clients, and count what is on record of each answer."""
    host = Host(bench, "routing")
    host.flask("ailydian", "models", "demo")
    wires = [_wire(query) for query in SIMPLE]
    names = ("lost", "wrong", "rate", "wall", "routing", "alone")
    found = {name: Figure() for name in names}
    with host.server("help-desk-demo") as server:
        server.listen()
        load.closed_loop(server.port, wires, clients=CLIENTS, count=bench.count(200))
        for _ in range(bench.rounds):
            _together(bench, host, server, wires, found)
            with Meter(server.pid) as meter:
                done = load.closed_loop(server.port, wires, clients=1, count=bench.count(QUERIES))
            found["alone"].add(np.percentile(_routing(done), 99), meter)
    asked = f"of {bench.count(QUERIES)} from {CLIENTS} clients"
    note = "as the answers say it: from the query to the decision, what it costs included"
    longest = max(len(query.split()) for query in LONGER)
    return [
        Row("routing", f"answers without their ledger rows, {asked}", found["lost"], ("<=", 0)),
        Row("routing", f"no answer, or by another backend, {asked}", found["wrong"], ("<=", 0)),
        Row("routing", f"{CLIENTS} clients, queries/s", found["rate"]),
        Row("routing", f"{CLIENTS} clients, whole answer, p99 ms", found["wall"]),
        Row("routing", f"{CLIENTS} clients, routing, p99 ms", found["routing"], ("<=", 1.0), note),
        Row("routing", "1 client, routing, p99 ms", found["alone"], ("<=", 1.0), note),
        Row(
            *("routing", "complexity score, p99 ms", _scores(bench), ("<", 0.2)),
            f"of queries with {longest} words at most",
        ),
        *_learned(bench, host),
    ]


def _wire(query: str) -> bytes:
    kind = {"Content-Type": "application/json"}
    return load.request(PATH, json.dumps({"query": query}).encode(), kind)


def _together(
    bench: Bench, host: Host, server: Server, wires: list[bytes], found: dict[str, Figure]
) -> None:
    count = bench.count(QUERIES)
    before = _recorded(host)
    with Meter(server.pid) as meter:
        done = load.closed_loop(server.port, wires, clients=CLIENTS, count=count)
    bodies = [json.loads(answer.body) for answer in done.good]
    after = _recorded(host)
    fresh = {table: after[table] - before[table] for table in after}
    given = {body["id"] for body in bodies}
    # Also a row that belongs to no answer is one too many.
    found["lost"].add(sum(len(given ^ rows) for rows in fresh.values()), meter)
    local = sum(body["backend"] == "onnx" for body in bodies)
    found["wrong"].add(count - min(local, len(given)), meter)
    found["rate"].add(done.rate, meter)
    found["wall"].add(done.percentile(99), meter)
    found["routing"].add(np.percentile(_routing(done), 99), meter)


def _routing(done: load.Load) -> list[float]:
    return [json.loads(answer.body)["performance"]["routing_ms"] for answer in done.good]


def _recorded(host: Host) -> dict[str, set[str]]:
    """Return the ids of the queries that are on record, and of those whose cost is settled."""
    tables = {
        "pytorch_inference_logs": "status = 'success'",
        "pytorch_query_costs": "state = 'settled'",
    }
    with sqlite3.connect(host.folder / "host.db") as connection:
        return {
            table: {id for (id,) in connection.execute(f"SELECT id FROM {table} WHERE {whole}")}
            for table, whole in tables.items()
        }


def _scores(bench: Bench) -> Figure:
    figure, words = Figure("ms"), lexicon.build(("tr", "en"))
    for _ in range(bench.rounds):
        with Meter() as meter:
            spent = list(_spent(SIMPLE + LONGER, bench.count(SCORED), words))
        figure.add(np.percentile(spent, 99), meter)
    return figure


def _spent(queries: t.Sequence[str], count: int, words: lexicon.Lexicon) -> c.Iterator[float]:
    for number in range(count):
        begun = time.perf_counter()
        complexity.rules(queries[number % len(queries)], words)
        yield (time.perf_counter() - begun) * 1000


def _learned(bench: Bench, host: Host) -> list[Row]:
    """Train a router as its operator would, and let its own command say what a query takes."""
    if importlib.util.find_spec("sklearn") is None:
        bench.say('routing: nothing learns without pip install "flask-ailydian[learn]"')
        return []
    chance = random.Random(16)
    vocabulary = ["".join(chance.choices("aeiklmnrst", k=k % 9 + 3)) for k in range(2000)]
    taught, fresh = host.folder / "taught.csv", host.folder / "fresh.csv"
    _table(taught, max(bench.count(TAUGHT), LEAST), vocabulary, chance)
    _table(fresh, bench.count(QUERIES), vocabulary, chance)
    command = ("ailydian", "router")
    host.flask(*command, "train", "--from", str(taught), "--version", "v1")
    figure = Figure("ms")
    for _ in range(bench.rounds):
        with Meter() as meter:
            said = host.flask(
                *(*command, "evaluate", "--on", str(fresh), "--model", "router", "--json")
            )
        figure.add(json.loads(said.stdout)["milliseconds"]["p99"], meter)
    note = "`router evaluate --model`: looks, vectors of n-grams, the forest"
    return [Row("routing", "learned decision, p99 ms", figure, ("<=", 1.5), note)]


def _table(file: Path, count: int, vocabulary: list[str], chance: random.Random) -> None:
    """Write questions with four choices each, half of them hard, which their words show."""
    half = len(vocabulary) // 2
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(["query", "weak", "strong"])
        for _ in range(count):
            hard = chance.random() < 0.5
            words = vocabulary[:half] if hard else vocabulary[half:]
            lines = [" ".join(chance.choices(words, k=chance.randint(8, 60))) + "?"]
            for letter in "ABCD":
                lines.append(f"{letter}. " + " ".join(chance.choices(words, k=4)))
            weak = float(chance.random() > (0.8 if hard else 0.2))
            writer.writerow(["\n".join(lines), weak, 1.0])
