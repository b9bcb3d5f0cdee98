"""What must not survive a fork starts anew in the child: locks, threads, sessions."""

from __future__ import annotations

import os
import typing as t
import weakref


class Restarts(t.Protocol):
    """An object whose state belongs to one process."""

    def start_anew(self) -> None:
        """Take the state of an object that was just made."""


_known: weakref.WeakSet[t.Any] = weakref.WeakSet()


def restart_in_children(thing: Restarts) -> None:
    """Have *thing* start anew in every child that is forked from now on."""
    _known.add(thing)


def _after_fork() -> None:
    for thing in list(_known):
        thing.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
