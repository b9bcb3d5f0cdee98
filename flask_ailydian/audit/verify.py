"""Is the trail whole? Streams over it once, and names the first link that is not right."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import functools
import itertools
import json
import typing as t

import sqlalchemy as sa

from ..database import Database
from ..database import Walk
from ..tables import Tables
from . import canonical
from .evidence import Evidence
from .layout import stretches

#: How many bad places a report names.
NAMED = 20
#: How many rows are at hand at a time.
PAGE = 2000
#: How many times as long as another a question about all rows may take.
WHOLE = 60.0


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

    def __init__(self, database: Database, tables: Tables, evidence: Evidence) -> None:
        self._database = database
        self._events = tables.AuditEvent.__table__
        self._logs = tables.InferenceLog.__table__
        self._evidence = evidence

    def run(self, since: dict[str, tuple[int, str]] | None = None) -> Report:
        """Verify everything, or what came after the heads of an earlier, good report."""
        report = Report(checkpoints=self._evidence.checkpoints)
        report.bad += [Bad(None, None, why) for why in self._evidence.wrong]
        with self._database.walk() as walk:
            for chain_id in sorted({*self._evidence.chains(), *walk.steps(self._chains)}):
                report.chains += 1
                start = (since or {}).get(chain_id)
                bad = self._walk(walk, chain_id, start, report)
                if bad is not None:
                    report.bad.append(bad)
            if (stray := walk.ask(self._stray, times=WHOLE)) is not None:
                report.bad.append(stray)
        return report

    def _chains(self, connection: sa.Connection) -> t.Iterator[str]:
        c = self._events.c
        for low, high in stretches(connection):
            within = [c.chain_id >= low, *([c.chain_id < high] if high else [])]
            last: str | None = ""
            while last is not None:
                query = sa.select(sa.func.min(c.chain_id)).where(c.chain_id > last, *within)
                if (last := connection.execute(query).scalar()) is not None:
                    yield last

    def _walk(
        self,
        walk: Walk,
        chain_id: str,
        start: tuple[int, str] | None,
        report: Report,
    ) -> Bad | None:
        last, head = 0, canonical.first_hash(chain_id)
        link_hash, content_hash = canonical.linking(chain_id), canonical.content_hash
        if start is not None:
            last, head = start[0], bytes.fromhex(start[1])
            stands = functools.partial(self._stands, chain_id, last, head)
            if not walk.ask(stands):
                return Bad(chain_id, last, "The link that was verified before is another now.")
        stated = self._evidence.heads(chain_id, last)
        due = next(stated, None)
        read = _Reader(self._database.engine().dialect, self._logs)
        with contextlib.closing(self._rows(walk, chain_id, last)) as rows:
            for row in rows:
                seq, event, record = row[0], row[1:10], row[12:]
                if seq != last + 1:
                    last, head = self._evidence.jump(chain_id, last, head)
                    if seq != last + 1:
                        return Bad(chain_id, min(seq, last + 1), "This link is missing.")
                    while due is not None and due[0] < seq:
                        due = next(stated, None)
                if row[10] != head:
                    return Bad(chain_id, seq, "This link does not follow the one before.")
                try:
                    head = link_hash(seq, head, content_hash(*event))
                except TypeError:
                    # A value of a kind that no event has.
                    head = b""
                if row[11] != head:
                    return Bad(chain_id, seq, "This link was changed.")
                if (why := _record(event[8], record, read)) is not None:
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

    def _stands(self, chain_id: str, seq: int, head: bytes, connection: sa.Connection) -> bool:
        c = self._events.c
        query = sa.select(c.row_hash).where(c.chain_id == chain_id, c.seq == seq)
        found = connection.execute(query).scalar()
        if found is None:
            return self._evidence.purged_at(chain_id, seq)
        return bytes(found) == head

    def _rows(
        self, walk: Walk, chain_id: str, after: int
    ) -> c.Generator[t.Sequence[t.Any], None, None]:
        e, r = self._events.c, self._logs.c
        event = (e.id, e.kind, e.created_us, e.domain, e.actor_ref, e.subject_ref, e.sealed_ref)
        hashes = (e.payload, e.record_hash, e.prev_hash, e.row_hash)
        # As the driver has them: most values need no conversion, and it is paid row by row.
        columns = [
            sa.type_coerce(column, sa.types.NULLTYPE)
            for column in (
                *(e.seq, *event, *hashes),
                *(_as_kept(r[name]) for name in canonical.RECORD),
            )
        ]
        # By ranges of links: whatever a server believes about the size of a chain, each is cheap.
        mine = sa.and_(e.chain_id == chain_id, e.seq > sa.bindparam("after"))
        query = (
            sa.select(*columns)
            .select_from(self._events.outerjoin(self._logs, r.id == e.id))
            .where(mine, e.seq <= sa.bindparam("after") + PAGE)
            .order_by(e.seq)
        )
        following = sa.select(sa.func.min(e.seq)).where(mine)

        def page(connection: sa.Connection) -> t.Sequence[t.Any]:
            return connection.execute(query, {"after": after}).all()

        def next_one(connection: sa.Connection) -> int | None:
            return connection.execute(following, {"after": after}).scalar()

        while True:
            if found := walk.ask(page):
                yield from found
                after += PAGE
            elif (place := walk.ask(next_one)) is not None:
                after = place - 1
            else:
                return

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


def _as_kept(column: sa.Column[t.Any]) -> sa.ColumnElement[t.Any]:
    """Return a column as text where it holds JSON: reading it is for the few that need it."""
    return sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else column


class _Reader:
    """Makes of a row's raw values those that were hashed."""

    def __init__(self, dialect: sa.Dialect, logs: sa.Table) -> None:
        self._conversions: list[tuple[int, c.Callable[[t.Any], t.Any]]] = []
        for place, name in enumerate(canonical.RECORD):
            kind = logs.c[name].type
            convert: c.Callable[[t.Any], t.Any] | None = None
            if isinstance(kind, sa.JSON):
                convert = _json
            elif dialect.name == "sqlite":
                # It has no moments and no decimals; servers' drivers give them as they are.
                convert = kind.dialect_impl(dialect).result_processor(dialect, None)
            if convert is not None:
                self._conversions.append((place, convert))

    def values(self, record: t.Sequence[t.Any]) -> list[t.Any]:
        """Return the values; raise ``ValueError`` or ``TypeError`` where there can be none."""
        values = list(record)
        for place, convert in self._conversions:
            if (value := values[place]) is not None:
                values[place] = convert(value)
        return values


def _json(text: str) -> t.Any:
    if text == "null":
        return None
    if text.isascii() and text[0] == text[-1] == '"' and '"' not in text[1:-1] and "\\" not in text:
        # One plain text, as sealed results are.
        return text[1:-1]
    return json.loads(text)


def _record(stated: bytes | None, record: t.Sequence[t.Any], read: _Reader) -> str | None:
    """Return what is wrong with the inference row of an event."""
    if stated is None:
        return None if record[0] is None else "An inference row was put to this event."
    if record[0] is None:
        return "The inference row of this event is missing."
    try:
        if canonical.record_hash(read.values(record)) == stated:
            return None
    except (ValueError, TypeError, ArithmeticError):
        # It does not even hold what its columns are for.
        pass
    return "The inference row of this event was changed."


def first(places: c.Iterable[Bad]) -> Bad | None:
    """Return the first bad place that is a link, or else the first."""
    all_of_them = list(places)
    links = (place for place in all_of_them if place.seq is not None)
    return next(itertools.chain(links, all_of_them), None)
