"""Events, and the chains that one writer's life makes of them."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import time
import typing as t

from ..clock import millis_of
from ..clock import new_id
from . import canonical


class Event(t.NamedTuple):
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
        return canonical.content_hash(*self)

    def row(self) -> dict[str, t.Any]:
        """Return the event's own columns."""
        return self._asdict()


#: An event with the hash over what it says.
Hashed = tuple[Event, bytes]


@dataclasses.dataclass(frozen=True)
class Chain:
    """Where a chain stands: what the next link follows."""

    id: str
    seq: int
    head: bytes

    @classmethod
    def begun(cls, millis: int | None = None) -> Chain:
        """Return a new chain, for a writer that has just started or cannot know its last link.

        :param millis: The moment that its id begins with; by default now.
        """
        id = new_id(millis)
        return cls(id, 0, canonical.first_hash(id))

    def link(self, events: c.Iterable[Hashed]) -> tuple[Chain, list[dict[str, t.Any]]]:
        """Return the chain after *events*, and their rows; this one stays as it is."""
        seq, head, rows = self.seq, self.head, []
        link = canonical.linking(self.id)
        for event, content in events:
            seq += 1
            linked = link(seq, head, content)
            place = {"chain_id": self.id, "seq": seq, "prev_hash": head, "row_hash": linked}
            rows.append(event.row() | place)
            head = linked
        return Chain(self.id, seq, head), rows


@dataclasses.dataclass(frozen=True)
class Chains:
    """Where the chains of one writer stand: one for each UTC month that its events are of.

    A chain and its events are of one month, each by the moment that its id begins with. So what
    is of one month can lie, and end, together.
    """

    by_month: c.Mapping[tuple[int, ...], Chain] = dataclasses.field(default_factory=dict)

    @property
    def all(self) -> tuple[Chain, ...]:
        """The chains themselves."""
        return tuple(self.by_month.values())

    def link(
        self, events: c.Iterable[Hashed], opening: c.Callable[[str], Event]
    ) -> tuple[Chains, list[dict[str, t.Any]]]:
        """Return the chains after *events*, and their rows; these stay as they are.

        :param opening: Returns the event that a chain begins with, given its id.
        """
        groups: dict[tuple[int, ...], list[Hashed]] = {}
        for hashed in events:
            groups.setdefault(_month(hashed[0].id), []).append(hashed)
        by_month, rows = dict(self.by_month), []
        for month, group in groups.items():
            chain = by_month.get(month)
            if chain is None:
                millis = millis_of(group[0][0].id)
                chain = Chain.begun(millis)
                first = opening(new_id(millis))
                group = [(first, first.content()), *group]
            by_month[month], linked = chain.link(group)
            rows += linked
        return Chains(by_month), rows


def _month(id: str) -> tuple[int, ...]:
    """Return year and month of an id; of today for one that does not begin with its moment."""
    millis = millis_of(id)
    return time.gmtime(None if millis is None else millis // 1000)[:2]
