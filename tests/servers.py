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


@contextlib.contextmanager
def serve(
    folder: Path, *options: str, kind: str = "gunicorn", app: str = APP, **config: t.Any
) -> t.Iterator[Server]:
    """Run a host, by default that of ``served_host.py``, in *folder* for the block's length."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "gunicorn":
        start = ["gunicorn", "--bind", "127.0.0.1:0", *options, app]
    else:
        start = ["flask", "--app", app, "run", "--host", "127.0.0.1", "--port", "0", *options]
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *start],
            env=os.environ | told(folder, config),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
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
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(log.read_text())


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
