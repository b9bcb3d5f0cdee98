"""Who calls, and may they: two questions, both asked of the host."""

from __future__ import annotations

import collections.abc as c
import typing as t

from .errors import Forbidden
from .errors import Unauthenticated

Action = t.Literal["infer", "read", "manage"]
ACTIONS: tuple[Action, ...] = t.get_args(Action)
Who = c.Callable[[], t.Any]
May = c.Callable[[t.Any, Action], bool]


class Machine(t.Protocol):
    """A caller with a key of ours."""

    @property
    def actor(self) -> str:
        """Its name, as the records have it."""

    @property
    def actions(self) -> c.Collection[str]:
        """What it may."""


class Gate:
    """Holds the host's two answers.

    Until it gives them ``infer`` is open, and reading anything personal and
    every ``manage`` is refused.
    """

    def __init__(self) -> None:
        self._actor: Who | None = None
        self._may: May | None = None

    def actor(self, answer: Who) -> Who:
        """Register the function that returns who calls, or ``None`` for nobody."""
        self._actor = answer
        return answer

    def may(self, answer: May) -> May:
        """Register the function that says whether an actor may do an action."""
        self._may = answer
        return answer

    @property
    def asks_who(self) -> bool:
        """Whether the host has said how to tell who calls."""
        return self._actor is not None

    def caller(self) -> str | None:
        """Return who calls, as the host's opaque text, or ``None``."""
        who = self._actor() if self._actor else None
        return None if who is None else str(who)

    def check(self, action: Action, *, personal: bool = False) -> str | None:
        """Return the caller, or raise :class:`Unauthenticated` or :class:`Forbidden`."""
        who = self._actor() if self._actor else None
        if self._may is not None:
            allowed = bool(self._may(who, action))
        else:
            allowed = action == "infer" or (action == "read" and not personal)
        if not allowed:
            raise Unauthenticated() if who is None else Forbidden()
        return None if who is None else str(who)


class KeyedGate(Gate):
    """One app's gate where keys are let in: they are looked at first, then the host is asked.

    :param host: Holds the host's answers, which may come later.
    :param machine: Returns who the request's key stands for, ``None`` where it brings none, and
        raises :class:`Unauthenticated` for one that is not good.
    """

    def __init__(self, host: Gate, machine: c.Callable[[], Machine | None]) -> None:
        super().__init__()
        self._host = host
        self._machine = machine

    def actor(self, answer: Who) -> Who:
        return self._host.actor(answer)

    def may(self, answer: May) -> May:
        return self._host.may(answer)

    @property
    def asks_who(self) -> bool:
        return self._host.asks_who

    def caller(self) -> str | None:
        try:
            machine = self._machine()
        except Unauthenticated:
            return None
        return self._host.caller() if machine is None else machine.actor

    def check(self, action: Action, *, personal: bool = False) -> str | None:
        machine = self._machine()
        if machine is None:
            return self._host.check(action, personal=personal)
        if action not in machine.actions:
            raise Forbidden(f"This key may not {action}.")
        return machine.actor
