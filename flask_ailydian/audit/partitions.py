"""Makes the monthly partitions of the trail and of the inference logs on PostgreSQL.

Whether there are any is read from the database's catalogue: the host's migration decides it.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import logging
import typing as t
from datetime import datetime

import sqlalchemy as sa

from ..clock import lowest_id
from ..clock import millis_of
from ..clock import month_after
from ..clock import now
from ..errors import AilydianError
from ..transactions import sqlstate
from . import guards
from .layout import EVENTS
from .layout import KEYS
from .layout import Layout
from .layout import layout
from .layout import moment_of
from .layout import Partition

log = logging.getLogger("flask_ailydian.audit")

#: How many months are made ahead, and how few are too few.
AHEAD, TOO_FEW = 3, 2
#: How long other transactions wait behind us for a lock that we wait for.
PATIENCE = "1s"


class Refused(AilydianError):
    """The database did not let us; the detail says what to do."""

    status = 503
    code = "partitions_refused"
    title = "The database did not let the partitions be changed."


class Partitions:
    """The partitions of one app's database."""

    def __init__(self, engine: c.Callable[[], sa.Engine]) -> None:
        self._engine = engine

    def layout(self) -> Layout | None:
        """Return how the tables are parted; ``None`` where they are whole."""
        if self._engine().dialect.name != "postgresql":
            return None
        with self._engine().connect() as connection:
            return layout(connection)

    def make_ahead(self, months: int = AHEAD) -> list[str]:
        """See that this month and the next ones have their partitions; return the new ones.

        So do the months of rows that lie in the default partition, which move there.

        :raises Refused: when the role may not, or somebody holds the tables.
        """
        made: list[str] = []
        first = _month(now())
        for _ in range(months + 1):
            if (found := self.layout()) is None:
                return []
            self._see_to(first, found, made)
            first = month_after(first)
        while (found := self.layout()) is not None and (id := self.stray(found)) is not None:
            millis = millis_of(id)
            if millis is None or not self._see_to(_month(moment_of(millis)), found, made):
                # Of no month at all: it stays where it is.
                break
        return made

    def _see_to(self, first: datetime, found: Layout, made: list[str]) -> bool:
        """Make a month's partitions unless they are there; return whether they were not."""
        if not found.missing(lowest_id(first), lowest_id(month_after(first))):
            return False
        self._make(first, month_after(first))
        made.append(f"{first:%Y-%m}")
        return True

    def tend(self) -> list[str]:
        """As :meth:`make_ahead`, for commands whose own work this is not: a refusal is logged."""
        try:
            return self.make_ahead()
        except Refused as error:
            log.warning("no partitions were made ahead: %s", error)
            return []

    def _make(self, first: datetime, following: datetime) -> None:
        low, high = lowest_id(first), lowest_id(following)
        with refusals(), self._engine().begin() as connection:
            alone(connection)
            found = layout(connection)
            guarded = guards.present(connection)
            if found is None:
                return
            for table in found.missing(low, high):
                leaf = f"{found.schema}.{table}_{first:%Y_%m}"
                run = connection.exec_driver_sql
                run(f"CREATE TABLE {leaf} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)")
                if table == EVENTS:
                    run(f"ALTER TABLE {leaf} ADD PRIMARY KEY (id)")
                _move(connection, found.defaults[table], leaf, KEYS[table], low, high)
                run(
                    f"ALTER TABLE {table} ATTACH PARTITION {leaf} "
                    f"FOR VALUES FROM ('{low}') TO ('{high}')"
                )
            if guarded:
                connection.exec_driver_sql(guards.ON_PARTITIONS)

    def contents(self, found: Layout) -> dict[Partition, tuple[int, int, int]]:
        """Return how many events and answers are in each partition, and how many bytes it takes.

        The rows are the server's own estimate, the bytes are those of indexes too.
        """
        query = sa.text(
            "SELECT greatest(reltuples, pg_stat_get_live_tuples(oid), 0)::bigint, "
            "pg_total_relation_size(oid) FROM pg_class WHERE oid = :oid"
        )
        held = {}
        with self._engine().connect() as connection:
            for one in found.partitions:
                halves = [
                    connection.execute(query, {"oid": leaf.oid}).first() or (0, 0)
                    for leaf in (one.events, one.logs)
                ]
                held[one] = (halves[0][0], halves[1][0], halves[0][1] + halves[1][1])
        return held

    def stray(self, found: Layout) -> str | None:
        """Return the lowest key of a row that lies in a default partition, if any does."""
        with self._engine().connect() as connection:
            # Asked of the whole table: the application's role may know nothing of partitions.
            for table, key in KEYS.items():
                column: t.Any = sa.column(key)
                gaps = [
                    sa.and_(column >= low, column < high) if high else column >= low
                    for low, high in found.gaps(table)
                ]
                query = sa.select(sa.func.min(column)).select_from(sa.table(table))
                if (id := connection.execute(query.where(sa.or_(*gaps))).scalar()) is not None:
                    return str(id)
        return None

    def ahead(self, found: Layout) -> int:
        """Return how many months after this one have their partitions, without a gap."""
        first, count = month_after(_month(now())), 0
        while not found.missing(lowest_id(first), lowest_id(month_after(first))):
            first, count = month_after(first), count + 1
        return count


def _month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _move(
    connection: sa.Connection, default: str, leaf: str, key: str, low: str, high: str
) -> None:
    """Take the rows of a month out of the default partition; who writes there waits."""
    within = f"{key} >= '{low}' AND {key} < '{high}'"
    connection.exec_driver_sql(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE")
    with guards.lifted(connection):
        connection.exec_driver_sql(
            f"WITH moved AS (DELETE FROM {default} WHERE {within} RETURNING *) "
            f"INSERT INTO {leaf} SELECT * FROM moved"
        )
        connection.exec_driver_sql(f"SET LOCAL {guards.SWITCH} = 'off'")


def alone(connection: sa.Connection) -> None:
    """Let nobody else change partitions until the commit, and let nobody wait for us for long."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock(hashtext('{EVENTS}'))")


@contextlib.contextmanager
def refusals() -> c.Iterator[None]:
    """Turn what the database refused into :class:`Refused`."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if (why := REASONS.get(sqlstate(error) or "")) is None:
            raise
        raise Refused(why) from error


BUSY = "Another transaction holds the tables; the next run tries again."
REASONS = {
    "42501": "The database role may not do this; run it as the owner of the tables.",
    # lock_not_available, deadlock_detected
    "55P03": BUSY,
    "40P01": BUSY,
}
