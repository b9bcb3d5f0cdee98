"""A sleep that ends when a connection does."""

from __future__ import annotations

import collections
import os
import select
import threading
import typing as t


class Sleeper(t.Protocol):
    """What one thread sleeps on, and others wake it by."""

    def add(self, gone: t.Any) -> int | None:
        """Wake the thread when the connection that ``gone.fileno()`` names ends.

        :returns: What :meth:`remove` takes; ``None`` where its end would not be noticed.
        """

    def remove(self, number: int) -> None:
        """Let a connection end unnoticed."""

    def wake(self) -> None:
        """End the sleep."""

    def sleep(self, seconds: float) -> None:
        """Return after *seconds*, or when woken."""


def sleeper() -> Sleeper:
    """Return the best that this system has."""
    # Gevent takes epoll away, for a thread in it would stop all others.
    return _Epoll() if hasattr(select, "epoll") and hasattr(os, "eventfd") else _Clock()


class _Epoll:
    """Linux tells of ends by itself, also of connections that are added during the sleep."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._alarm, select.EPOLLIN)
        # The items of a batch have one caller.
        self._counts: collections.Counter[int] = collections.Counter()

    def add(self, gone: t.Any) -> int | None:
        number = gone.fileno() if hasattr(gone, "fileno") else -1
        if number < 0:
            return None
        # Having told once it tells no more until it is asked again.
        ask = self._epoll.modify if self._counts[number] else self._epoll.register
        try:
            ask(number, select.EPOLLRDHUP | select.EPOLLONESHOT)
        except OSError:
            return None
        self._counts[number] += 1
        return t.cast(int, number)

    def remove(self, number: int) -> None:
        self._counts[number] -= 1
        if not self._counts[number]:
            del self._counts[number]
            try:
                self._epoll.unregister(number)
            except OSError:
                # Closed meanwhile, which takes it out as well.
                pass

    def wake(self) -> None:
        os.eventfd_write(self._alarm, 1)

    def sleep(self, seconds: float) -> None:
        found = self._epoll.poll(max(0.0, seconds))
        if any(number == self._alarm for number, _ in found):
            os.eventfd_read(self._alarm)


class _Clock:
    """Everywhere else only a colleague ends the sleep."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def add(self, gone: t.Any) -> int | None:
        return None

    def remove(self, number: int) -> None:
        raise AssertionError("nothing was added")

    def wake(self) -> None:
        self._woken.set()

    def sleep(self, seconds: float) -> None:
        self._woken.wait(max(0.0, seconds))
        self._woken.clear()
