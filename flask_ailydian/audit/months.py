"""Whole partitions whose rows are all old enough go at once: no row of theirs is touched."""

from __future__ import annotations

import collections.abc as c
import time
import typing as t
from datetime import timedelta

import sqlalchemy as sa

from ..clock import lowest_id
from ..clock import now
from ..transactions import sqlstate
from .layout import EVENTS
from .layout import layout
from .layout import LOGS
from .layout import Partition
from .partitions import alone
from .partitions import BUSY
from .partitions import refusals
from .partitions import Refused
from .policy import DAY
from .policy import FLOOR_DAYS
from .policy import Policy
from .runs import Link
from .runs import runs
from .signing import Signer
from .trimming import note

#: How many links are at hand at a time.
PAGE = 2000
#: How often the tables are asked for, and the seconds between.
TRIES, PAUSE = 5, 0.5


class Months:
    """The end of whole partitions.

    :param sides: Tables whose rows bear the id of an answer, and end with it.
    """

    def __init__(
        self,
        engine: c.Callable[[], sa.Engine],
        events: sa.Table,
        purges: sa.Table,
        sides: c.Sequence[sa.Table],
        signer: Signer,
        policy: Policy,
    ) -> None:
        self._engine = engine
        self._events = events
        self._purges = purges
        self._sides = sides
        self._signer = signer
        self._policy = policy

    def ended(self, days: int | None, moment: int) -> list[Partition]:
        """Return the partitions of which every row is old enough, the oldest first.

        :param days: For every domain in place of the policy's.
        :param moment: The present, in microseconds.
        """
        over = lowest_id(now())
        with refusals(), self._engine().connect() as connection:
            found = layout(connection)
            return [
                partition
                for partition in (found.partitions if found else ())
                if partition.high <= over and self._over(connection, partition, days, moment)
            ]

    def _over(
        self, connection: sa.Connection, partition: Partition, days: int | None, moment: int
    ) -> bool:
        """Whether nothing in a partition must be kept, and its two halves belong together.

        One without rows is kept for as long as any row is: some may be on their way.
        """
        event, log = _leaf(partition.events.name), _leaf(partition.logs.name)
        named = sorted({*self._policy.retention_days, "medical"})
        kept: t.Any = days or sa.case(
            (event.c.domain.is_(None), self._policy.keeps_days(None)),
            *((event.c.domain == name, self._policy.keeps_days(name)) for name in named),
            else_=self._policy.keeps_days(""),
        )
        young = event.c.created_us >= moment - sa.cast(kept, sa.BigInteger) * DAY * 10**6
        answer = event.c.record_hash.is_not(None)
        same = event.c.id == log.c.id
        # Rows that somebody else wrote may lie otherwise: they end one by one.
        lone = sa.and_(answer, ~sa.exists().where(same))
        stray = ~sa.exists().where(sa.and_(same, answer))
        if partition.high > lowest_id(now() - timedelta(days=FLOOR_DAYS)):
            if connection.execute(sa.select(event.c.id).limit(1)).first() is None:
                return False
        return not any(
            connection.execute(
                sa.select(sa.literal(1)).select_from(side).where(why).limit(1)
            ).first()
            for side, why in ((event, young), (event, lone), (log, stray))
        )

    def count(
        self, partition: Partition
    ) -> tuple[dict[str | None, tuple[int, int]], dict[str, int]]:
        """Return how many events and answers there are by domain, and how many rows by table."""
        event = _leaf(partition.events.name)
        query = sa.select(event.c.domain, sa.func.count(), sa.func.count(event.c.record_hash))
        with self._engine().connect() as connection:
            domains = {
                domain: (events, answers)
                for domain, events, answers in connection.execute(query.group_by(event.c.domain))
            }
            tables = {}
            for side in self._sides:
                mine = side.c.id.in_(sa.select(event.c.id))
                counted = sa.select(sa.func.count()).select_from(side).where(mine)
                if found := connection.execute(counted).scalar_one():
                    tables[side.name] = found
        return domains, tables

    def drop(self, partition: Partition, moment: int) -> None:
        """Sign what a partition holds, and drop it; all of it or nothing.

        :raises Refused: when somebody holds the tables, or the role may not.
        """
        events, logs = partition.events.name, partition.logs.name
        with refusals(), self._engine().begin() as connection:
            alone(connection)
            # Nothing is added while it is read; an answer's row is nothing without its event.
            connection.exec_driver_sql(f"LOCK TABLE {events} IN SHARE MODE")
            for run in runs(self._links(connection, events)):
                connection.execute(self._purges.insert(), note(run.said(moment), self._signer))
            mine = sa.select(_leaf(events).c.id)
            for side in self._sides:
                connection.execute(side.delete().where(side.c.id.in_(mine)))
            # As answers are written, so that nobody waits in a circle: the logs first.
            for _ in range(TRIES):
                if _tried(
                    connection,
                    f"LOCK TABLE ONLY {LOGS}, ONLY {EVENTS} IN ACCESS EXCLUSIVE MODE",
                    f"DROP TABLE {logs}, {events}",
                ):
                    return
                time.sleep(PAUSE)
            raise Refused(BUSY)

    def _links(self, connection: sa.Connection, name: str) -> t.Iterator[Link]:
        leaf, after = _leaf(name), ("", 0)
        columns = (leaf.c.chain_id, leaf.c.seq, leaf.c.prev_hash, leaf.c.row_hash)
        while True:
            place = sa.tuple_(leaf.c.chain_id, leaf.c.seq) > after
            query = sa.select(*columns).where(place).order_by(*columns[:2]).limit(PAGE)
            rows = connection.execute(query).all()
            for row in rows:
                yield row.chain_id, row.seq, row.prev_hash, row.row_hash
            if not rows:
                return
            after = (rows[-1].chain_id, rows[-1].seq)


def _leaf(name: str) -> t.Any:
    """Return a partition, whose *name* is quoted already, with the columns that are asked for."""
    names = ("id", "chain_id", "seq", "domain", "created_us")
    hashes = ("record_hash", "prev_hash", "row_hash")
    place, _, own = name.partition(".")
    return sa.table(
        sa.quoted_name(own, quote=False),
        *map(sa.column, names + hashes),
        schema=sa.quoted_name(place, quote=False),
    )


def _tried(connection: sa.Connection, *statements: str) -> bool:
    """Run statements, all or none of them; return whether nobody held what they need."""
    try:
        with connection.begin_nested():
            for statement in statements:
                connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        if sqlstate(error) != "55P03":
            raise
        return False
    return True
