"""Which versions may answer: read from the database, and held for a moment."""

from __future__ import annotations

import collections.abc as c
import time
import typing as t

import sqlalchemy as sa

from .database import Database
from .fresh import Fresh
from .records import ModelRecord
from .records import record_of

#: How long, in seconds, a process goes by what it has read; other processes may change it.
FRESH_SECONDS = 0.25
#: For how long a database that does not answer within GLANCE seconds is not waited for.
GO_BY_SECONDS, GLANCE = 5.0, 0.1


def read_records(database: Database, query: t.Any) -> list[ModelRecord]:
    """Return the versions that a query of ``pytorch_models`` finds."""
    with database.connect() as connection:
        return [record_of(row) for row in connection.execute(query)]


class Answering:
    """The versions that may answer, by name and in the order in which they do."""

    def __init__(self, database: Database, table: sa.Table) -> None:
        self._database = database
        self._answered = float("-inf")
        self._table = table
        self.listeners: list[c.Callable[[c.Collection[str]], None]] = []
        """Called with the digests of all that may answer, when they have changed."""
        self._fresh = Fresh(self._mark, self._read, self._announce, seconds=FRESH_SECONDS)

    def get(self) -> dict[str, list[ModelRecord]]:
        """Return them, as they were a moment ago at most."""
        return self._fresh.get()

    def expire(self) -> None:
        """Read anew for the next caller: this process changed something."""
        self._fresh.expire()

    def _mark(self) -> tuple[t.Any, ...]:
        """Return what a new, changed or deleted row changes."""
        columns = self._table.c
        query = sa.select(sa.func.count(), sa.func.max(columns.updated_at), sa.func.max(columns.id))
        # While there is something to go by, a database that is slow is not waited for; now and
        # then it is, or what is known might stay as it is for ever.
        known = time.monotonic() - self._answered < GO_BY_SECONDS
        with self._database.connect(GLANCE if known else None) as connection:
            mark = tuple(connection.execute(query.select_from(self._table)).one())
        self._answered = time.monotonic()
        return mark

    def _read(self) -> dict[str, list[ModelRecord]]:
        """Return the versions that may answer, by name and in the order in which they do."""
        columns = self._table.c
        query = self._table.select().where(columns.deployment_status != "inactive")
        # "active" sorts before "testing".
        query = query.order_by(
            columns.model_name,
            columns.deployment_status,
            columns.created_at.desc(),
            columns.id.desc(),
        )
        answering: dict[str, list[ModelRecord]] = {}
        for record in read_records(self._database, query):
            answering.setdefault(record.name, []).append(record)
        return answering

    def _announce(self, answering: dict[str, list[ModelRecord]]) -> None:
        servable = {record.sha256 for records in answering.values() for record in records}
        for listener in self.listeners:
            listener(servable)
