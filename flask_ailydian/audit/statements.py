"""Statements that are compiled once: on the path of every answer, compiling is most of the cost."""

from __future__ import annotations

import json
import operator
import typing as t
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

Rows = list[dict[str, t.Any]]


class Records:
    """Inserts rows of the inference log together with their events."""

    def __init__(self, logs: sa.Table, events: sa.Table, dialect: sa.Dialect) -> None:
        self._at_once = _at_once(logs, events, dialect) if dialect.name == "postgresql" else None
        self._logs, self._events = Insert(logs, dialect), Insert(events, dialect)

    def execute(self, connection: sa.Connection, logs: Rows, events: Rows) -> None:
        """Insert rows, which have every column."""
        if self._at_once is not None:
            given = {"logs": _json(logs), "events": _json(events)}
            connection.exec_driver_sql(self._at_once, given)
            return
        if logs:
            self._logs.execute(connection, logs)
        if events:
            self._events.execute(connection, events)


def _at_once(logs: sa.Table, events: sa.Table, dialect: sa.Dialect) -> str:
    """Return one statement for both tables: one way to PostgreSQL and back, however many rows."""
    into_logs, into_events = (
        f"INSERT INTO {table} ({columns}) SELECT {columns}"
        f" FROM json_populate_recordset(NULL::{table}, CAST(%({name})s AS json))"
        for name, table, columns in (
            (
                name,
                dialect.identifier_preparer.format_table(each),
                ", ".join(map(dialect.identifier_preparer.quote, each.columns.keys())),
            )
            for name, each in (("logs", logs), ("events", events))
        )
    )
    return f"WITH logged AS ({into_logs}) {into_events}"


def _plain(value: t.Any) -> str:
    """Return what PostgreSQL reads as the value of a column."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)


_json = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


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

    def execute(self, connection: sa.Connection, rows: Rows) -> None:
        """Insert *rows*, which have every column."""
        ready: list[t.Any] = [self._ready(row) for row in rows]
        if _unwatched_sqlite(connection):
            _executed(connection, self._sql, ready)
            return
        if not self._dialect.positional:
            ready = [dict(zip(self._names, values, strict=True)) for values in ready]
        connection.exec_driver_sql(self._sql, ready[0] if len(ready) == 1 else ready)

    def _ready(self, row: dict[str, t.Any]) -> tuple[t.Any, ...]:
        values = list(self._values(row))
        for i, process in self._processors:
            values[i] = process(values[i])
        return tuple(values)


def _unwatched_sqlite(connection: sa.Connection) -> bool:
    """Whether SQLite's driver may be asked itself: SQLAlchemy takes longer than the rows do."""
    # A host that watches its database's statements is to see ours too.
    watched: t.Any = connection.dispatch
    return connection.dialect.name == "sqlite" and not watched.before_cursor_execute


def _executed(connection: sa.Connection, sql: str, given: list[t.Any]) -> list[t.Any]:
    """Run a statement once for each of *given*; return the rows if that is one."""
    dialect: t.Any = connection.dialect
    failed = dialect.loaded_dbapi.Error
    cursor = connection.connection.cursor()
    try:
        if len(given) == 1:
            cursor.execute(sql, given[0])
            return list(cursor.fetchall())
        cursor.executemany(sql, given)
        return []
    except failed as error:
        raise sa.exc.DBAPIError.instance(
            sql, None, error, failed, hide_parameters=True, dialect=dialect
        ) from error
    finally:
        cursor.close()


def alive(table: sa.Table, connection: sa.Connection, refs: set[str]) -> set[str]:
    """Return which of *refs* are not erased.

    On PostgreSQL their rows are locked against an erasure until the commit; SQLite has one
    writer at a time anyway.
    """
    sql = f"SELECT ref FROM {table.name} WHERE wrapped IS NOT NULL AND ref"
    if connection.dialect.name == "postgresql":
        locked = f"{sql} = ANY(%(refs)s) FOR KEY SHARE"
        return set(connection.exec_driver_sql(locked, {"refs": list(refs)}).scalars())
    if connection.dialect.name == "sqlite":
        listed, given = f"{sql} IN ({','.join('?' * len(refs))})", tuple(refs)
        if _unwatched_sqlite(connection):
            return {ref for (ref,) in _executed(connection, listed, [given])}
        return set(connection.exec_driver_sql(listed, given).scalars())
    query = sa.select(table.c.ref).where(table.c.ref.in_(refs), table.c.wrapped.is_not(None))
    return set(connection.execute(query.with_for_update(read=True)).scalars())
