"""A deployment's steps: each does one thing and says what came of it, or stops the whole."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import time


class Stopped(Exception):
    """A step cannot go on; says why, and what to do."""

    def __init__(self, why: str, remedy: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy


@dataclasses.dataclass(frozen=True)
class Step:
    """One step; *work* returns what it found or did, in a sentence."""

    name: str
    work: c.Callable[[], str]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a step."""

    number: int
    name: str
    ok: bool
    detail: str
    remedy: str | None
    seconds: float


def walk(steps: c.Iterable[Step]) -> c.Iterator[Outcome]:
    """Do the steps one after another, up to the first that fails."""
    for number, step in enumerate(steps, 1):
        began = time.monotonic()
        try:
            ok, detail, remedy = True, step.work(), None
        except Stopped as stopped:
            ok, detail, remedy = False, stopped.why, stopped.remedy
        yield Outcome(number, step.name, ok, detail, remedy, time.monotonic() - began)
        if not ok:
            return
