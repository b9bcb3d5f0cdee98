"""Who may decode and run, and when: first come, first served, bounded, and never too late.

A caller does its own work on its own thread once its turn has come; nothing is handed over. A
``threading.Semaphore`` would not do: it lets newcomers overtake those who wait.
"""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import math
import threading
import time
import typing as t

from ..errors import ClientGone
from ..errors import Overloaded
from ..errors import Timeout
from .forks import restart_in_children

#: How much the newest observation counts in the running mean.
WEIGHT = 0.1
#: Work may take a little longer than the mean says.
MARGIN = 1.1


class _Turn:
    """One caller's place in the line; the lock is released when its turn has come."""

    __slots__ = ("alone", "come")

    def __init__(self) -> None:
        self.alone = False
        self.come = threading.Lock()
        self.come.acquire()


class Gate:
    """A number of slots, given out in the order in which they were asked for."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lock = threading.Lock()
        self._free = slots
        self._waiting: collections.deque[_Turn] = collections.deque()

    @property
    def crowded(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def enter(self, deadline: float) -> bool:
        """Take a slot, waiting for it if need be; return whether nobody else has one.

        :param deadline: As ``time.monotonic()`` counts.
        :raises Timeout: when the deadline passes first.
        """
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return self._free == self.slots - 1
            turn = _Turn()
            self._waiting.append(turn)
        if not turn.come.acquire(timeout=max(0.0, deadline - time.monotonic())):
            with self._lock:
                # Between the time-out and this lock the turn may have come after all.
                if turn in self._waiting:
                    self._waiting.remove(turn)
                    raise Timeout()
        return turn.alone

    def leave(self) -> None:
        """Give the slot to who has waited longest; it is never free in between."""
        with self._lock:
            if self._waiting:
                turn = self._waiting.popleft()
                turn.alone = not self._waiting and self._free == self.slots - 1
                turn.come.release()
            else:
                self._free += 1


class Place:
    """One caller's way through the executor: first it decodes, then it runs."""

    def __init__(
        self, executor: Executor, deadline: float, gone: c.Callable[[], bool] | None
    ) -> None:
        self.executor = executor
        self.deadline = deadline
        self.gone = gone

    @contextlib.contextmanager
    def decoding(self) -> t.Iterator[None]:
        """Hold the right to decode: as many at once as there are slots, whatever comes in.

        :raises Timeout: when the deadline passes first.
        :raises ClientGone: when nobody waits for the answer any more.
        """
        gate = self.executor.decoders
        gate.enter(self.deadline)
        try:
            self.check()
            yield
        finally:
            gate.leave()

    @contextlib.contextmanager
    def running(self) -> t.Iterator[bool]:
        """Hold a slot; yield whether it is the only one taken.

        :raises Timeout: when the deadline passes first; the work is never started.
        :raises ClientGone: when nobody waits for the answer any more.
        """
        gate = self.executor.runners
        alone = gate.enter(self.deadline)
        try:
            self.check()
            started = time.monotonic()
            yield alone
            self.executor.note(started, time.monotonic(), alone)
        finally:
            gate.leave()

    def check(self) -> None:
        """Raise when the answer would come too late or reach nobody."""
        if time.monotonic() >= self.deadline:
            raise Timeout()
        if self.gone is not None and self.gone():
            raise ClientGone()


class Executor:
    """The slots of one process, for the runs of every model.

    :param slots: How many runs go on at once.
    :param queue_size: How many may wait beside those that run; the next is refused at once.
    :param beside: An executor of this process whose cores those who decode here share.
    """

    def __init__(self, slots: int, queue_size: int, beside: Executor | None = None) -> None:
        self.slots = slots
        self.queue_size = queue_size
        self._beside = beside
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget who is inside."""
        self._decoders = Gate(self.slots)
        self.runners = Gate(self.slots)
        self._lock = threading.Lock()
        self._inside = 0
        self._pace = 0.0
        self._last_end = 0.0

    @property
    def decoders(self) -> Gate:
        """The right to decode: it is the cores', whatever runs afterwards."""
        return self._decoders if self._beside is None else self._beside.decoders

    @contextlib.contextmanager
    def admitted(
        self, deadline: float, gone: c.Callable[[], bool] | None = None
    ) -> t.Iterator[Place]:
        """Let a caller in, for the length of the block.

        :param deadline: As ``time.monotonic()`` counts.
        :param gone: Says whether the one who asked has hung up.
        :raises Overloaded: at once, when the queue is full or too long for the deadline.
        """
        with self._lock:
            wait = self._wait()
            # Work that cannot be done in time is refused now, not when its time has passed.
            late = wait > 0 and time.monotonic() + (wait + self._pace) * MARGIN > deadline
            if late or self._inside >= self.slots + self.queue_size:
                raise Overloaded(retry_after=max(1, math.ceil(wait)))
            self._inside += 1
        try:
            yield Place(self, deadline, gone)
        finally:
            with self._lock:
                self._inside -= 1

    def expected_wait(self) -> float:
        """Return for how many seconds one who asks now is going to wait."""
        with self._lock:
            return self._wait()

    @property
    def inside(self) -> int:
        """How many decode, wait and run."""
        return self._inside

    def _wait(self) -> float:
        return max(0, self._inside + 1 - self.slots) * self._pace

    def note(self, started: float, ended: float, alone: bool) -> None:
        """Learn from one run how many seconds pass from one answer to the next."""
        with self._lock:
            pace = ended - started
            if self.runners.crowded and self._last_end > started:
                # With every slot taken, the time between two ends has everything in it.
                pace = ended - self._last_end
            elif not alone:
                pace /= self.slots
            self._last_end = ended
            self._pace += (WEIGHT if self._pace else 1.0) * (pace - self._pace)
