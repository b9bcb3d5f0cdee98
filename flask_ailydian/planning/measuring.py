"""Measures one model on this machine: a scratch host under gunicorn, asked over loopback.

The host has a database and a folder of its own, so that nothing of the real one is touched, and
records every answer as the real one does.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import http.client
import importlib.util
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import numpy as np
from PIL import Image

from ..engine.signature import zeros
from ..errors import BackendUnavailable
from ..errors import ValidationFailed
from ..prediction import MEMBERS
from ..records import ModelRecord

#: What the server runs, and on how many threads.
APP, THREADS = "flask_ailydian.scratch:create_app()", 64
MISSING = "Planning measures under gunicorn: pip install gunicorn."


@dataclasses.dataclass(frozen=True)
class Request:
    """One request's body and its type."""

    body: bytes
    content_type: str
    path: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a closed loop of callers brought back; seconds."""

    lengths: list[float]
    wall: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.lengths) / self.wall


def request_for(model: ModelRecord, prefix: str, sample: bytes | None) -> Request:
    """Return a request for *model*; of *sample*, or of a made-up input of usual size."""
    member = MEMBERS.get(model.task, "inputs")
    path = f"{prefix}/inference"
    if member == "image":
        query = f"{path}?model_name={model.name}"
        return Request(sample or _photograph(), "image/jpeg", query)
    if member == "text":
        text = (sample or "Yarın saat kaçta açıksınız, randevu almam gerekir mi?".encode()).decode()
        value: t.Any = text
    elif sample is not None:
        value = json.loads(sample)
    else:
        value = {n: a.tolist() for n, a in zeros(model.inputs, ()).items()}
    body = json.dumps({"model_name": model.name, member: value}).encode()
    return Request(body, "application/json", path)


def _photograph() -> bytes:
    """Return a JPEG of 1024 x 1024 pixels with edges, gradients and grain, as photographs have."""
    chance = np.random.default_rng(0)
    y, x = np.mgrid[0:1024, 0:1024] / 1024
    waves = sum(np.sin(2 * np.pi * (a * x + b * y)) for a, b in ((1, 2), (5, 3), (17, 11)))
    grey = 128 + 30 * waves + 25 * (x > y) + chance.normal(0, 6, x.shape)
    pixels = np.clip(np.stack([grey, grey * 0.9 + 10, grey * 0.8 + 20], -1), 0, 255)
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG", quality=88)
    return stream.getvalue()


class Scratch:
    """A running host that serves one model."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.folder = folder
        self.process = process
        self.port = port

    def closed_loop(self, request: Request, callers: int, seconds: float) -> Measured:
        """Ask from *callers* threads, each as soon as it has its answer."""
        lengths: list[list[float]] = [[] for _ in range(callers)]
        end = time.monotonic() + seconds
        failed: list[str] = []

        def caller(mine: list[float]) -> None:
            with contextlib.closing(self.connect()) as connection:
                while time.monotonic() < end and not failed:
                    started = time.perf_counter()
                    said = ask(connection, request)
                    mine.append(time.perf_counter() - started)
                    if said is not None:
                        failed.append(said)

        started = time.monotonic()
        threads = [threading.Thread(target=caller, args=(mine,)) for mine in lengths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise BackendUnavailable(f"The scratch host refused the sample: {failed[0]}")
        return Measured([s for mine in lengths for s in mine], time.monotonic() - started)

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def cpu_seconds(self) -> float:
        """Return the processor seconds of the server and its worker."""
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / ticks

    def memory_bytes(self) -> int:
        """Return the proportional set size of the server and its worker."""
        total = 0
        for pid in self._pids():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(t.cast("re.Match[str]", re.search(r"^Pss:\s+(\d+)", text, re.M))[1])
        return total * 1024

    def database_bytes(self) -> int:
        """Return how large the database is, with what waits in its log."""
        with contextlib.closing(sqlite3.connect(self.folder / "scratch.db")) as database:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
            pages = database.execute("PRAGMA page_count").fetchone()[0]
            size = database.execute("PRAGMA page_size").fetchone()[0]
        return int(pages * size)

    def _pids(self) -> list[int]:
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *map(int, children)]


def ask(connection: http.client.HTTPConnection, request: Request) -> str | None:
    """Send one request; return what an answer other than 200 says."""
    connection.request("POST", request.path, request.body, {"Content-Type": request.content_type})
    response = connection.getresponse()
    text = response.read()
    if response.status == 200:
        return None
    found = json.loads(text)
    return str(found.get("detail") or found.get("title") or response.status)


@contextlib.contextmanager
def scratch(
    data: bytes, row: c.Mapping[str, t.Any], config: c.Mapping[str, t.Any]
) -> c.Iterator[Scratch]:
    """Run a host with one model for the length of the block.

    :param row: The model's columns, as JSON can hold them.
    :param config: Settings of the real host that count here.
    :raises BackendUnavailable: without gunicorn, or when the host does not start.
    """
    if importlib.util.find_spec("gunicorn") is None:
        raise BackendUnavailable(MISSING)
    with tempfile.TemporaryDirectory(prefix="ailydian-plan-") as name:
        folder = Path(name)
        (folder / "model").write_bytes(data)
        (folder / "plan.json").write_text(json.dumps({"row": dict(row), "config": dict(config)}))
        log = folder / "server.log"
        command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0"]
        command += ["--threads", str(THREADS), APP]
        environment = os.environ | {"AILYDIAN_SCRATCH": name, "OMP_NUM_THREADS": "1"}
        with log.open("w") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield Scratch(folder, process, _port(process, log))
        finally:
            process.terminate()
            process.wait(60)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise BackendUnavailable("The scratch host did not start; is the model's file whole?")


def check_sample(model: ModelRecord, sample: bytes | None) -> None:
    """Raise :class:`ValidationFailed` for a sample that cannot be the model's input."""
    if sample is not None and MEMBERS.get(model.task, "inputs") != "image":
        try:
            sample.decode()
        except UnicodeDecodeError as error:
            raise ValidationFailed(fields={"sample": ["The file is not UTF-8."]}) from error
