"""Persons whom this process made while the database was away."""

from __future__ import annotations

import collections.abc as c
import threading
import time
import typing as t

Person = t.TypeVar("Person")
Row = dict[str, t.Any]


class MadeHere(t.Generic[Person]):
    """Keeps them with their rows; not for ever: they may have been erased since elsewhere.

    :param seconds: How long; who comes later is made anew.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._made: dict[bytes, tuple[float, Person, Row]] = {}

    def get(self, name: bytes) -> tuple[Person, Row] | None:
        """Return who was made under *name* lately."""
        made = self._made.get(name)
        return None if made is None or made[0] < time.monotonic() else made[1:]

    def get_or_make(self, name: bytes, make: c.Callable[[], tuple[Person, Row]]) -> Person:
        """Return who was made under *name* lately, or make them."""
        with self._lock:
            made = self.get(name)
            if made is None:
                made = make()
                self._made[name] = (time.monotonic() + self._seconds, *made)
            return made[0]

    def rows(self, refs: c.Collection[str | None]) -> list[Row]:
        """Return the rows of those of *refs*."""
        with self._lock:
            return [row for _, _, row in self._made.values() if row["ref"] in refs]

    def forget(self, name: bytes) -> None:
        """Drop whoever was made under *name*, with their key."""
        with self._lock:
            self._made.pop(name, None)
