"""Servers as real processes, each with a port and a log file of its own."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
import types
import typing as t
from pathlib import Path

from . import load

ROOT = Path(__file__).parent.parent
#: Threads of a gunicorn worker, as the guide recommends: more than the requests that may wait.
THREADS = 160


@dataclasses.dataclass
class Server:
    """One server; a context manager that starts and ends it.

    :param command: What runs; ``{port}`` and ``{work}`` in it are filled in.
    :param path: Where a JPEG is posted.
    :param work: Where the log file goes.
    """

    name: str
    command: list[str]
    path: str
    work: Path
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    #: Whether it wants the JPEG in a form, and not as the body.
    multipart: bool = False
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    #: Seconds from the start to the first answer of any kind.
    listened: float = 0.0

    def start(self) -> None:
        """Start the process; it need not listen yet."""
        self.work.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "",
            **self.environment,
        }
        command = [part.format(port=self.port, work=self.work) for part in self.command]
        with (self.work / f"{self.name}.log").open("ab") as log:
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wire(self, photo: bytes) -> bytes:
        """Return the request that asks this server about a photograph."""
        return load.request(self.path, photo, multipart=self.multipart)

    def listen(self, *, seconds: float = 60) -> None:
        """Wait until the server answers anything at all.

        :raises RuntimeError: when it does not in time.
        """
        until = time.monotonic() + seconds
        wire = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        while time.monotonic() < until and self.running:
            try:
                answer = load.Connection(self.port).ask(wire)
                self.listened = answer.at - self.started
                return
            except OSError:
                time.sleep(0.01)
        self._give_up("it did not listen")

    def wait(self, body: bytes, *, seconds: float = 60) -> load.Answer:
        """Return the first good answer to *body*.

        :raises RuntimeError: when there is none in time; it quotes the end of the log.
        """
        self.listen(seconds=seconds)
        until = time.monotonic() + seconds
        found = "it gave no answer"
        while time.monotonic() < until and self.running:
            try:
                answer = load.Connection(self.port).ask(self.wire(body))
                if answer.status == 200:
                    return answer
                found = f"it answered {answer.status}: {answer.body[:300]!r}"
            except OSError:
                pass
            time.sleep(0.02)
        self._give_up(found)

    def _give_up(self, found: str) -> t.NoReturn:
        log = self.work / f"{self.name}.log"
        tail = log.read_text(errors="replace")[-2000:]
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {found}.\n{tail}")

    def stop(self) -> None:
        """End the process and all it started."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            pass
        # Its session is its own: whatever is left in it was started by it.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The process at the root of the server's tree."""
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> t.Literal[False]:
        self.stop()
        return False


def gunicorn(app: str, *, threads: int = THREADS, python: str = sys.executable) -> list[str]:
    """Return the command of one gunicorn worker with threads."""
    return [
        *(python, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1"),
        *("--worker-class", "gthread", "--threads", str(threads), "--keep-alive", "75"),
        *("--timeout", "120", "--worker-tmp-dir", "/dev/shm", "--no-control-socket", app),
    ]
