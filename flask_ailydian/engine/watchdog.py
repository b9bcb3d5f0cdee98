"""Ends work whose deadline has passed or whose caller has gone, from one thread per process."""

from __future__ import annotations

import collections.abc as c
import itertools
import math
import threading
import time
import typing as t

from .forks import restart_in_children
from .hangups import Sleeper
from .hangups import sleeper

#: Seconds between two looks at callers whose hanging up wakes nobody.
TICK = 0.01
#: The most that the thread sleeps; what it sleeps on takes no infinity.
LONGEST = 3600.0


class _Watch(t.NamedTuple):
    deadline: float
    end: c.Callable[[], None]
    gone: c.Callable[[], bool] | None
    #: The connection whose end wakes the thread; ``None``: *gone* is asked again and again.
    wakes: int | None

    def due(self, moment: float) -> float:
        """Return when it must be looked at, if nothing wakes the thread."""
        if self.gone is not None and self.wakes is None:
            return min(self.deadline, moment + TICK)
        return self.deadline


class Watchdog:
    """Calls back when a deadline passes or a caller is gone, unless it was called off before.

    Its thread sleeps until the system tells it of a connection that ended, or the next deadline
    passes. A later deadline than the one it sleeps for does not wake it: waking it for every
    run would cost more than all else that it does.
    """

    def __init__(self) -> None:
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget everything that is watched."""
        self._lock = threading.Lock()
        self._watched: dict[int, _Watch] = {}
        self._numbers = itertools.count()
        self._sleeper: Sleeper | None = None
        self._until = math.inf

    def watch(
        self, deadline: float, end: c.Callable[[], None], gone: c.Callable[[], bool] | None = None
    ) -> int:
        """Call *end* when ``time.monotonic()`` passes *deadline* or *gone* says so.

        :param gone: With a method ``fileno`` that names the caller's connection it is only
            asked when something has happened there.
        :returns: A ticket, to call it off.
        """
        with self._lock:
            if self._sleeper is None:
                self._sleeper = sleeper()
                threading.Thread(target=self._run, name="ailydian-watchdog", daemon=True).start()
            watch = _Watch(deadline, end, gone, self._sleeper.add(gone))
            ticket = next(self._numbers)
            self._watched[ticket] = watch
            if watch.due(time.monotonic()) < self._until:
                self._sleeper.wake()
        return ticket

    def call_off(self, ticket: int) -> None:
        """Forget a ticket; after this its callbacks are not called any more."""
        with self._lock:
            self._forget(ticket)

    def _forget(self, ticket: int) -> None:
        watch = self._watched.pop(ticket, None)
        if watch is not None and watch.wakes is not None and self._sleeper is not None:
            self._sleeper.remove(watch.wakes)

    def _run(self) -> None:
        bed = self._sleeper
        assert bed is not None
        while True:
            with self._lock:
                moment = time.monotonic()
                for ticket, watch in list(self._watched.items()):
                    if moment >= watch.deadline or (watch.gone is not None and watch.gone()):
                        self._forget(ticket)
                        watch.end()
                ahead = [watch.due(moment) for watch in self._watched.values()]
                self._until = min(ahead, default=math.inf)
            bed.sleep(min(self._until - moment, LONGEST))


#: One for all engines of a process.
shared = Watchdog()
