"""Which versions may answer: read from the database, and held for a moment."""

from __future__ import annotations

import collections.abc as c
import typing as t

import sqlalchemy as sa

from .fresh import Fresh
from .records import ModelRecord
from .records import record_of

#: How long, in seconds, a process goes by what it has read; other processes may change it.
FRESH_SECONDS = 0.25


def read_records(db: t.Any, query: t.Any) -> list[ModelRecord]:
    """Return the versions that a query of ``pytorch_models`` finds."""
    with db.engine.connect() as connection:
        return [record_of(row) for row in connection.execute(query)]


class Answering:
    """The versions that may answer, by name and in the order in which they do."""

    def __init__(self, db: t.Any, table: sa.Table) -> None:
        self._db = db
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
        with self._db.engine.connect() as connection:
            return tuple(connection.execute(query.select_from(self._table)).one())

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
        for record in read_records(self._db, query):
            answering.setdefault(record.name, []).append(record)
        return answering

    def _announce(self, answering: dict[str, list[ModelRecord]]) -> None:
        servable = {record.sha256 for records in answering.values() for record in records}
        for listener in self.listeners:
            listener(servable)
