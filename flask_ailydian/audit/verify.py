"""Is the trail whole? Streams over it once, and names the first link that is not right."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import itertools
import typing as t

import sqlalchemy as sa

from ..tables import Tables
from . import canonical
from .evidence import Evidence

#: How many bad places a report names.
NAMED = 20


@dataclasses.dataclass(frozen=True)
class Bad:
    """One place that is not right."""

    chain_id: str | None
    seq: int | None
    why: str


@dataclasses.dataclass
class Report:
    """What was found. ``bad`` holds one place for each chain, the first that is not right."""

    events: int = 0
    records: int = 0
    chains: int = 0
    checkpoints: int = 0
    bad: list[Bad] = dataclasses.field(default_factory=list)
    heads: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing bad was found."""
        return not self.bad

    def body(self) -> dict[str, t.Any]:
        """Return the report for a machine."""
        return {
            "ok": self.ok,
            "events": self.events,
            "records": self.records,
            "chains": self.chains,
            "checkpoints": self.checkpoints,
            "bad": [dataclasses.asdict(place) for place in self.bad[:NAMED]],
        }


class Verifier:
    """Walks the chains of one database against the evidence that was signed."""

    def __init__(self, engine: sa.Engine, tables: Tables, evidence: Evidence) -> None:
        self._engine = engine
        self._events = tables.AuditEvent.__table__
        self._logs = tables.InferenceLog.__table__
        self._evidence = evidence

    def run(self, since: dict[str, tuple[int, str]] | None = None) -> Report:
        """Verify everything, or what came after the heads of an earlier, good report."""
        report = Report(checkpoints=self._evidence.checkpoints)
        report.bad += [Bad(None, None, why) for why in self._evidence.wrong]
        with self._engine.connect() as connection:
            for chain_id in self._chains(connection):
                report.chains += 1
                start = (since or {}).get(chain_id)
                bad = self._walk(connection, chain_id, start, report)
                if bad is not None:
                    report.bad.append(bad)
            if (stray := self._stray(connection)) is not None:
                report.bad.append(stray)
        return report

    def _chains(self, connection: sa.Connection) -> list[str]:
        c = self._events.c
        found, last = set(self._evidence.chains()), ""
        while True:
            query = sa.select(sa.func.min(c.chain_id)).where(c.chain_id > last)
            last = connection.execute(query).scalar() or ""
            if not last:
                return sorted(found)
            found.add(last)

    def _walk(
        self,
        connection: sa.Connection,
        chain_id: str,
        start: tuple[int, str] | None,
        report: Report,
    ) -> Bad | None:
        last, head = 0, canonical.first_hash(chain_id)
        if start is not None:
            last, head = start[0], bytes.fromhex(start[1])
            if not self._stands(connection, chain_id, last, head):
                return Bad(chain_id, last, "The link that was verified before is another now.")
        stated = self._evidence.heads(chain_id, last)
        due = next(stated, None)
        with contextlib.closing(self._rows(connection, chain_id, last)) as rows:
            for row in rows:
                seq, event, record = row[1], row[2:11], row[13:]
                if seq != last + 1:
                    last, head = self._evidence.jump(chain_id, last, head)
                    if seq != last + 1:
                        return Bad(chain_id, min(seq, last + 1), "This link is missing.")
                    while due is not None and due[0] < seq:
                        due = next(stated, None)
                if row[11] != head:
                    return Bad(chain_id, seq, "This link does not follow the one before.")
                head = canonical.link_hash(chain_id, seq, head, canonical.content_hash(*event))
                if row[12] != head:
                    return Bad(chain_id, seq, "This link was changed.")
                if (why := _record(event[8], record)) is not None:
                    return Bad(chain_id, seq, why)
                while due is not None and due[0] <= seq:
                    if due[1] != head:
                        return Bad(chain_id, seq, "A signed checkpoint knows another link here.")
                    due = next(stated, None)
                last = seq
                report.events += 1
                report.records += record[0] is not None
        last, head = self._evidence.jump(chain_id, last, head)
        while due is not None:
            if due[0] > last:
                return Bad(chain_id, last + 1, "The end of this chain was cut off.")
            due = next(stated, None)
        report.heads[chain_id] = (last, head.hex())
        return None

    def _stands(self, connection: sa.Connection, chain_id: str, seq: int, head: bytes) -> bool:
        c = self._events.c
        query = sa.select(c.row_hash).where(c.chain_id == chain_id, c.seq == seq)
        found = connection.execute(query).scalar()
        if found is None:
            return self._evidence.purged_at(chain_id, seq)
        return bytes(found) == head

    def _rows(
        self, connection: sa.Connection, chain_id: str, after: int
    ) -> c.Generator[t.Sequence[t.Any], None, None]:
        e, r = self._events.c, self._logs.c
        event = (e.id, e.kind, e.created_us, e.domain, e.actor_ref, e.subject_ref, e.sealed_ref)
        hashes = (e.payload, e.record_hash, e.prev_hash, e.row_hash)
        record = [r[name] for name in canonical.RECORD]
        query = (
            sa.select(e.chain_id, e.seq, *event, *hashes, *record)
            .select_from(self._events.outerjoin(self._logs, r.id == e.id))
            .where(e.chain_id == chain_id, e.seq > after)
            .order_by(e.seq)
        )
        options = {"yield_per": 2000, "stream_results": True}
        with connection.execute(query, execution_options=options) as result:
            for page in result.partitions():
                yield from page

    def _stray(self, connection: sa.Connection) -> Bad | None:
        """Look for an inference row that no event stands for, from when there are events."""
        e, r = self._events.c, self._logs.c
        first = connection.execute(sa.select(sa.func.min(e.created_us))).scalar()
        if first is None:
            return None
        query = (
            sa.select(r.id, r.created_at)
            .select_from(self._logs.outerjoin(self._events, r.id == e.id))
            .where(e.id.is_(None))
        )
        for id, created_at in connection.execute(query):
            if canonical.microseconds(created_at) >= first:
                return Bad(None, None, f"The inference row {id} has no event.")
        return None


def _record(stated: bytes | None, record: t.Sequence[t.Any]) -> str | None:
    """Return what is wrong with the inference row of an event."""
    if stated is None:
        return None if record[0] is None else "An inference row was put to this event."
    if record[0] is None:
        return "The inference row of this event is missing."
    if canonical.record_hash(record) != stated:
        return "The inference row of this event was changed."
    return None


def first(places: c.Iterable[Bad]) -> Bad | None:
    """Return the first bad place that is a link, or else the first."""
    all_of_them = list(places)
    links = (place for place in all_of_them if place.seq is not None)
    return next(itertools.chain(links, all_of_them), None)
