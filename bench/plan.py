"""Whether `flask ailydian plan` is right: its prediction beside an open load at three rates.

`python -m bench.plan` measures ResNet-50 on this machine as the command does, then sends requests
at random moments, whether or not earlier ones are answered, and compares. It also plays the very
moments of each load through the model: what chance of arrival makes is then on both sides.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
import typing as t

import numpy as np

from flask_ailydian import current_ailydian
from flask_ailydian.planning import measuring
from flask_ailydian.planning import service
from flask_ailydian.planning.queueing import predict
from flask_ailydian.registration import Declared

from . import host
from . import resnet50
from .machine import Meter

#: Shares of the capacity at which the prediction is checked.
SHARES = (0.3, 0.6, 0.8)
CALLERS = 64


def open_loop(found: service.Bench, arrivals: t.Sequence[float]) -> list[float]:
    """Send a request at each of *arrivals*, seconds from now; return how long each took."""
    lengths: list[float] = []
    coming = iter(arrivals)
    lock = threading.Lock()
    start = time.monotonic() + 0.2
    failed: list[str] = []

    def caller() -> None:
        with contextlib.closing(found.host.connect()) as connection:
            connection.connect()
            while not failed:
                with lock:
                    moment = next(coming, None)
                if moment is None:
                    return
                time.sleep(max(0.0, start + moment - time.monotonic()))
                said = measuring.ask(connection, found.request)
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
    seconds: float = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_FOLDER"] = folder
        app = host.create_app()
        with app.app_context():
            current_ailydian.db.create_all()
            declared = Declared(task="image-classification", size=(224, 224))
            current_ailydian.registry.register(resnet50.build(), "resnet50", "v1", declared)
            with service.bench(current_ailydian, "resnet50") as found:
                _compare(found, seconds)


def _compare(found: service.Bench, seconds: float) -> None:
    figures = service.measure(found, say=lambda step: print(f"measuring: {step} …"))
    alone = figures.seconds[1] * 1000
    print(f"{alone:.1f} ms alone, {figures.capacity:.1f} requests/s with every slot busy")
    print(
        "share  rate/s  requests  others   p99 ms: measured  predicted  ratio  same moments  ratio"
    )
    chance = np.random.default_rng(1)
    for share in SHARES:
        rate = share * figures.capacity
        arrivals = np.cumsum(chance.exponential(1 / rate, int(rate * seconds))).tolist()
        with Meter(found.host.process.pid) as meter:
            lengths = open_loop(found, arrivals)
        p99 = float(np.percentile(lengths, 99))
        general = predict(figures, rate).p99
        same = predict(figures, rate, arrivals=arrivals).p99
        print(
            f"{share:10.0%}{rate:10.1f}{len(lengths):10d}{meter.others:10.0%}{p99 * 1000:10.0f}"
            f"{general * 1000:10.0f}{general / p99:10.2f}{same * 1000:10.0f}{same / p99:10.2f}"
        )


if __name__ == "__main__":
    main()
