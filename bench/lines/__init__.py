"""The lines of the bench, in the order in which they are measured."""

from __future__ import annotations

import collections.abc as c

from ..figures import Row
from ..workshop import Bench
from . import budget
from . import burst
from . import cache
from . import hangups
from . import memory
from . import neighbours
from . import overhead
from . import remote
from . import routing
from . import throughput

#: What ``ONLY=`` names.
LINES: dict[str, c.Callable[[Bench], list[Row]]] = {
    "throughput": throughput.measure,
    "overhead": overhead.measure,
    "cache": cache.measure,
    "memory": memory.measure,
    "hangups": hangups.measure,
    "burst": burst.measure,
    "neighbours": neighbours.measure,
    "budget": budget.measure,
    "remote": remote.measure,
    "routing": routing.measure,
}
