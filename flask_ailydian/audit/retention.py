"""Takes away what is old enough, and signs what it took away."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import functools
import time
import typing as t

import sqlalchemy as sa

from ..errors import ValidationFailed
from ..tables import Tables
from ..transactions import patiently
from . import guards
from .merkle import Roots
from .policy import DAY
from .policy import FLOOR_DAYS
from .policy import Policy
from .signing import Signer
from .subjects import Subjects
from .trimming import note
from .trimming import Trimming

#: How many links one transaction takes away.
CHUNK = 2000


@dataclasses.dataclass
class Run:
    """A stretch of one chain that is old enough."""

    chain_id: str
    first: int
    last: int
    before: bytes
    end: bytes
    roots: Roots


@dataclasses.dataclass
class Purged:
    """How many rows were, or would be, taken away."""

    events: int = 0
    records: int = 0
    persons: int = 0
    checkpoints: int = 0
    domains: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    tables: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def body(self) -> dict[str, t.Any]:
        """Return the counts for a machine."""
        names = ("events", "records", "persons", "checkpoints")
        counts: dict[str, t.Any] = {name: getattr(self, name) for name in names}
        return {**counts, "domains": dict(self.domains), "tables": dict(self.tables)}


class Retention:
    """The end of rows, per domain."""

    def __init__(
        self,
        engine: c.Callable[[], sa.Engine],
        tables: Tables,
        signer: Signer,
        policy: Policy,
        subjects: Subjects,
    ) -> None:
        self._engine = engine
        self._events = tables.AuditEvent.__table__
        self._logs = tables.InferenceLog.__table__
        self._purges = tables.AuditPurge.__table__
        # Their rows bear the id of the answer that they are about, and end with it.
        self._sides: tuple[sa.Table, ...] = (
            tables.ABExposure.__table__,
            tables.ABShadow.__table__,
            tables.Feedback.__table__,
        )
        checkpoints = tables.AuditCheckpoint.__table__
        self._trimming = Trimming(engine, checkpoints, self._purges, signer)
        self._signer = signer
        self._policy = policy
        self._subjects = subjects

    def run(self, *, older_than: int | None = None, dry_run: bool = False) -> Purged:
        """Take away rows that are older than their domain's days.

        :param older_than: Days for every domain in place of the policy's; never under 183.
        :raises ValidationFailed: for fewer days.
        """
        if older_than is not None and older_than < FLOOR_DAYS:
            message = f"Rows are kept for {FLOOR_DAYS} days at least."
            raise ValidationFailed(message, fields={"older_than": [message]})
        moment = time.time_ns() // 1000
        done = Purged()

        def old(created_us: int, domain: str | None) -> bool:
            days = older_than or self._policy.keeps_days(domain)
            return created_us < moment - days * DAY * 10**6

        for stretch in self._stretches(old, done):
            self._count(stretch, done)
            if not dry_run:
                patiently(functools.partial(self._take, stretch, moment))
        if not dry_run:
            done.persons = self._forget(moment - FLOOR_DAYS * DAY * 10**6)
        # What was signed so long ago vouches for nothing that the next one does not.
        before = moment - FLOOR_DAYS * DAY * 10**6
        done.checkpoints = self._trimming.run(before, moment, dry_run=dry_run)
        return done

    def _count(self, run: Run, done: Purged) -> None:
        """Count what hangs on the rows of a stretch: exposures, shadows, feedback."""
        e = self._events.c
        ids = sa.select(e.id).where(e.chain_id == run.chain_id, e.seq.between(run.first, run.last))
        with self._engine().connect() as connection:
            for side in self._sides:
                query = sa.select(sa.func.count()).select_from(side).where(side.c.id.in_(ids))
                if found := connection.execute(query).scalar_one():
                    done.tables[side.name] += found

    def _forget(self, before_us: int) -> int:
        """Destroy the keys and identities of persons about whom nothing is left."""
        e = self._events.c
        left = sa.union(
            sa.select(e.subject_ref).where(e.subject_ref.is_not(None)),
            sa.select(e.actor_ref).where(e.actor_ref.is_not(None)),
        )
        refs = sa.select(left.subquery().c.subject_ref)

        def attempt() -> int:
            with self._engine().begin() as connection:
                return self._subjects.destroy_unused(connection, refs, before_us)

        return patiently(attempt)

    def _stretches(self, old: c.Callable[[int, str | None], bool], done: Purged) -> t.Iterator[Run]:
        e = self._events.c
        after = ("", 0)
        current: Run | None = None
        columns = (e.chain_id, e.seq, e.created_us, e.domain, e.prev_hash, e.row_hash)
        while True:
            place = sa.tuple_(e.chain_id, e.seq) > after
            query = sa.select(*columns, e.record_hash.is_not(None)).where(place)
            query = query.order_by(e.chain_id, e.seq).limit(CHUNK)
            with self._engine().connect() as connection:
                rows = connection.execute(query).all()
            for chain, seq, created_us, domain, prev, row_hash, recorded in rows:
                if not old(created_us, domain):
                    if current is not None:
                        yield current
                    current = None
                    continue
                done.events += 1
                done.records += recorded
                done.domains[domain or "none"] += 1
                follows = current is not None and (current.chain_id, current.last + 1) == (
                    chain,
                    seq,
                )
                if current is not None and (not follows or seq - current.first >= CHUNK):
                    yield current
                    current = None
                if current is None:
                    current = Run(chain, seq, seq, bytes(prev), b"", Roots())
                current.last, current.end = seq, bytes(row_hash)
                current.roots.add(current.end)
            if not rows:
                break
            after = (rows[-1].chain_id, rows[-1].seq)
        if current is not None:
            yield current

    def _take(self, run: Run, moment: int) -> None:
        said = {
            "v": 1,
            "chain_id": run.chain_id,
            "first_seq": run.first,
            "last_seq": run.last,
            "before": run.before.hex(),
            "end": run.end.hex(),
            "root": run.roots.root().hex(),
            "created_us": moment,
        }
        e = self._events.c
        mine = sa.and_(e.chain_id == run.chain_id, e.seq.between(run.first, run.last))
        with self._engine().begin() as connection, guards.lifted(connection):
            connection.execute(self._purges.insert(), note(said, self._signer))
            ids = sa.select(e.id).where(mine)
            for side in self._sides:
                connection.execute(side.delete().where(side.c.id.in_(ids)))
            connection.execute(self._logs.delete().where(self._logs.c.id.in_(ids)))
            connection.execute(self._events.delete().where(mine))
