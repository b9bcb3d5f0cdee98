"""A real Redis for tests: a process of its own on a socket in a folder, which may be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import pytest


class RedisServer:
    """A Redis that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self._socket), "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while not self._socket.exists():
            assert self._process.poll() is None and time.monotonic() < end
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None
            self._socket.unlink(missing_ok=True)


@contextlib.contextmanager
def redis_server() -> t.Iterator[RedisServer]:
    """Run a Redis for the length of the block."""
    if shutil.which("redis-server") is None and not os.environ.get("CI"):
        pytest.skip("no redis-server here; run: apt-get install redis-server")
    # Not pytest's own folder: the path of a socket has room for a hundred characters.
    with tempfile.TemporaryDirectory(prefix="ailydian-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
