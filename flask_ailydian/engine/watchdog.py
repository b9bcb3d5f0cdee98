"""Ends runs that outlive their deadline or their caller: one thread per process, when needed."""

from __future__ import annotations

import collections.abc as c
import itertools
import threading
import time

from .forks import restart_in_children

#: How exact deadlines are, in seconds, and how often callers are looked at.
TICK = 0.01
#: After so long without work the thread sleeps until it is woken.
IDLE = 1.0


class Watchdog:
    """Calls back when a deadline passes or a caller is gone, unless it was called off before.

    Its thread looks around at a steady pace while there is work: waking it for every run would
    cost each of them more than all of its looks together.
    """

    def __init__(self) -> None:
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget everything that is watched."""
        self._wake = threading.Condition(threading.Lock())
        self._watched: dict[
            int, tuple[float, c.Callable[[], None], c.Callable[[], bool] | None]
        ] = {}
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._asleep = False

    def watch(
        self, deadline: float, end: c.Callable[[], None], gone: c.Callable[[], bool] | None = None
    ) -> int:
        """Call *end* when ``time.monotonic()`` passes *deadline* or *gone* says so.

        :returns: A ticket, to call it off.
        """
        with self._wake:
            ticket = next(self._numbers)
            self._watched[ticket] = (deadline, end, gone)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="ailydian-watchdog", daemon=True
                )
                self._thread.start()
            elif self._asleep:
                self._asleep = False
                self._wake.notify()
        return ticket

    def call_off(self, ticket: int) -> None:
        """Forget a ticket; after this its callbacks are not called any more."""
        with self._wake:
            self._watched.pop(ticket, None)

    def _run(self) -> None:
        busy = time.monotonic()
        while True:
            time.sleep(TICK)
            with self._wake:
                moment = time.monotonic()
                if self._watched:
                    busy = moment
                elif moment - busy > IDLE:
                    self._asleep = True
                    while self._asleep:
                        self._wake.wait()
                    busy = time.monotonic()
                for ticket, (deadline, end, gone) in list(self._watched.items()):
                    if moment >= deadline or (gone is not None and gone()):
                        del self._watched[ticket]
                        end()


#: One for all engines of a process.
shared = Watchdog()
