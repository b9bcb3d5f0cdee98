"""Something that is read often and changes seldom: held for a moment, then looked at again."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import threading
import time
import typing as t

import sqlalchemy as sa

from .engine.forks import restart_in_children

T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class _Read(t.Generic[T]):
    mark: t.Any
    value: T
    checked: float


class Fresh(t.Generic[T]):
    """The value of *read*, never older than *seconds* when somebody else changes it.

    :param mark: Cheap to ask for, and another one whenever the value is another one.
    :param announce: Called with every new value.
    """

    def __init__(
        self,
        mark: c.Callable[[], t.Any],
        read: c.Callable[[], T],
        announce: c.Callable[[T], None],
        *,
        seconds: float,
    ) -> None:
        self._mark = mark
        self._read = read
        self._announce = announce
        self._seconds = seconds
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget what was read."""
        self._found: _Read[T] | None = None
        self._reading = threading.Lock()
        self._expired = 0

    def expire(self) -> None:
        """Read anew for the next caller: the value was changed here."""
        self._expired += 1
        self._found = None

    def get(self) -> T:
        """Return the value."""
        found = self._found
        if found is not None and time.monotonic() - found.checked < self._seconds:
            return found.value
        # One caller looks; those who have something to go by do not wait for it.
        if not self._reading.acquire(blocking=found is None):
            return t.cast(_Read[T], found).value
        try:
            latest = self._found
            if latest is not None and latest is not found:
                return latest.value
            expired = self._expired
            try:
                latest = self._look(found)
            except (sa.exc.OperationalError, OSError):
                if found is None:
                    raise
                # What is known is better than nothing while the database is away.
                latest = dataclasses.replace(found, checked=time.monotonic())
            if expired == self._expired:
                self._found = latest
        finally:
            self._reading.release()
        if found is None or found.value is not latest.value:
            self._announce(latest.value)
        return latest.value

    def _look(self, known: _Read[T] | None) -> _Read[T]:
        checked = time.monotonic()
        mark = self._mark()
        if known is not None and known.mark == mark:
            return dataclasses.replace(known, checked=checked)
        return _Read(mark, self._read(), checked)
