"""Processes that were started here, and how to be sure of that before one is told to end."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import time
import typing as t
from pathlib import Path

PROC = Path("/proc")


@dataclasses.dataclass(frozen=True)
class Running:
    """A process that was started here: its number alone would be reused by another some day."""

    pid: int
    started: int
    boot: str
    mark: str
    details: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, pid: int, mark: str, **details: t.Any) -> Running:
        """Describe a process that runs now.

        :param mark: A word of its command line, also where it gives itself another title.
        :raises ProcessLookupError: when it does not run.
        """
        found = look(pid)
        if found is None:
            raise ProcessLookupError(pid)
        return cls(pid, found[0], _boot(), mark, details)

    @classmethod
    def read(cls, path: Path) -> Running | None:
        """Read what :meth:`write` wrote; ``None`` when there is nothing that can be read."""
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the description, whole or not at all."""
        draft = path.with_suffix(".draft")
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(dataclasses.asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def alive(self) -> bool:
        """Whether this very process still runs."""
        found = look(self.pid)
        if found is None or found[0] != self.started or _boot() != self.boot:
            return False
        return self.mark in found[1]

    def terminate(self, timeout: float) -> bool:
        """Ask this very process to end, and wait; whether it is gone.

        The signal goes to a handle that was opened before the look at who it is: nobody else can
        get it, even when the number is reused meanwhile.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return True
        try:
            if not self.alive():
                return True
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            end = time.monotonic() + timeout
            while (left := end - time.monotonic()) > 0:
                if poll.poll(min(left, 1.0) * 1000) or not self.alive():
                    return True
            return False
        except ProcessLookupError:
            return True
        finally:
            os.close(handle)


def look(pid: int) -> tuple[int, str] | None:
    """Return when a process began, in ticks since the boot, and its command line."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
        command = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    # The name in brackets may hold anything; what counts comes after the last bracket.
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return int(fields[19]), command.decode(errors="replace").replace("\0", " ")


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()
