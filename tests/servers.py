"""Real servers on loopback: a host under gunicorn, and under Flask's development server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import served_host

TESTS = Path(__file__).parent
#: What the server runs: a host whose folder and settings come by the environment.
APP = "served_host:create_app()"


def told(folder: Path, config: dict[str, t.Any]) -> dict[str, str]:
    """Return the environment by which a host is told its folder and settings."""
    return {
        "SERVED_FOLDER": str(folder),
        "SERVED_CONFIG": json.dumps(config),
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent))),
        "PYTHONUNBUFFERED": "1",
    }


#: Where servers of the running test write, and whether they still may.
_logs: dict[Path, bool] = {}
#: Lines of a log that are shown when a test fails.
SHOWN = 60


@contextlib.contextmanager
def logged(place: Path) -> t.Iterator[None]:
    """Show the end of a log, or of every log in a folder, when the test of the block fails."""
    _logs[place] = True
    try:
        yield
    finally:
        _logs[place] = False


def ends_of_logs() -> list[tuple[str, str]]:
    """Return what the servers of the running test, and those it shares, have said last."""
    found = []
    for place in _logs:
        for log in sorted(place.glob("*.log")) if place.is_dir() else [place]:
            lines = log.read_text(errors="replace").splitlines()
            found.append((f"the end of {log}", "\n".join(lines[-SHOWN:])))
    return found


def forget_ended() -> None:
    """Forget the logs of servers that were an earlier test's."""
    for place in [place for place, running in _logs.items() if not running]:
        del _logs[place]


@contextlib.contextmanager
def serve(
    folder: Path, *options: str, kind: str = "gunicorn", app: str = APP, **config: t.Any
) -> t.Iterator[Server]:
    """Run a host, by default that of ``served_host.py``, in *folder* for the block's length."""
    folder.mkdir(parents=True, exist_ok=True)
    if app == APP:
        # Before any worker starts: of two that make one table, PostgreSQL fails one, and gunicorn
        # ends with a worker that cannot boot.
        served_host.fill(folder, **config)
    if kind == "gunicorn":
        start = ["gunicorn", "--bind", "127.0.0.1:0", *options, app]
    else:
        start = ["flask", "--app", app, "run", "--host", "127.0.0.1", "--port", "0", *options]
    with run(start, folder, told(folder, config)) as server:
        yield server


@contextlib.contextmanager
def run(
    start: t.Sequence[str], folder: Path, environment: dict[str, str], cwd: Path | None = None
) -> t.Iterator[Server]:
    """Run a module of Python's that serves, for the block's length; its log is in *folder*."""
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *start],
            cwd=cwd,
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with logged(log):
        try:
            yield Server(process, log, _port(process, log))
        finally:
            process.terminate()
            process.wait(60)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        assert process.poll() is None, "the server has ended"
        time.sleep(0.05)
    raise AssertionError("the server names no port")


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, port: int) -> None:
        self.process = process
        self.log = log
        self.port = port

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(
        self, method: str, path: str, body: t.Any = None, **headers: str
    ) -> tuple[int, t.Any, dict[str, str]]:
        """Send one request; return status, body and headers."""
        connection = self.connect()
        try:
            sent = None if body is None else json.dumps(body)
            names = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, sent, {"Content-Type": "application/json"} | names)
            response = connection.getresponse()
            text = response.read()
            found = {name.lower(): value for name, value in response.headers.items()}
            return response.status, json.loads(text) if text else None, found
        finally:
            connection.close()
