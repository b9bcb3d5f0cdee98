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
from .layout import Partition
from .months import Months
from .partitions import Partitions
from .partitions import Refused
from .policy import DAY
from .policy import FLOOR_DAYS
from .policy import Policy
from .runs import Link
from .runs import Run
from .runs import runs
from .signing import Signer
from .subjects import Subjects
from .trimming import note
from .trimming import Trimming

#: How many links one transaction takes away.
CHUNK = 2000
#: For how long at most rows wait for the last of their partition, in microseconds.
MONTH_US = 31 * DAY * 10**6


@dataclasses.dataclass
class Purged:
    """How many rows were, or would be, taken away, and which partitions as a whole.

    *kept* names the partitions that are old enough and were not taken, with the reason;
    *waiting* those whose rows wait for the last among them.
    """

    events: int = 0
    records: int = 0
    persons: int = 0
    checkpoints: int = 0
    domains: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    tables: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    partitions: list[str] = dataclasses.field(default_factory=list)
    waiting: list[str] = dataclasses.field(default_factory=list)
    kept: dict[str, str] = dataclasses.field(default_factory=dict)

    def body(self) -> dict[str, t.Any]:
        """Return the counts for a machine."""
        names = ("events", "records", "persons", "checkpoints")
        counts: dict[str, t.Any] = {name: getattr(self, name) for name in names}
        counts |= {"domains": dict(self.domains), "tables": dict(self.tables)}
        counts |= {"partitions": self.partitions, "waiting": self.waiting, "kept": self.kept}
        return counts


class Retention:
    """The end of rows, per domain."""

    def __init__(
        self,
        engine: c.Callable[[], sa.Engine],
        tables: Tables,
        signer: Signer,
        policy: Policy,
        subjects: Subjects,
        partitions: Partitions,
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
        self._months = Months(engine, self._events, self._purges, self._sides, signer, policy)
        self._partitions = partitions
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

        ended = self._months.ended(older_than, moment)
        for partition in ended:
            self._end(partition, moment, done, dry_run=dry_run)
        # What would be taken one by one until then goes as a whole within a month.
        soon = self._months.ended(older_than, moment + MONTH_US)
        done.waiting = [one.label for one in soon if one not in ended]
        for stretch in runs(self._links(old, done, [*ended, *soon]), CHUNK):
            self._count(stretch, done)
            if not dry_run:
                patiently(functools.partial(self._take, stretch, moment))
        if not dry_run:
            # Some may be empty now.
            for partition in self._months.ended(older_than, moment):
                if partition.label not in done.kept:
                    self._end(partition, moment, done)
            self._partitions.tend()
            done.persons = self._forget(moment - FLOOR_DAYS * DAY * 10**6)
        # What was signed so long ago vouches for nothing that the next one does not.
        before = moment - FLOOR_DAYS * DAY * 10**6
        done.checkpoints = self._trimming.run(before, moment, dry_run=dry_run)
        return done

    def _end(
        self, partition: Partition, moment: int, done: Purged, *, dry_run: bool = False
    ) -> None:
        """Count what a partition holds, and drop it."""
        domains, tables = self._months.count(partition)
        if done.kept:
            # What kept one keeps the others: answers wait behind every try.
            done.kept[partition.label] = next(iter(done.kept.values()))
            return
        if not dry_run:
            try:
                self._months.drop(partition, moment)
            except Refused as error:
                done.kept[partition.label] = str(error)
                return
        done.partitions.append(partition.label)
        for domain, (events, records) in domains.items():
            done.events += events
            done.records += records
            done.domains[domain or "none"] += events
        done.tables.update(tables)

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

    def _links(
        self,
        old: c.Callable[[int, str | None], bool],
        done: Purged,
        besides: c.Sequence[Partition],
    ) -> t.Iterator[Link]:
        """Yield the links that are old enough, by chain, but not those of *besides*."""
        e = self._events.c
        after = ("", 0)
        columns = (e.chain_id, e.seq, e.created_us, e.domain, e.prev_hash, e.row_hash)
        others = [~sa.and_(e.chain_id >= p.low, e.chain_id < p.high) for p in besides]
        while True:
            place = sa.tuple_(e.chain_id, e.seq) > after
            query = sa.select(*columns, e.record_hash.is_not(None)).where(place, *others)
            query = query.order_by(e.chain_id, e.seq).limit(CHUNK)
            with self._engine().connect() as connection:
                rows = connection.execute(query).all()
            for chain, seq, created_us, domain, prev, row_hash, recorded in rows:
                if old(created_us, domain):
                    done.events += 1
                    done.records += recorded
                    done.domains[domain or "none"] += 1
                    yield chain, seq, prev, row_hash
            if not rows:
                return
            after = (rows[-1].chain_id, rows[-1].seq)

    def _take(self, run: Run, moment: int) -> None:
        e = self._events.c
        mine = sa.and_(e.chain_id == run.chain_id, e.seq.between(run.first, run.last))
        with self._engine().begin() as connection, guards.lifted(connection):
            connection.execute(self._purges.insert(), note(run.said(moment), self._signer))
            ids = sa.select(e.id).where(mine)
            for side in self._sides:
                connection.execute(side.delete().where(side.c.id.in_(ids)))
            connection.execute(self._logs.delete().where(self._logs.c.id.in_(ids)))
            connection.execute(self._events.delete().where(mine))
