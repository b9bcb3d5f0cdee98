"""Statements that are compiled once: on the path of every answer, compiling is most of the cost."""

from __future__ import annotations

import operator
import typing as t

import sqlalchemy as sa


class Insert:
    """Inserts rows into one table."""

    def __init__(self, table: sa.Table, dialect: sa.Dialect) -> None:
        names = [column.name for column in table.columns]
        compiled = table.insert().compile(dialect=dialect, column_keys=names)
        self._sql = str(compiled)
        self._names = names
        self._values = operator.itemgetter(*names)
        self._dialect: t.Any = dialect
        makers = [table.c[n].type.dialect_impl(dialect).bind_processor(dialect) for n in names]
        #: What has to be done to which column's value.
        self._processors = [(i, maker) for i, maker in enumerate(makers) if maker is not None]

    def execute(self, connection: sa.Connection, rows: list[dict[str, t.Any]]) -> None:
        """Insert *rows*, which have every column."""
        ready: list[t.Any] = [self._ready(row) for row in rows]
        # A host that watches its database's statements is to see ours too.
        watched: t.Any = connection.dispatch
        if self._dialect.name == "sqlite" and not watched.before_cursor_execute:
            self._executed(connection, ready)
            return
        if not self._dialect.positional:
            ready = [dict(zip(self._names, values, strict=True)) for values in ready]
        connection.exec_driver_sql(self._sql, ready[0] if len(ready) == 1 else ready)

    def _ready(self, row: dict[str, t.Any]) -> tuple[t.Any, ...]:
        values = list(self._values(row))
        for i, process in self._processors:
            values[i] = process(values[i])
        return tuple(values)

    def _executed(self, connection: sa.Connection, ready: list[t.Any]) -> None:
        """Ask SQLite's driver itself: what SQLAlchemy does around it takes longer than the rows."""
        failed = self._dialect.loaded_dbapi.Error
        cursor = connection.connection.cursor()
        try:
            if len(ready) == 1:
                cursor.execute(self._sql, ready[0])
            else:
                cursor.executemany(self._sql, ready)
        except failed as error:
            raise sa.exc.DBAPIError.instance(
                self._sql, None, error, failed, hide_parameters=True, dialect=self._dialect
            ) from error
        finally:
            cursor.close()


def alive(table: sa.Table, connection: sa.Connection, refs: set[str]) -> set[str]:
    """Return which of *refs* are not erased.

    On PostgreSQL their rows are locked against an erasure until the commit; SQLite has one
    writer at a time anyway.
    """
    given: t.Any
    if connection.dialect.name == "postgresql":
        test, given, lock = "= ANY(%(refs)s)", {"refs": list(refs)}, " FOR KEY SHARE"
    elif connection.dialect.name == "sqlite":
        test, given, lock = f"IN ({','.join('?' * len(refs))})", tuple(refs), ""
    else:
        query = sa.select(table.c.ref).where(table.c.ref.in_(refs), table.c.wrapped.is_not(None))
        return set(connection.execute(query.with_for_update(read=True)).scalars())
    sql = f"SELECT ref FROM {table.name} WHERE ref {test} AND wrapped IS NOT NULL{lock}"
    return set(connection.exec_driver_sql(sql, given).scalars())
