"""What leaves the house is on record before it leaves, and what became of it after."""

from __future__ import annotations

import typing as t

INTENT, RESULT = "egress_intent", "egress_result"


class Note(t.Protocol):
    """The audit trail's door for events; what it raises keeps the text in the house."""

    def __call__(
        self,
        kind: str,
        *,
        actor: str | None = None,
        subject: str | None = None,
        detail: dict[str, t.Any] = ...,
    ) -> t.Any:
        """Commit one event; raise when that is not certain."""


class Egress:
    """Notes what is about to be sent to whom, and how it ended: counts and names, never text."""

    def __init__(
        self, note: Note, *, query_id: str, actor: str | None, subject: str | None
    ) -> None:
        self._note = note
        self._who: dict[str, t.Any] = {"actor": actor, "subject": subject}
        self._detail: dict[str, t.Any] = {"query_id": query_id}
        self._open = False

    def intend(self, **detail: str | int) -> None:
        """Record that a text is about to leave, once for all attempts at a query."""
        if not self._open:
            self._detail |= detail
            self._note(INTENT, **self._who, detail=dict(self._detail))
            self._open = True

    def end(self, outcome: str, **detail: str | int) -> None:
        """Record how it ended, if anything was about to leave."""
        if self._open:
            self._open = False
            self._note(RESULT, **self._who, detail=self._detail | {"outcome": outcome} | detail)
