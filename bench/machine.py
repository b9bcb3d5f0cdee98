"""What processes use of this machine, and what others use of it meanwhile. Linux only."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
CORES = os.cpu_count() or 1

#: A round in which others used more of the machine than this is marked.
NOISY = 0.10


def tree(root: int) -> list[int]:
    """Return *root* and every process below it."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            parents[int(entry)] = int(fields[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` behind the command; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(root: int) -> float:
    """Return the processor time of the tree under *root*, with that of children that ended."""
    ticks = 0
    for pid in tree(root):
        fields = _stat(pid)
        ticks += sum(map(int, fields[11:15])) if fields else 0
    return ticks / TICK


def memory_bytes(root: int) -> int:
    """Return the proportional set size of the tree under *root*: shared pages count once."""
    total = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024


def _busy_seconds() -> float:
    """Return the processor time that everything used, with what the hypervisor took."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, first[:8])
    return (user + nice + system + irq + softirq + steal) / TICK


@dataclasses.dataclass
class Meter:
    """Measures a stretch of time: wall, a process tree's processor time, the others' share."""

    root: int | None = None
    wall: float = 0.0
    cpu: float = 0.0
    #: 0 to 1, of all cores.
    others: float = 0.0

    def __enter__(self) -> Meter:
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        wall, busy, ours, cpu = (b - a for a, b in zip(self._before, self._read(), strict=True))
        self.wall, self.cpu = wall, cpu
        self.others = min(max((busy - ours) / (wall * CORES), 0.0), 1.0)

    def _read(self) -> tuple[float, float, float, float]:
        ours = cpu_seconds(os.getpid())
        cpu = 0.0 if self.root is None else cpu_seconds(self.root)
        return time.monotonic(), _busy_seconds(), ours, cpu
