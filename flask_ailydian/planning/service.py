"""Figures of one registered model, measured now."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import typing as t
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from ..errors import ValidationFailed
from ..records import ModelRecord
from ..state import State
from . import measuring
from .queueing import Figures

#: Settings under which the real host answers, and so must the measured one.
SAME = (
    "max_image_bytes",
    "max_image_pixels",
    "max_tensor_elements",
    "slots",
    "threads",
    "url_prefix",
)


@dataclasses.dataclass(frozen=True)
class Bench:
    """A scratch host of one model, and what it is asked."""

    host: measuring.Scratch
    request: measuring.Request
    model: ModelRecord
    slots: int


@contextlib.contextmanager
def bench(
    state: State, name: str, version: str | None = None, sample: bytes | None = None
) -> c.Iterator[Bench]:
    """Run a scratch host with one model of the real one's.

    :param sample: A typical input; by default a made-up one of usual size.
    :raises ModelNotFound: when no such version answers.
    """
    model = state.registry.resolve(name, version)
    if model.type == "remote":
        raise ValidationFailed("A remote model runs elsewhere: measure it on that machine.")
    measuring.check_sample(model, sample)
    config = {f"AILYDIAN_{key.upper()}": getattr(state.settings, key) for key in SAME}
    request = measuring.request_for(model, state.settings.url_prefix, sample)
    with measuring.scratch(state.registry.read(model), _row(state, model.id), config) as host:
        yield Bench(host, request, model, state.prediction.executor.slots)


def measure(
    found: Bench, seconds: float = 4.0, say: c.Callable[[str], None] = lambda _: None
) -> Figures:
    """Return the figures of a running scratch host; takes about six times *seconds*.

    :param say: Told of each step.
    """
    host, request, slots = found.host, found.request, found.slots
    say("warming up")
    host.closed_loop(request, slots, seconds / 2)
    lengths: dict[int, float] = {}
    spread: tuple[float, ...] = ()
    for callers in sorted({1, min(2, slots), slots}):
        say(f"{callers} at once")
        cpu = host.cpu_seconds()
        single = np.array(host.closed_loop(request, callers, seconds).lengths)
        if callers == 1:
            lone_cpu = (host.cpu_seconds() - cpu) / len(single)
        lengths[callers] = float(single.mean())
        spread = tuple((single / single.mean()).tolist())
    say(f"{2 * slots} at once")
    before, cpu = host.database_bytes(), host.cpu_seconds()
    measured = host.closed_loop(request, 2 * slots, 2 * seconds)
    count = len(measured.lengths)
    # With a line before the slots, decoding goes on beside the runs.
    lengths[slots] = min(lengths[slots], slots / measured.rate)
    return Figures(
        model=f"{found.model.name} {found.model.version}",
        slots=slots,
        seconds=lengths,
        spread=spread[:2000],
        cpu_seconds=(host.cpu_seconds() - cpu) / count,
        lone_cpu_seconds=lone_cpu,
        bytes_per_request=max(0.0, (host.database_bytes() - before) / count),
        memory_bytes=host.memory_bytes(),
    )


def _row(state: State, id: int) -> dict[str, t.Any]:
    table: sa.Table = state.tables.Model.__table__
    with state.db.engine.connect() as connection:
        found = connection.execute(table.select().where(table.c.id == id)).mappings().one()
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
        if name != "id"
    }
