"""Who calls, and may they: two questions, both asked of the host."""

from __future__ import annotations

import collections.abc as c
import typing as t

from .errors import Forbidden
from .errors import Unauthenticated

Action = t.Literal["infer", "read", "manage"]
Who = c.Callable[[], t.Any]
May = c.Callable[[t.Any, Action], bool]


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
