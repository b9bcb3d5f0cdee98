"""Whether `flask ailydian plan` is right: its prediction beside an open load at three rates.

`python -m bench.plan` measures ResNet-50 on this machine as the command does, then sends requests
at random moments, whether or not earlier ones are answered, and compares. It also plays the very
moments of each load through the model: what chance of arrival makes is then on both sides.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import numpy as np

from flask_ailydian import current_ailydian
from flask_ailydian.planning import measuring
from flask_ailydian.planning import service
from flask_ailydian.planning.queueing import predict
from flask_ailydian.registration import Declared

from . import host
from . import report
from . import resnet50
from .machine import Meter

#: Shares of the capacity at which the prediction is checked.
SHARES = (0.3, 0.6, 0.8)
CALLERS = 64
#: Seconds for which the capacity is measured once more after a load.
AFTER_SECONDS = 4.0
#: Where others used more of the machine, or its capacity changed by more, a load says nothing.
OTHERS, CHANGED = 0.02, 0.1
RESULTS = Path(__file__).parent / "results" / "plan.json"
#: An idle connection is not used again after so long: gunicorn closes it after two seconds.
KEPT_SECONDS = 1.0


def open_loop(found: service.Bench, arrivals: t.Sequence[float]) -> list[float]:
    """Send a request at each of *arrivals*, seconds from now; return how long each took."""
    lengths: list[float] = []
    coming = iter(arrivals)
    lock = threading.Lock()
    start = time.monotonic() + 0.2
    failed: list[str] = []

    def caller() -> None:
        with contextlib.closing(found.host.connect()) as connection:
            used = time.monotonic()
            while not failed:
                with lock:
                    moment = next(coming, None)
                if moment is None:
                    return
                time.sleep(max(0.0, start + moment - time.monotonic()))
                if time.monotonic() - used > KEPT_SECONDS:
                    connection.close()
                said = measuring.ask(connection, found.request)
                used = time.monotonic()
                # From when it was due: a caller that comes late has waited too.
                lengths.append(time.monotonic() - start - moment)
                if said is not None:
                    failed.append(said)

    threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"An answer failed: {failed[0]}")
    return lengths


def main() -> None:
    """Measure, load and compare; print a table."""
    parser = argparse.ArgumentParser("bench.plan", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--save", action="store_true", help="write results/plan.json")
    options = parser.parse_args()
    seconds: float = options.seconds
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_FOLDER"] = folder
        app = host.create_app()
        with app.app_context():
            current_ailydian.db.create_all()
            declared = Declared(task="image-classification", size=(224, 224))
            current_ailydian.registry.register(resnet50.build(), "resnet50", "v1", declared)
            with service.bench(current_ailydian, "resnet50") as found:
                rows = _compare(found, seconds)
    if options.save and any(map(_noisy, rows)):
        raise SystemExit("The machine was not quiet: nothing was saved; run again.")
    if options.save:
        whole = {"machine": report.machine(), "seconds": seconds, "rows": rows}
        RESULTS.write_text(json.dumps(whole, indent=1) + "\n")


def _compare(found: service.Bench, seconds: float) -> list[dict[str, float]]:
    """Print a line for each load, and return what stands in it."""
    print(
        "share  alone ms  capacity/s  after  rate/s  requests  others"
        "   p99 ms: measured  predicted  ratio  same moments  ratio"
    )
    chance = np.random.default_rng(1)
    rows = []
    for share in SHARES:
        # Anew before each: what a machine does in a second is not the same all day.
        figures = service.measure(found)
        rate = share * figures.capacity
        arrivals = np.cumsum(chance.exponential(1 / rate, int(rate * seconds))).tolist()
        with Meter(found.host.process.pid) as meter:
            lengths = open_loop(found, arrivals)
        after = found.host.closed_loop(found.request, 2 * figures.slots, AFTER_SECONDS).rate
        row = {
            "share": share,
            "alone_ms": round(figures.seconds[1] * 1000, 1),
            "capacity": round(figures.capacity, 1),
            "capacity_after": round(after, 1),
            "rate": round(rate, 1),
            "requests": len(lengths),
            "others": round(meter.others, 3),
            "p99_measured_ms": round(float(np.percentile(lengths, 99)) * 1000),
            "p99_predicted_ms": round(predict(figures, rate).p99 * 1000),
            "p99_same_moments_ms": round(predict(figures, rate, arrivals=arrivals).p99 * 1000),
        }
        rows.append(row)
        general, same = (
            row[f"p99_{which}_ms"] / row["p99_measured_ms"]
            for which in ("predicted", "same_moments")
        )
        print(
            f"{share:5.0%}{row['alone_ms']:10.1f}{row['capacity']:12.1f}"
            f"{row['capacity_after']:7.1f}{rate:8.1f}{len(lengths):10d}{meter.others:8.1%}"
            f"{row['p99_measured_ms']:19d}{row['p99_predicted_ms']:11d}{general:7.2f}"
            f"{row['p99_same_moments_ms']:14d}{same:7.2f}",
            "  noisy" * _noisy(row),
            flush=True,
        )
    return rows


def _noisy(row: dict[str, float]) -> bool:
    """Whether a load met another machine than the one that was measured before it."""
    changed = abs(row["capacity_after"] / row["capacity"] - 1)
    return row["others"] > OTHERS or changed > CHANGED


if __name__ == "__main__":
    main()
