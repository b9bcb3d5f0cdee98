"""Makes what the bench needs, from fixed seeds, and starts what it measures."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import shutil
import sqlite3
import subprocess
import sys
import typing as t
from pathlib import Path

from . import models
from . import photos
from . import resnet50
from .servers import gunicorn
from .servers import ROOT
from .servers import Server

PREFIX = "/api/pytorch/inference"
RECIPE = ("--size", "224", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")
MODELS: dict[str, c.Callable[[], bytes]] = {"resnet50": resnet50.build, "small": models.small}


@dataclasses.dataclass
class Bench:
    """One run: how thorough it is, where it works, and what it works on."""

    rounds: int
    quick: bool
    peers: bool
    work: Path
    say: c.Callable[[str], None] = print
    #: What one line found that another needs.
    found: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        self.photos = self._photos(4 if self.quick else 32)

    def seconds(self, full: float) -> float:
        """Return how long to measure something that takes *full* seconds in a whole run."""
        return max(full / 8, 0.5) if self.quick else full

    def count(self, full: int) -> int:
        """Return how often to do what a whole run does *full* times."""
        return max(full // 10, 4) if self.quick else full

    def model(self, name: str) -> Path:
        """Return where a model's file lies, built when it was not there."""
        file = self.work / f"{name}.onnx"
        if not file.exists():
            self._write(file, MODELS[name]())
        return file

    def wires(self, server: Server) -> list[bytes]:
        """Return the requests that ask *server* about the photographs."""
        return [server.wire(photo) for photo in self.photos]

    def _photos(self, count: int) -> list[bytes]:
        folder = self.work / "photos"
        folder.mkdir(exist_ok=True)
        files = [folder / f"{i:02}.jpg" for i in range(count)]
        if not all(file.exists() for file in files):
            self.say(f"Drawing {count} photographs …")
            for file, data in zip(files, photos.make(count), strict=True):
                self._write(file, data)
        return [file.read_bytes() for file in files]

    @staticmethod
    def _write(file: Path, data: bytes) -> None:
        # Whole or not at all: a run that was stopped must not spoil the next.
        part = file.with_suffix(".part")
        part.write_bytes(data)
        part.replace(file)


class Host:
    """The host app of the bench: a folder with a database and models, and servers on it."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.folder = bench.work / "hosts" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._bench = bench
        self.flask("create-tables")

    def flask(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the host, as its operator would.

        :raises RuntimeError: with what the command said, when it fails.
        """
        command = [sys.executable, "-m", "flask", "--app", "bench.host", *arguments]
        environment = {**os.environ, "BENCH_FOLDER": str(self.folder)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"flask {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def add(self, name: str, *more: str, file: Path | None = None) -> None:
        """Register a model of the bench and activate it."""
        path = str(file or self._bench.model(name))
        task = ("--task", "image-classification", "--domain", "civic")
        self.flask(
            *("ailydian", "models", "add", path, "--name", name, "--version", "v1"),
            *(*task, *RECIPE, "--activate", *more),
        )

    def cost(self, name: str) -> int:
        """Return the bytes of a model that count against the budget of memory."""
        return int(self.flask("cost", name).stdout)

    def server(self, model: str, *, name: str = "flask-ailydian", **environment: str) -> Server:
        """Return a server of this host, not started; *model* is what its path asks."""
        return Server(
            name,
            gunicorn("bench.host:create_app()"),
            f"{PREFIX}?model_name={model}&top_k=5",
            self.folder,
            {"BENCH_FOLDER": str(self.folder), **environment},
        )

    def rows(self) -> dict[str, int]:
        """Return how many audit rows there are, by status."""
        with sqlite3.connect(self.folder / "host.db") as connection:
            query = "SELECT status, COUNT(*) FROM pytorch_inference_logs GROUP BY status"
            return dict(connection.execute(query).fetchall())


def bare(bench: Bench, model: str, *, threads: int = 4, run_threads: int = 1) -> Server:
    """Return a bare Flask view under gunicorn on the same model, not started."""
    environment = {"BENCH_MODEL": str(bench.model(model)), "BENCH_RUN_THREADS": str(run_threads)}
    command = gunicorn("bench.bare:create_app()", threads=threads)
    return Server("bare-flask", command, "/predict", bench.work / "bare", environment)
