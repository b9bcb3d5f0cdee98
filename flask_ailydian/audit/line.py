"""The one connection of a process that the trail is written on."""

from __future__ import annotations

import collections.abc as c
import logging
import random
import sqlite3
import time
import typing as t

import sqlalchemy as sa

from ..connections import Attempt
from ..connections import cut
from .durability import NotDurable
from .durability import wrong

log = logging.getLogger("flask_ailydian.audit")

#: How many seconds pass between two looks at SQLite's write lock, and for how many transactions
#: one who had to wait for it lets others go first.
LOOK, TURNS = (0.0002, 0.0008), 8

#: Connections of a parent process: closing them in a child would end the parent's session.
_left_to_the_parent: list[t.Any] = []


def in_memory(engine: sa.Engine) -> bool:
    """Whether the database is one connection's own memory, which a second one would not see."""
    if engine.dialect.name != "sqlite":
        return False
    name = engine.url.database or ""
    return name in ("", ":memory:") or "mode=memory" in str(engine.url)


class Line:
    """A connection of our own, with our own durability.

    It is made with everything that the host set for its engine and then taken out of the pool:
    the host's connections stay as they are.

    :param refuse: Whether a server that a power cut may take rows from is refused.
    """

    def __init__(
        self, engine: c.Callable[[], sa.Engine], timeout: float, *, refuse: bool = True
    ) -> None:
        self._engine = engine
        self._refuse = refuse
        self._timeout = timeout
        self._connection: sa.Connection | None = None
        self._attempt: Attempt | None = None
        self.fresh = False
        self.shared = False
        # For how many transactions more others are believed to want the write lock.
        self._contended = 0

    def begin(self, due: float) -> sa.Connection:
        """Return the connection inside a transaction.

        :param due: By ``time.monotonic()``; connecting and waiting for a lock end there.
        """
        self.fresh = self._connection is None
        if self._connection is None:
            self._connection = self._connected(due)
        connection = self._connection
        if connection.in_transaction():
            # The write lock was taken already.
            return connection
        connection.begin()
        if connection.dialect.name == "sqlite" and not self.shared:
            self._take_write_lock(connection, due)
        return connection

    def lock(self, due: float) -> None:
        """Take SQLite's write lock in advance; what goes wrong is met again by :meth:`begin`."""
        connection = self._connection
        if connection is None or self.shared or connection.dialect.name != "sqlite":
            return
        try:
            self.begin(due)
        except Exception:
            self.drop()

    def _take_write_lock(self, connection: sa.Connection, due: float) -> None:
        """Begin a transaction that can write: a lock wanted later cannot be waited for.

        SQLite's own waiting sleeps up to 100 ms between two looks, so that of several processes
        one may starve.
        """
        raw: t.Any = connection.connection.dbapi_connection
        if raw.in_transaction:
            return
        if self._contended:
            # Others wait for it as well, and they cannot look while they sleep.
            self._contended -= 1
            time.sleep(random.uniform(*LOOK))
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                code = error.sqlite_errorcode & 0xFF
                if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                if time.monotonic() > due:
                    raise
                self._contended = TURNS
                time.sleep(random.uniform(*LOOK))

    def rollback(self) -> None:
        """End the transaction without a trace."""
        if self._connection is not None:
            self._connection.rollback()

    def drop(self) -> None:
        """Close the connection, whatever state it is in."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if self.shared:
                # The database lives in this very connection.
                connection.rollback()
            else:
                raw: t.Any = connection.connection.dbapi_connection
                connection.invalidate()
                # SQLAlchemy does not close what was taken out of its pool.
                raw.close()
        except Exception:
            # It is being thrown away because it does not work.
            pass
        finally:
            connection.close()

    def release(self) -> None:
        """After a transaction: give back a connection that is not ours to keep."""
        if self.shared and self._connection is not None:
            self._connection.close()
            self._connection = None

    def leave(self) -> None:
        """In a forked child: forget what belongs to the parent."""
        _left_to_the_parent.append((self._connection, self._attempt))
        self._connection = self._attempt = None

    def interrupt(self) -> None:
        """Make a call that waits for the server fail now; may be called from another thread."""
        connection = self._connection
        if connection is None or connection.dialect.name == "sqlite":
            return
        cut(connection)

    def _connected(self, due: float) -> sa.Connection:
        engine = self._engine()
        self.shared = in_memory(engine)
        if self.shared:
            return engine.connect()
        if engine.dialect.name == "sqlite":
            return self._opened(engine)
        # A server that has stopped accepts connections and never answers; drivers have no
        # deadline for that which the host's settings would leave alone.
        if self._attempt is None or self._attempt.over:
            self._attempt = Attempt(lambda: self._opened(engine))
        connection = self._attempt.result(max(0.0, due - time.monotonic()))
        self._attempt = None
        return connection

    def _opened(self, engine: sa.Engine) -> sa.Connection:
        connection = engine.connect()
        connection.detach()
        try:
            self._prepare(connection)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sa.Connection) -> None:
        millis = max(1, int(self._timeout * 1000))
        if connection.dialect.name == "sqlite":
            run = connection.connection.dbapi_connection.execute  # type: ignore[union-attr]
            run(f"PRAGMA busy_timeout={millis}")
            mode = _write_ahead(run, time.monotonic() + self._timeout)
            # A rollback journal is only gone for certain once its folder is synced too.
            run(f"PRAGMA synchronous={'FULL' if mode == 'wal' else 'EXTRA'}")
            if mode == "wal":
                # Only the write lock is waited for then, and that we do ourselves.
                run("PRAGMA busy_timeout=0")
            run("PRAGMA secure_delete=ON")
        elif connection.dialect.name == "postgresql":
            if (why := wrong(connection)) is not None:
                if self._refuse:
                    raise NotDurable(why)
                log.warning("rows may be lost: %s", why)
            said = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
            if said == "off":
                connection.exec_driver_sql("SET synchronous_commit = on")
            connection.exec_driver_sql(f"SET statement_timeout = {millis}")
            connection.exec_driver_sql(f"SET idle_in_transaction_session_timeout = {2 * millis}")


def _write_ahead(run: c.Callable[[str], t.Any], until: float) -> str:
    """Ask SQLite for its write-ahead log; return the mode that the file is in then."""
    while True:
        try:
            return str(run("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError:
            # Somebody reads or writes just now; for this one question SQLite does not wait.
            if time.monotonic() > until:
                return str(run("PRAGMA journal_mode").fetchone()[0])
            time.sleep(0.01)
