"""Where signed checkpoints go, out of the database's reach."""

from __future__ import annotations

import collections
import collections.abc as c
import logging
import os
import sys
import syslog
import threading
import urllib.parse
import urllib.request
from pathlib import Path

from ..engine.forks import restart_in_children

log = logging.getLogger("flask_ailydian.audit")

Sink = c.Callable[[str], None]
#: How many lines wait for a sink that does not take them.
WAITING = 1000
EXPORT = "checkpoints.jsonl"


def parse(spec: str, folder: Path) -> Sink:
    """Return the sink that a setting names; raise ``RuntimeError`` when there is none."""
    if spec == "stdout":
        return _stdout
    if spec == "syslog":
        return lambda line: syslog.syslog(syslog.LOG_NOTICE, f"ailydian-checkpoint {line}")
    if (file := exported(spec, folder)) is not None:
        return lambda line: append(file, line)
    url = urllib.parse.urlsplit(spec)
    if url.scheme == "https" or (url.scheme == "http" and url.hostname in ("127.0.0.1", "::1")):
        return lambda line: _post(spec, line)
    raise RuntimeError(
        f"AILYDIAN_CHECKPOINT_SINKS knows stdout, file, file:PATH, syslog and https://…, "
        f"not {spec!r}."
    )


def exported(spec: str, folder: Path) -> Path | None:
    """Return the file that a setting names, if it names one."""
    if spec == "file":
        return folder / EXPORT
    return Path(spec.removeprefix("file:")) if spec.startswith("file:") else None


def append(file: Path, line: str) -> None:
    """Add one line to *file*; it is on disk afterwards."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        # In one call: lines of several workers do not mix.
        os.write(descriptor, line.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stdout(line: str) -> None:
    print(line, flush=True, file=sys.stdout)


def _post(url: str, line: str) -> None:
    request = urllib.request.Request(
        url, line.encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=5):
        pass


class Outlet:
    """One sink, and the lines that it has not taken yet."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: collections.deque[str] = collections.deque(maxlen=WAITING)
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """In a forked child: nobody is at it."""
        self._busy = threading.Lock()

    def send(self, line: str) -> None:
        """Hand over *line* after those that still wait."""
        self._waiting.append(line)
        self.retry()

    def retry(self) -> bool:
        """Hand over what waits; return whether anything still does."""
        # One at a time: two would both hand over the first line and drop the second.
        if not self._busy.acquire(blocking=False):
            return True
        try:
            return self._handed_over()
        finally:
            self._busy.release()

    def _handed_over(self) -> bool:
        while self._waiting:
            try:
                self._sink(self._waiting[0])
            # Whatever a sink raises, the trail goes on and the line waits.
            except Exception as error:
                log.warning("a checkpoint was not exported: %s", type(error).__name__)
                return True
            self._waiting.popleft()
        return False
