"""Group commit: of the threads that wait, one commits for all of them.

There is no writer thread. Whoever finds nobody committing commits at once on its own thread, so
that a lone request pays for no hand-over; those who come meanwhile form the next batch, and the
first of them commits it. Who has just waited together mostly comes again together: a batch that
follows one of several waits for as many, though never longer than half of what that commit took.
"""

from __future__ import annotations

import collections
import collections.abc as c
import threading
import time
import typing as t

from .chain import Event

#: The most rows that one transaction takes.
BATCH = 512
#: The most seconds that a batch waits for as many as the one before it had.
GATHERING = 0.002


class Full(Exception):
    """Too many rows wait already."""


class Late(Exception):
    """The deadline passed; *unclear* when the row may be on disk all the same."""

    def __init__(self, *, unclear: bool) -> None:
        super().__init__("the deadline passed")
        self.unclear = unclear


class Item:
    """One event, with the rows that must be committed together with it.

    :param cost: The row of what a query cost.
    :param work: Called with the connection inside the transaction; what it raises is raised to
        whoever waits, and nothing is committed.
    """

    __slots__ = (
        "content",
        "cost",
        "done",
        "error",
        "event",
        "leads",
        "log",
        "settle",
        "taken",
        "wake",
        "work",
    )

    def __init__(
        self,
        event: Event,
        log: dict[str, t.Any] | None = None,
        settle: t.Any = None,
        work: c.Callable[[t.Any], None] | None = None,
        cost: dict[str, t.Any] | None = None,
    ) -> None:
        self.event = event
        # Here and not when it is linked: then others wait for the one who links.
        self.content = event.content()
        self.log = log
        self.settle = settle
        self.work = work
        self.cost = cost
        self.error: BaseException | None = None
        self.taken = self.done = self.leads = False
        # A lock, held until there is news: threading.Event takes several times as long.
        self.wake: t.Any = None


class Writer:
    """The queue of one process.

    :param commit: Writes a batch and sets ``error`` on the items that were not written.
    :param limit: How many items may wait.
    :param prepare: Waits for what a commit needs, until a moment by ``time.monotonic()``; who
        comes meanwhile is in the batch too.
    """

    def __init__(
        self,
        commit: c.Callable[[list[Item], float], None],
        limit: int,
        prepare: c.Callable[[float], None] = lambda due: None,
    ) -> None:
        self._commit = commit
        self._limit = limit
        self._prepare = prepare
        self._lock = threading.Lock()
        self._queue: collections.deque[Item] = collections.deque()
        self._led = False
        # How many the last batch had, and how many seconds its commit took.
        self._last, self._took = 1, 0.0
        self._gathered = threading.Event()

    def write(self, item: Item, deadline: float) -> None:
        """Return once *item* is on disk.

        :param deadline: By ``time.monotonic()``.
        :raises Full: when the queue is full; nothing was written.
        :raises Late: when the deadline passed first.
        """
        with self._lock:
            if len(self._queue) >= self._limit:
                raise Full()
            self._queue.append(item)
            if self._led:
                item.wake = threading.Lock()
                item.wake.acquire()
                if len(self._queue) == self._last:
                    self._gathered.set()
            else:
                self._led = item.leads = True
        if item.wake is not None:
            self._follow(item, deadline)
        if item.leads and not item.done:
            self._lead(deadline)
        if item.error is not None:
            raise item.error

    def _follow(self, item: Item, deadline: float) -> None:
        if item.wake.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return
        with self._lock:
            if item.done or item.leads:
                return
            if not item.taken:
                self._queue.remove(item)
        raise Late(unclear=item.taken)

    def _gather(self) -> None:
        self._gathered.clear()
        if len(self._queue) < self._last:
            self._gathered.wait(min(self._took / 2, GATHERING))

    def _take(self) -> list[Item]:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            for item in batch:
                item.taken = True
        return batch

    def _lead(self, deadline: float) -> None:
        batch: list[Item] = []
        started = time.monotonic()
        try:
            self._gather()
            self._prepare(deadline)
            batch, started = self._take(), time.monotonic()
            self._commit(batch, deadline)
        except BaseException as error:
            batch = batch or self._take()
            # Nobody may take silence for success.
            for item in batch:
                item.error = item.error or error
            raise
        finally:
            with self._lock:
                self._last, self._took = len(batch), time.monotonic() - started
                for item in batch:
                    item.done = True
                heir = self._queue[0] if self._queue else None
                self._led = heir is not None
                if heir is not None:
                    heir.leads = True
            if heir is not None and heir.wake is not None:
                heir.wake.release()
            for item in batch:
                if item.wake is not None and not item.leads:
                    item.wake.release()
