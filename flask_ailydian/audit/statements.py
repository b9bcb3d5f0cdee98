"""Statements that are compiled once: on the path of every answer, compiling is most of the cost."""

from __future__ import annotations

import collections.abc as c
import typing as t

import sqlalchemy as sa


class Insert:
    """Inserts rows into one table."""

    def __init__(self, table: sa.Table, dialect: sa.Dialect) -> None:
        names = [column.name for column in table.columns]
        compiled = table.insert().compile(dialect=dialect, column_keys=names)
        self._sql = str(compiled)
        self._positional = dialect.positional
        self._columns: list[tuple[str, c.Callable[[t.Any], t.Any] | None]] = [
            (name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in names
        ]

    def execute(self, connection: sa.Connection, rows: list[dict[str, t.Any]]) -> None:
        """Insert *rows*, which have every column."""
        pairs = self._columns
        if self._positional:
            ready: t.Any = [
                tuple(row[n] if process is None else process(row[n]) for n, process in pairs)
                for row in rows
            ]
        else:
            ready = [
                {n: row[n] if process is None else process(row[n]) for n, process in pairs}
                for row in rows
            ]
        connection.exec_driver_sql(self._sql, ready[0] if len(ready) == 1 else ready)


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
