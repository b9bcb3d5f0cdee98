"""ResNet-50 against the floor: requests per second, latency, processor time, memory, start."""

from __future__ import annotations

import collections
import statistics

from .. import int8
from .. import load
from .. import rivals
from ..figures import difference
from ..figures import Figure
from ..figures import ratio
from ..figures import Row
from ..floor import Floor
from ..floor import Pass
from ..floor import SETTINGS
from ..machine import memory_bytes
from ..machine import Meter
from ..servers import Server
from ..workshop import bare
from ..workshop import Bench

MODEL, CLIENTS = int8.MODEL, (8, 32)
OURS, INT8 = "flask-ailydian", "flask-ailydian int8"
Figures = dict[str, dict[str, Figure]]


def measure(bench: Bench) -> list[Row]:
    """Let the floor, this package and its peers take turns, round by round."""
    host, has_int8 = int8.serving(bench)
    servers = [host.server(MODEL), bare(bench, MODEL), *rivals.servers(bench, MODEL)]
    if has_int8:
        servers.append(host.server(int8.query(), name=INT8))
    found: Figures = collections.defaultdict(lambda: collections.defaultdict(Figure))
    with Floor(bench, MODEL) as floor:
        for number in range(bench.rounds):
            bench.say(f"throughput: round {number + 1} of {bench.rounds}")
            before = _floor(floor, bench)
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                try:
                    _serve(bench, server, found[server.name])
                except RuntimeError as error:
                    if server.name.startswith(OURS):
                        raise
                    bench.say(f"{server.name} is left out: {error}")
                    found.pop(server.name, None)
                    servers.remove(server)
            _note(found["floor"], before, _floor(floor, bench))
    bench.found["throughput"] = found
    return _rows(found)


def _floor(floor: Floor, bench: Bench) -> dict[str, Pass]:
    return {name: floor.go(name, bench.seconds(2)) for name in SETTINGS}


def _note(figures: dict[str, Figure], before: dict[str, Pass], after: dict[str, Pass]) -> None:
    """Keep the mean of before and after, and how far they are apart."""
    for name in SETTINGS:
        pair = (before[name], after[name])
        others = max(one.others for one in pair)
        for what in ("rate", "cpu_ms", "p50_ms"):
            values = [getattr(one, what) for one in pair]
            figures[f"{name} {what}"].add(statistics.mean(values), others)
        figures[f"{name} drift"].add(after[name].rate / before[name].rate, others)


def _serve(bench: Bench, server: Server, figures: dict[str, Figure]) -> None:
    with server:
        with Meter() as meter:
            first = server.wait(bench.photos[0])
        figures["listens_s"].add(server.listened, meter)
        figures["first_s"].add(first.at - server.started, meter)
        wires = bench.wires(server)
        # What loads lazily, or is compiled on first use, is none of what follows.
        load.closed_loop(server.port, wires, clients=8, count=bench.count(40))
        _alone(bench, server, wires, figures)
        for clients in CLIENTS:
            with Meter(server.pid) as meter:
                seconds = bench.seconds(4 if clients == 8 else 6)
                done = load.closed_loop(server.port, wires, clients=clients, seconds=seconds)
            if len(done.good) < len(done.answers) or done.broken:
                statuses = collections.Counter(a.status for a in done.answers)
                raise RuntimeError(f"{server.name}: {dict(statuses)}, {done.broken} broken")
            figures[f"rate {clients}"].add(done.rate, meter)
            figures[f"cpu {clients}"].add(1000 * meter.cpu / len(done.good), meter)
            figures[f"load cpu {clients}"].add(1000 * done.own_cpu / len(done.good), meter)
            # The first answers to each client came while the queue was filling.
            for q in (50, 95, 99):
                figures[f"p{q} {clients}"].add(done.percentile(q, skip=clients), meter)
        figures["memory"].add(memory_bytes(server.pid) / 1e6, meter)


def _alone(bench: Bench, server: Server, wires: list[bytes], figures: dict[str, Figure]) -> None:
    with Meter(server.pid) as meter:
        done = load.closed_loop(server.port, wires, clients=1, seconds=bench.seconds(3))
    figures["p50 1"].add(done.percentile(50), meter)
    figures["cpu 1"].add(1000 * meter.cpu / len(done.good), meter)


def _rows(found: Figures) -> list[Row]:
    floor = found["floor"]
    best = max(SETTINGS, key=lambda name: floor[f"{name} rate"].median)
    rows = []
    for name in SETTINGS:
        note = "the best setting: the floor" if name == best else ""
        rows.append(Row("floor", f"{name}, images/s", floor[f"{name} rate"], note=note))
        rows.append(Row("floor", f"{name}, CPU ms per image", floor[f"{name} cpu_ms"]))
    rows.append(Row("floor", "after ÷ before", floor[f"{best} drift"]))
    rows.append(Row("floor", "two threads, p50 ms", floor["wide p50_ms"]))
    for name, figures in found.items():
        if name != "floor":
            rows += _server(name, figures, floor, best)
    return rows + _int8(found)


def _server(name: str, mine: dict[str, Figure], floor: dict[str, Figure], best: str) -> list[Row]:
    ours = name == OURS
    rows = []
    for clients in CLIENTS:
        rate, cpu = mine[f"rate {clients}"], mine[f"cpu {clients}"]
        over = ratio(cpu, floor[f"{best} cpu_ms"])
        part = ratio(rate, floor[f"{best} rate"])
        steady = ratio(mine[f"p99 {clients}"], mine[f"p50 {clients}"])
        at = f"c={clients}"
        rows += [
            Row(name, f"{at}, requests/s", rate),
            Row(name, f"{at}, requests/s ÷ floor", part, (">=", 0.97) if ours else None),
            Row(name, f"{at}, CPU ms per request", cpu),
            Row(name, f"{at}, CPU ÷ floor", over, ("<=", 1.03) if ours else None),
            Row(name, f"{at}, p50 ms", mine[f"p50 {clients}"]),
            Row(name, f"{at}, p95 ms", mine[f"p95 {clients}"]),
            Row(name, f"{at}, p99 ms", mine[f"p99 {clients}"]),
            Row(name, f"{at}, p99 ÷ p50", steady, ("<=", 1.1) if ours and clients == 32 else None),
        ]
    lone = ratio(mine["p50 1"], floor["wide p50_ms"])
    rows += [
        Row(name, "c=1, p50 ms", mine["p50 1"]),
        Row(name, "c=1, p50 ÷ two-thread floor", lone, ("<=", 1.1) if ours else None),
        Row(name, "c=1, CPU ms per request", mine["cpu 1"]),
        Row(name, "memory after load (PSS), MB", mine["memory"], ("<=", 330) if ours else None),
        Row(name, "starts to listen after, s", mine["listens_s"]),
        Row(name, "first answer after, s", mine["first_s"]),
        Row(name, "of it the model, s", difference(mine["first_s"], mine["listens_s"])),
    ]
    return rows


def _int8(found: Figures) -> list[Row]:
    if INT8 not in found:
        return []
    rivals = [name for name in found if name not in ("floor", OURS, INT8)]
    rows = []
    for clients in CLIENTS:
        what = f"rate {clients}"
        best = max(rivals, key=lambda name: found[name][what].median)
        over = ratio(found[INT8][what], found[best][what])
        note = f"the best fp32 peer was {best}"
        rows.append(Row(INT8, f"c={clients}, ÷ best fp32 peer", over, (">=", 3.0), note))
    return rows
