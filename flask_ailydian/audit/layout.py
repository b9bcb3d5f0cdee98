"""How the trail and the inference logs are parted, read from PostgreSQL's catalogue."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import re
from datetime import datetime
from datetime import timedelta

import sqlalchemy as sa

from ..clock import millis_of

EVENTS, LOGS = "pytorch_audit_events", "pytorch_inference_logs"
#: The tables with their keys, in the order in which an answer's rows are written.
KEYS = {LOGS: "id", EVENTS: "chain_id"}

LEAVES = f"""
SELECT p.relname AS parent, quote_ident(n.nspname) AS place, quote_ident(c.relname) AS name,
  pg_get_expr(c.relpartbound, c.oid) AS bounds, c.oid AS oid
FROM pg_class p JOIN pg_inherits i ON i.inhparent = p.oid
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.oid IN (to_regclass('{EVENTS}'), to_regclass('{LOGS}')) AND p.relkind = 'p'
"""
RANGE = re.compile(r"FOR VALUES FROM \((?:MINVALUE|'([^']+)')\) TO \('([^']+)'\)")


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One partition of one table."""

    name: str
    low: str
    high: str
    oid: int

    def meets(self, low: str, high: str) -> bool:
        """Whether ids between the two could lie here."""
        return self.low < high and low < self.high


@dataclasses.dataclass(frozen=True)
class Partition:
    """A stretch of time: its partition of the trail, and that of the inference logs.

    *low* is empty for the one that reaches back to the beginning.
    """

    low: str
    high: str
    events: Leaf
    logs: Leaf

    @property
    def label(self) -> str:
        """Return the month, for people."""
        return month_of(self.low) if self.low else f"before {month_of(self.high)}"


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the two tables are parted."""

    schema: str
    leaves: c.Mapping[str, c.Sequence[Leaf]]
    defaults: c.Mapping[str, str]

    @property
    def partitions(self) -> list[Partition]:
        """The stretches that both tables have, the oldest first."""
        logs = {(leaf.low, leaf.high): leaf for leaf in self.leaves[LOGS]}
        return [
            Partition(leaf.low, leaf.high, leaf, logs[leaf.low, leaf.high])
            for leaf in sorted(self.leaves[EVENTS], key=lambda leaf: leaf.low)
            if (leaf.low, leaf.high) in logs
        ]

    def missing(self, low: str, high: str) -> list[str]:
        """Return the tables, the logs first, that have no partition between two ids."""
        return [t for t in KEYS if not any(leaf.meets(low, high) for leaf in self.leaves[t])]

    def gaps(self, table: str) -> list[tuple[str, str | None]]:
        """Return the stretches whose rows go to the table's default partition."""
        gaps: list[tuple[str, str | None]] = []
        reached = ""
        for leaf in sorted(self.leaves[table], key=lambda leaf: leaf.low):
            if leaf.low > reached:
                gaps.append((reached, leaf.low))
            reached = leaf.high
        return [*gaps, (reached, None)]


def layout(connection: sa.Connection) -> Layout | None:
    """Return how the tables are parted; ``None`` where they are whole."""
    if connection.dialect.name != "postgresql":
        return None
    leaves: dict[str, list[Leaf]] = {EVENTS: [], LOGS: []}
    defaults: dict[str, str] = {}
    schema = ""
    for row in connection.exec_driver_sql(LEAVES):
        name = f"{row.place}.{row.name}"
        # Of one that is dropped meanwhile there are no bounds.
        if (found := RANGE.fullmatch(row.bounds or "")) is not None:
            leaves[row.parent].append(Leaf(name, found[1] or "", found[2], row.oid))
        elif row.bounds == "DEFAULT":
            defaults[row.parent], schema = name, row.place
    return Layout(schema, leaves, defaults) if len(defaults) == 2 else None


def stretches(connection: sa.Connection) -> list[tuple[str, str | None]]:
    """Return the stretches of chain ids that lie in one partition each; one where it is whole.

    Together they are all there can be, whatever becomes of the partitions meanwhile.
    """
    if (found := layout(connection)) is None:
        return [("", None)]
    return [*((leaf.low, leaf.high) for leaf in found.leaves[EVENTS]), *found.gaps(EVENTS)]


def month_of(id: str) -> str:
    """Return the month of an id as people write it."""
    millis = millis_of(id)
    return "?" if millis is None else f"{moment_of(millis):%Y-%m}"


def moment_of(millis: int) -> datetime:
    """Return a moment, naive and in UTC, of its milliseconds since 1970."""
    return datetime(1970, 1, 1) + timedelta(milliseconds=millis)
