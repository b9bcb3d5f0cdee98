"""Circuit breakers: a backend that keeps failing is left alone, then tried by one query.

No lock is held while the backend is called.
"""

from __future__ import annotations

import sqlalchemy as sa

from ..breaker import Breaker as Breaker
from ..breaker import Circuit as Circuit
from ..breaker import MemoryStore as MemoryStore
from ..breaker import State as State
from ..breaker import Store as Store
from ..database import Database
from ..tables import Tables


class TableStore:
    """Circuits that all workers of a database share."""

    def __init__(self, database: Database, tables: Tables) -> None:
        self._database = database
        self._table: sa.Table = tables.Breaker.__table__

    def read(self, name: str) -> Circuit:
        """Return a circuit."""
        columns = self._table.c
        query = sa.select(columns.failures, columns.opened_at, columns.probe_until)
        query = query.where(columns.name == name)
        row = self._database.transact(lambda connection: connection.execute(query).first())
        return Circuit(*row) if row is not None else Circuit()

    def fail(self, name: str, *, threshold: int, now: float) -> None:
        """Count a failure."""
        columns = self._table.c
        opens = sa.or_(columns.opened_at.is_not(None), columns.failures + 1 >= threshold)
        counted = (
            self._table.update()
            .where(columns.name == name)
            .values(
                failures=columns.failures + 1,
                opened_at=sa.case((opens, now), else_=None),
                probe_until=None,
            )
        )
        first = {"name": name, "failures": 1, "opened_at": now if threshold <= 1 else None}

        def work(connection: sa.Connection) -> None:
            if connection.execute(counted).rowcount != 1:
                connection.execute(self._table.insert(), first)

        for _ in range(2):
            try:
                self._database.transact(work)
                return
            except sa.exc.IntegrityError:
                # Another worker counted the first one just now: count after it.
                continue

    def close(self, name: str) -> None:
        """Forget every failure."""
        closed = self._table.delete().where(self._table.c.name == name)
        self._database.transact(lambda connection: connection.execute(closed))

    def take_probe(self, name: str, *, opened_before: float, now: float, until: float) -> bool:
        """Take the right to try an open circuit."""
        columns = self._table.c
        free = sa.or_(columns.probe_until.is_(None), columns.probe_until <= now)
        mine = sa.and_(columns.name == name, columns.opened_at <= opened_before, free)
        taken = self._table.update().where(mine).values(probe_until=until)
        return self._database.transact(lambda asked: bool(asked.execute(taken).rowcount == 1))
