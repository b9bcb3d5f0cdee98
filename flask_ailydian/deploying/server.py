"""gunicorn on sockets that are handed to it, and the place where a deployment keeps its things."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from . import keeper
from .processes import look
from .processes import Running
from .steps import Stopped

#: So long a server may take to finish its requests.
STOP_SECONDS = 60.0
RECOMMENDED = "python:flask_ailydian.deploying.recommended"


class Place:
    """The folder of one deployment: who runs, what they print, backups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = folder / "server.json"
        self.candidate = folder / "candidate.json"
        self.keeper = folder / "keeper.json"
        self.pid_file = folder / "server.pid"
        self.backups = folder / "backups"

    def make(self) -> None:
        """Make the folder, for this user alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def alone(self) -> t.Iterator[None]:
        """Keep other deployments out for the length of the block."""
        self.make()
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Stopped(
                    "Another deployment is at work here.", "Wait until it ends."
                ) from None
            yield

    def running(self) -> Running | None:
        """Return the server that was deployed here and still runs."""
        found = Running.read(self.server)
        return found if found is not None and found.alive() else None

    def log(self, name: str) -> Path:
        """Return the file that a server prints to."""
        return self.folder / f"{name}.log"


def address(bind: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    :raises Stopped: for anything else.
    """
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\s]+):(\d{1,5})", bind)
    if not found or int(found[2]) > 65535:
        raise Stopped(f"{bind!r} is no address.", "Say --bind 127.0.0.1:8000.")
    return found[1].strip("[]"), int(found[2])


def listen(bind: str) -> socket.socket:
    """Return a new socket that listens on ``HOST:PORT``.

    :raises Stopped: when it cannot.
    """
    host, port = address(bind)
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(2048)
    except OSError as error:
        made.close()
        raise Stopped(
            f"{bind} cannot be listened on: {error.strerror}.",
            "Somebody else may have it; stop them, or choose another with --bind.",
        ) from error
    return made


def private() -> socket.socket:
    """Return a socket on a free port of the loopback interface."""
    return listen("127.0.0.1:0")


def public(place: Place, bind: str) -> tuple[socket.socket, bool]:
    """Return the socket that the world connects to, and whether it is a new one."""
    kept = Running.read(place.keeper)
    if kept is not None and kept.alive() and kept.details.get("bind") == bind:
        with contextlib.suppress(OSError):
            return socket.socket(fileno=keeper.fetch(place.folder)), False
    return listen(bind), True


def hold(place: Place, made: socket.socket, bind: str) -> None:
    """Have a new keeper hold the socket; the one before has nothing to hold any more."""
    before = Running.read(place.keeper)
    made.set_inheritable(True)
    with place.log("keeper").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", keeper.__file__, str(made.fileno()), str(place.folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[made.fileno()],
            start_new_session=True,
            cwd="/",
        )
    if before is not None:
        before.terminate(5)
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            os.close(keeper.fetch(place.folder))
            described(process, "keeper.py", bind=bind).write(place.keeper)
            return
        time.sleep(0.05)
    process.terminate()
    raise Stopped("The keeper of the socket did not start.", f"See {place.log('keeper')}.")


def described(process: subprocess.Popen[bytes], mark: str, **details: t.Any) -> Running:
    """Describe a child that was just started, once it has become what it is to be.

    :raises ProcessLookupError: when it has ended already.
    """
    until = time.monotonic() + 5
    # A process that was only forked still has its parent's command line.
    while (found := look(process.pid)) and mark not in found[1] and time.monotonic() < until:
        time.sleep(0.01)
    return Running.of(process.pid, mark, **details)


class Launch(t.NamedTuple):
    """How servers are started.

    :param app: What gunicorn serves, as it wants it named.
    :param config: A configuration file of the host's own, or ``None`` for the recommended one.
    :param environment: What servers find in their environment.
    """

    app: str
    config: str | None
    environment: dict[str, str]

    def command(self, *options: str) -> list[str]:
        """Return the command line of a server."""
        start = [sys.executable, "-m", "gunicorn", "--config", self.config or RECOMMENDED]
        return [*start, *options, self.app]

    def start(
        self, sockets: t.Iterable[socket.socket], log: Path, *options: str, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a server on *sockets*, in a session of its own."""
        for one in (sockets := list(sockets)):
            one.set_inheritable(True)
            options = (*options, "--bind", f"fd://{one.fileno()}")
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                self.command(*options),
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                pass_fds=[one.fileno() for one in sockets],
                start_new_session=True,
            )
        finally:
            os.close(descriptor)


def counts(place: Place, name: str) -> dict[str, str]:
    """Return the environment that lets several workers be scraped as one.

    Each server has a folder of its own: what was counted before it began is not its doing.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return {}
    if importlib.util.find_spec("prometheus_client") is None:
        return {}
    folder = place.folder / "metrics" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return {"PROMETHEUS_MULTIPROC_DIR": str(folder)}


def last_lines(log: Path, count: int = 5) -> str:
    """Return the end of what a server printed."""
    with contextlib.suppress(OSError):
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
        return " | ".join(line.strip() for line in lines[-count:])
    return ""
