"""Ends runs that outlive their deadline: one thread per process, made on first use."""

from __future__ import annotations

import collections.abc as c
import heapq
import itertools
import threading
import time


class Watchdog:
    """Calls back when a deadline passes, unless it was called off before."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._due: list[tuple[float, int, c.Callable[[], None]]] = []
        self._live: set[int] = set()
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, deadline: float, callback: c.Callable[[], None]) -> int:
        """Call *callback* when ``time.monotonic()`` passes *deadline*; return a ticket."""
        with self._wake:
            ticket = next(self._numbers)
            self._live.add(ticket)
            heapq.heappush(self._due, (deadline, ticket, callback))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="ailydian-watchdog", daemon=True
                )
                self._thread.start()
            elif self._due[0][1] == ticket:
                self._wake.notify()
        return ticket

    def call_off(self, ticket: int) -> None:
        """Forget a ticket."""
        with self._wake:
            self._live.discard(ticket)
            # Those on top that are not live any more would only wake the thread for nothing.
            while self._due and self._due[0][1] not in self._live:
                heapq.heappop(self._due)

    def _run(self) -> None:
        with self._wake:
            while True:
                if not self._due:
                    self._wake.wait()
                    continue
                deadline, ticket, callback = self._due[0]
                left = deadline - time.monotonic()
                if left > 0:
                    self._wake.wait(left)
                    continue
                heapq.heappop(self._due)
                if ticket in self._live:
                    self._live.discard(ticket)
                    callback()
