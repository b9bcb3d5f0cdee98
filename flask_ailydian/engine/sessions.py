"""The engines of one process: made on first use, under one budget of memory."""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import dataclasses
import threading
import time
import typing as t

from ..errors import BackendUnavailable
from ..errors import Overloaded
from . import memory
from .forks import restart_in_children
from .protocol import Engine

#: Freed memory is handed back to the system in pieces of this size.
TRIM_BYTES = 32 * 2**20


@dataclasses.dataclass
class _Entry:
    engine: Engine
    cost: int
    users: int = 0
    dropped: bool = False


class SessionPool:
    """Lends engines; those that nobody uses make room for others, the longest unused first.

    Sessions do not survive a fork, so a child starts with an empty pool.

    :param budget: Bytes that all engines may take together; 0 for half of the memory there is.
    """

    def __init__(self, *, budget: int = 0) -> None:
        self.budget = budget or memory.available() // 2
        self._left_to_the_parent: list[t.Any] = []
        self._entries: collections.OrderedDict[str, _Entry] = collections.OrderedDict()
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """Forget every engine."""
        # What a parent had is leaked on purpose: closing it would wait for its threads.
        self._left_to_the_parent.append(self._entries)
        self._changed = threading.Condition(threading.Lock())
        self._entries = collections.OrderedDict()
        self._making: dict[str, int] = {}
        self._freed = 0

    @contextlib.contextmanager
    def lease(
        self, key: str, cost: int, make: c.Callable[[], Engine], *, deadline: float
    ) -> t.Iterator[Engine]:
        """Lend the engine with this key for the length of the block, making it at most once.

        :param key: The digest of the model's file.
        :param cost: Bytes that it takes.
        :raises BackendUnavailable: when it can never fit into the budget.
        :raises Overloaded: when no room was made for it before the deadline.
        """
        entry = self._take(key, cost, deadline) or self._make(key, cost, make)
        try:
            yield entry.engine
        finally:
            self._give(key, entry)

    def preload(self, key: str, cost: int, make: c.Callable[[], Engine], deadline: float) -> None:
        """Make an engine without using it."""
        with self.lease(key, cost, make, deadline=deadline):
            pass

    def holds(self, key: str) -> bool:
        """Whether an engine is at hand."""
        return key in self._entries

    def peek(self, key: str) -> Engine | None:
        """Return an engine that is at hand, to look at and not to run."""
        entry = self._entries.get(key)
        return None if entry is None else entry.engine

    def loaded(self) -> list[str]:
        """Return the keys of the engines at hand."""
        return list(self._entries)

    @property
    def bytes_used(self) -> int:
        """What the engines at hand take, as they were said to."""
        return sum(entry.cost for entry in list(self._entries.values()))

    def drop(self, key: str) -> None:
        """Forget an engine; those who hold it keep it until they are done."""
        with self._changed:
            entry = self._entries.pop(key, None)
            if entry is None:
                return
            entry.dropped = True
            closing = [] if entry.users else [entry]
            self._changed.notify_all()
        self._close(closing)

    def keep_only(self, keys: c.Collection[str]) -> None:
        """Drop every engine whose key is not in *keys*."""
        for key in self.loaded():
            if key not in keys:
                self.drop(key)

    def clear(self) -> None:
        """Drop every engine."""
        self.keep_only(())

    def _take(self, key: str, cost: int, deadline: float) -> _Entry | None:
        """Return the engine, or the right to make it as ``None``."""
        if cost > self.budget:
            raise BackendUnavailable(
                f"The model takes about {cost >> 20} MiB, and AILYDIAN_MODEL_MEMORY_BYTES allows "
                f"{self.budget >> 20} MiB for all of them."
            )
        evicted: list[_Entry] = []
        try:
            with self._changed:
                while True:
                    entry = self._entries.get(key)
                    if entry is not None:
                        entry.users += 1
                        self._entries.move_to_end(key)
                        return entry
                    if key not in self._making:
                        evicted += self._make_room(cost)
                        if self._used() + cost <= self.budget:
                            self._making[key] = cost
                            return None
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        raise Overloaded("No memory became free for the model in time.")
        finally:
            self._close(evicted)

    def _used(self) -> int:
        return sum(e.cost for e in self._entries.values()) + sum(self._making.values())

    def _make_room(self, cost: int) -> list[_Entry]:
        evicted = []
        for key, entry in list(self._entries.items()):
            if self._used() + cost <= self.budget:
                break
            if not entry.users:
                evicted.append(self._entries.pop(key))
        return evicted

    def _make(self, key: str, cost: int, make: c.Callable[[], Engine]) -> _Entry:
        engine = None
        try:
            engine = make()
        finally:
            with self._changed:
                del self._making[key]
                if engine is not None:
                    entry = self._entries[key] = _Entry(engine, cost, users=1)
                self._changed.notify_all()
        return entry

    def _give(self, key: str, entry: _Entry) -> None:
        with self._changed:
            entry.users -= 1
            idle = not entry.users
            closing = [entry] if idle and entry.dropped else []
            # Only those who wait for room care, and only for an engine that became free.
            if idle:
                self._changed.notify_all()
        self._close(closing)

    def _close(self, entries: list[_Entry]) -> None:
        if not entries:
            return
        for entry in entries:
            entry.engine.close()
            self._freed += entry.cost
        if self._freed >= TRIM_BYTES:
            self._freed = 0
            memory.give_back()
