"""Where a request's time goes: the app called in this process, without a server, and profiled.

``python -m bench.stages`` compares a bare view, the package, and the package without its audit;
``python -m bench.stages audit`` (or ``no-audit``, ``bare``) lists what the functions of one cost.

Each is timed twice: with the processor's caches warm from the request before, and cold, as a
large model leaves them, whose run reads more than they hold.
"""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import numpy as np
from werkzeug.test import EnvironBuilder

from .servers import ROOT
from .workshop import Bench
from .workshop import Host
from .workshop import PREFIX

MODEL, REQUESTS, WARM, SHOWN = "small", 300, 20, 45
#: More than the caches of processors hold.
STREAMED_BYTES = 10**8
FORMS = ("bare", "no-audit", "audit")
#: One thread a run: with more, the run's processor time is not this thread's alone.
SETTINGS = {"FLASK_AILYDIAN_THREADS": "1"}


def main() -> None:
    """Prepare a host and time each form in a process of its own, or profile one."""
    form = sys.argv[1] if len(sys.argv) > 1 else ""
    bench = Bench(1, True, False, Path(__file__).resolve().parent / ".work")
    folder = bench.work / "hosts" / "stages"
    if "BENCH_FOLDER" not in os.environ:
        Host(bench, "stages").add(MODEL)
        environment = {**os.environ, **SETTINGS, "BENCH_FOLDER": str(folder)}
        environment["BENCH_MODEL"] = str(bench.model(MODEL))
        for one in [form] if form else FORMS:
            environment["BENCH_AUDIT"] = "off" if one == "no-audit" else "on"
            command = [sys.executable, "-m", "bench.stages", one]
            command += ["profile"] if form else []
            subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return
    app, path = _app(form)
    for caches in ("warm", "cold"):
        streamed = np.ones(STREAMED_BYTES // 8 if caches == "cold" else 1)
        times = []
        for i in range(WARM + REQUESTS):
            streamed.sum()
            times.append(_one(app, path, bench.photos[i % len(bench.photos)]))
        wall, cpu = np.median(times[WARM:], axis=0)
        print(f"{form:8} caches {caches}: {wall:7.3f} ms, of it CPU {cpu:7.3f} ms", flush=True)
    if len(sys.argv) > 2:
        _profile(app, path, bench.photos)


def _app(form: str) -> tuple[t.Any, str]:
    if form == "bare":
        from . import bare

        return bare.create_app(), "/predict"
    from . import host

    return host.create_app(), f"{PREFIX}?model_name={MODEL}&top_k=5"


def _one(app: t.Any, path: str, photo: bytes) -> tuple[float, float]:
    """Return a request's milliseconds: by the clock, and of this thread's processor time."""
    builder = EnvironBuilder(
        path=path,
        method="POST",
        input_stream=io.BytesIO(photo),
        content_type="image/jpeg",
        content_length=len(photo),
    )
    environ = builder.get_environ()
    statuses: list[str] = []
    started, cpu = time.perf_counter(), time.thread_time()
    answer = app.wsgi_app(environ, lambda status, *_: statuses.append(status))
    body = b"".join(answer)
    answer.close()
    spent = (time.perf_counter() - started) * 1000, (time.thread_time() - cpu) * 1000
    if not statuses[0].startswith("200"):
        raise RuntimeError(f"{statuses[0]}: {body[:300]!r}")
    return spent


def _profile(app: t.Any, path: str, photos: list[bytes]) -> None:
    """Print the functions that cost most; Python's own are slowed down by being watched."""
    profiler = cProfile.Profile()
    profiler.enable()
    for i in range(REQUESTS):
        _one(app, path, photos[i % len(photos)])
    profiler.disable()
    found = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    rows = [(own, whole, calls, where) for where, (_, calls, own, whole, _) in found.items()]
    print("  own ms  whole ms  calls  function (a request, while being profiled)")
    chosen = sorted(rows, reverse=True)[:SHOWN]
    ours = [row for row in rows if "flask_ailydian" in row[3][0] and row[1] > 0.01]
    chosen += [row for row in sorted(ours, key=lambda row: -row[1]) if row not in chosen]
    for own, whole, calls, (file, _, name) in chosen:
        place = "/".join(Path(file).parts[-2:])
        print(
            f"{own / REQUESTS * 1000:8.3f}  {whole / REQUESTS * 1000:8.3f}  "
            f"{calls / REQUESTS:5.1f}  {place}:{name}"
        )


if __name__ == "__main__":
    main()
