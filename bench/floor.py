"""The floor: pre-process and run in a bare loop, no server, no audit.

As a program it loads the model, then reads how many seconds to go from each line of its input,
and writes what it did.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
import threading
import time
import typing as t

import numpy as np

from . import reference
from .machine import CORES
from .machine import Meter
from .servers import ROOT
from .workshop import Bench

#: Setting → processes, loops in each, threads of a run.
SETTINGS = {
    "processes": (CORES, 1, 1),
    "threads": (1, CORES, 1),
    "wide": (1, 1, CORES),
}


@dataclasses.dataclass(frozen=True)
class Pass:
    """What a setting did in one pass."""

    rate: float
    cpu_ms: float
    p50_ms: float
    others: float


class Floor:
    """The loops of every setting, loaded and waiting; a context manager."""

    def __init__(self, bench: Bench, model: str) -> None:
        self._arguments = [str(bench.model(model)), str(bench.work / "photos")]
        self._arguments.append(str(len(bench.photos)))

    def __enter__(self) -> Floor:
        self._loops = {
            name: [self._start(loops, threads) for _ in range(processes)]
            for name, (processes, loops, threads) in SETTINGS.items()
        }
        return self

    def _start(self, loops: int, threads: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.floor", *self._arguments, str(loops), str(threads)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        _read(process)
        return process

    def __exit__(self, *_: object) -> None:
        for process in (p for processes in self._loops.values() for p in processes):
            process.communicate()

    def go(self, setting: str, seconds: float) -> Pass:
        """Let the loops of one setting run for so long."""
        with Meter() as meter:
            for process in self._loops[setting]:
                assert process.stdin is not None
                process.stdin.write(f"{seconds}\n")
                process.stdin.flush()
            done = [_read(process) for process in self._loops[setting]]
        times = [ms for one in done for ms in one["ms"]]
        return Pass(
            rate=len(times) / max(one["wall"] for one in done),
            cpu_ms=1000 * sum(one["cpu"] for one in done) / len(times),
            p50_ms=float(np.median(times)),
            others=meter.others,
        )


def _read(process: subprocess.Popen[str]) -> dict[str, t.Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("The floor's loop ended; what it wrote stands above.")
    return t.cast(dict[str, t.Any], json.loads(line))


def main() -> None:
    """Serve passes until the input ends."""
    path, folder, count, loops, threads = sys.argv[1:]
    photos = []
    for i in range(int(count)):
        with open(f"{folder}/{i:02}.jpg", "rb") as file:
            photos.append(file.read())
    session = reference.open_session(path, int(threads))
    for photo in photos[:3]:
        reference.run(session, reference.prepare(photo))
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(_loops(session, photos, int(loops), float(line))), flush=True)


def _loops(session: t.Any, photos: list[bytes], loops: int, seconds: float) -> dict[str, t.Any]:
    times: list[float] = []
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)

    def loop(number: int) -> None:
        i = number
        while (begun := time.monotonic()) < started + seconds:
            tensor = reference.prepare(photos[i % len(photos)])
            reference.answer(reference.run(session, tensor))
            times.append((time.monotonic() - begun) * 1000)
            i += loops

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(loops)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"ms": times, "wall": wall, "cpu": cpu}


if __name__ == "__main__":
    main()
