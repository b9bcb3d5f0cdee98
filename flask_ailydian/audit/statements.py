"""Statements that are compiled once: on the path of every answer, compiling is most of the cost."""

from __future__ import annotations

import contextlib
import json
import operator
import typing as t
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from ..tables import Tables

Rows = list[dict[str, t.Any]]


class Records:
    """Inserts rows of the inference log together with their events and what queries cost."""

    def __init__(self, tables: Tables, dialect: sa.Dialect) -> None:
        named = (tables.InferenceLog, tables.AuditEvent, tables.Subject, tables.QueryCost)
        logs, events, subjects, costs = (each.__table__ for each in named)
        self._at_once = self._if_alive = None
        if dialect.name == "postgresql":
            self._at_once = f"WITH {_at_once(logs, events, dialect)}"
            if dialect.driver in ("psycopg", "psycopg2"):
                rows = _at_once(logs, events, dialect, " WHERE (SELECT all_are FROM met)")
                living = f"{_living(subjects)} = ANY(string_to_array(%s, ',')) FOR KEY SHARE"
                met = "SELECT count(*) = %s AS all_are FROM living"
                self._if_alive = f"WITH living AS ({living}), met AS ({met}), {rows}"
        self._logs, self._events, self._costs = (
            Insert(each, dialect) for each in (logs, events, costs)
        )

    @property
    def at_once(self) -> bool:
        """Whether :meth:`commit` may be called."""
        return self._if_alive is not None

    def commit(
        self, connection: sa.Connection, logs: Rows, events: Rows, refs: t.Collection[str]
    ) -> bool:
        """Insert and commit rows on one way to the server and back, as :attr:`at_once` says.

        :returns: ``False`` if nothing was done, because one of *refs* is erased.
        """
        assert self._if_alive is not None
        given = (",".join(refs), len(refs), _json(logs), _json(events))
        return _committed(connection, self._if_alive, given) > 0

    def execute(self, connection: sa.Connection, logs: Rows, events: Rows, costs: Rows) -> None:
        """Insert rows, which have every column."""
        if self._at_once is not None:
            connection.exec_driver_sql(self._at_once, (_json(logs), _json(events)))
            logs = events = []
        for insert, rows in ((self._logs, logs), (self._events, events), (self._costs, costs)):
            if rows:
                insert.execute(connection, rows)


def _at_once(logs: sa.Table, events: sa.Table, dialect: sa.Dialect, only: str = "") -> str:
    """Return what inserts into both tables: one way to PostgreSQL and back, however many rows."""
    quote = dialect.identifier_preparer.quote
    inserts = []
    for each in (logs, events):
        table = dialect.identifier_preparer.format_table(each)
        columns = ", ".join(map(quote, each.columns.keys()))
        given = f"json_populate_recordset(NULL::{table}, CAST(%s AS json)){only}"
        inserts.append(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {given}")
    return f"logged AS ({inserts[0]}) {inserts[1]}"


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
        if self._dialect.name == "sqlite" and _unwatched(connection):
            with _driver(connection, self._sql) as cursor:
                cursor.executemany(self._sql, ready)
            return
        if not self._dialect.positional:
            ready = [dict(zip(self._names, values, strict=True)) for values in ready]
        connection.exec_driver_sql(self._sql, ready[0] if len(ready) == 1 else ready)

    def _ready(self, row: dict[str, t.Any]) -> tuple[t.Any, ...]:
        values = list(self._values(row))
        for i, process in self._processors:
            values[i] = process(values[i])
        return tuple(values)


def _unwatched(connection: sa.Connection) -> bool:
    """Whether the driver may be asked itself: SQLAlchemy takes longer than the rows do."""
    # A host that watches its database's statements is to see ours too.
    watched: t.Any = connection.dispatch
    return not watched.before_cursor_execute


@contextlib.contextmanager
def _driver(connection: sa.Connection, sql: str) -> t.Iterator[t.Any]:
    """Lend a cursor of the driver's; its errors are raised as SQLAlchemy raises them."""
    dialect: t.Any = connection.dialect
    failed = dialect.loaded_dbapi.Error
    raw = connection.connection
    cursor = raw.cursor()
    try:
        yield cursor
    except failed as error:
        raise sa.exc.DBAPIError.instance(
            sql,
            None,
            error,
            failed,
            hide_parameters=True,
            connection_invalidated=dialect.is_disconnect(error, raw.dbapi_connection, cursor),
            dialect=dialect,
        ) from error
    finally:
        cursor.close()


def _committed(connection: sa.Connection, sql: str, given: tuple[t.Any, ...]) -> int:
    """Run a statement that is a transaction of its own; return how many rows it was about."""
    raw: t.Any = connection.connection.dbapi_connection
    with _driver(connection, sql) as cursor:
        raw.autocommit = True
        try:
            if not _unwatched(connection):
                return connection.exec_driver_sql(sql, given).rowcount
            cursor.execute(sql, given)
            return int(cursor.rowcount)
        finally:
            if not raw.closed:
                raw.autocommit = False


def _living(table: sa.Table) -> str:
    return f"SELECT ref FROM {table.name} WHERE wrapped IS NOT NULL AND ref"


def alive(table: sa.Table, connection: sa.Connection, refs: set[str]) -> set[str]:
    """Return which of *refs* are not erased.

    On PostgreSQL their rows are locked against an erasure until the commit; SQLite has one
    writer at a time anyway.
    """
    sql = _living(table)
    if connection.dialect.name == "postgresql":
        locked = f"{sql} = ANY(%(refs)s) FOR KEY SHARE"
        return set(connection.exec_driver_sql(locked, {"refs": list(refs)}).scalars())
    if connection.dialect.name == "sqlite":
        listed, given = f"{sql} IN ({','.join('?' * len(refs))})", tuple(refs)
        if not _unwatched(connection):
            return set(connection.exec_driver_sql(listed, given).scalars())
        with _driver(connection, listed) as cursor:
            return {ref for (ref,) in cursor.execute(listed, given)}
    query = sa.select(table.c.ref).where(table.c.ref.in_(refs), table.c.wrapped.is_not(None))
    return set(connection.execute(query.with_for_update(read=True)).scalars())
