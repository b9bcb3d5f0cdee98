"""How many processors this process may really use."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def count(quota: Path = QUOTA) -> int:
    """Return the processors of this process's affinity, or fewer where a container has a quota."""
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:
        available = os.cpu_count() or 1
    try:
        most, period = quota.read_text().split()
        available = min(available, math.ceil(int(most) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        # No container, or one without a quota ("max").
        pass
    return max(available, 1)
