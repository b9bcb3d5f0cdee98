"""Events, and the chain that one writer's life makes of them."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ..clock import new_id
from . import canonical


@dataclasses.dataclass(frozen=True)
class Event:
    """What happened, sealed and ready to be linked."""

    id: str
    kind: str
    created_us: int
    domain: str | None = None
    actor_ref: str | None = None
    subject_ref: str | None = None
    sealed_ref: str | None = None
    payload: bytes | None = None
    record_hash: bytes | None = None

    def content(self) -> bytes:
        """Return the hash over what the event says."""
        return canonical.content_hash(
            self.id,
            self.kind,
            self.created_us,
            self.domain,
            self.actor_ref,
            self.subject_ref,
            self.sealed_ref,
            self.payload,
            self.record_hash,
        )

    def row(self) -> dict[str, t.Any]:
        """Return the event's own columns."""
        return dict(self.__dict__)


@dataclasses.dataclass(frozen=True)
class Chain:
    """Where a chain stands: what the next link follows."""

    id: str
    seq: int
    head: bytes

    @classmethod
    def begun(cls) -> Chain:
        """Return a new chain, for a writer that has just started or cannot know its last link."""
        id = new_id()
        return cls(id, 0, canonical.first_hash(id))

    def link(self, events: c.Iterable[Event]) -> tuple[Chain, list[dict[str, t.Any]]]:
        """Return the chain after *events*, and their rows; this one stays as it is."""
        seq, head, rows = self.seq, self.head, []
        for event in events:
            seq += 1
            linked = canonical.link_hash(self.id, seq, head, event.content())
            place = {"chain_id": self.id, "seq": seq, "prev_hash": head, "row_hash": linked}
            rows.append(event.row() | place)
            head = linked
        return Chain(self.id, seq, head), rows
