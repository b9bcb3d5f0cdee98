"""How much memory there is, and giving it back."""

from __future__ import annotations

import ctypes
import functools
import os
import typing as t
from pathlib import Path

LIMIT = Path("/sys/fs/cgroup/memory.max")


def available(limit: Path = LIMIT) -> int:
    """Return the bytes of the machine, or fewer where a container has a limit."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        total = 8 * 2**30
    try:
        total = min(total, int(limit.read_text()))
    except (OSError, ValueError):
        # No container, or one without a limit ("max").
        pass
    return total


def give_back() -> None:
    """Hand freed memory back to the system; without this glibc keeps most of a model's."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> t.Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        # Another C library, or another system.
        return None
