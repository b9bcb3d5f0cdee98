"""How a connection to a server is had, and how one that hangs is cut."""

from __future__ import annotations

import collections.abc as c
import queue
import socket
import sqlite3
import threading
import typing as t

import sqlalchemy as sa

from .engine.forks import restart_in_children
from .errors import BackendUnavailable

#: For how many seconds a thread that has fetched a connection is kept for the next.
KEPT = 5.0


class DatabaseUnavailable(BackendUnavailable, TimeoutError):
    """The database is away, or does not answer in time."""

    title = "The database does not answer."


def unable(error: Exception) -> bool:
    """Whether the database could not do what it was asked, and another time it may.

    A file that is busy or cannot be opened, a full disk, no connection left; not what was wrong
    with the question, such as a table that there is not, which SQLite tells of in the same way.
    """
    if isinstance(error, sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.OperationalError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & 0xFF != sqlite3.SQLITE_ERROR
    return True


class _NotReady(Exception):
    """The pool would have to make a connection."""


_here = threading.local()


def _make_none(*_: t.Any) -> None:
    """Keep the pool from making a connection for a thread that wants one that is there."""
    if getattr(_here, "only_ready", False):
        raise _NotReady()


def ready(engine: sa.Engine) -> sa.Connection | None:
    """Return a connection from the pool that is had at once, or ``None``."""
    pool = engine.pool
    # A ping, or a listener of the host's, may wait for the server; a full pool is waited for.
    if (
        not isinstance(pool, sa.QueuePool)
        or pool._pre_ping
        or pool.dispatch.checkout
        or engine.dispatch.engine_connect
        or not pool.checkedin()
        or -1 < pool._max_overflow <= pool.overflow()
    ):
        return None
    if not sa.event.contains(engine, "do_connect", _make_none):
        sa.event.listen(engine, "do_connect", _make_none)
    _here.only_ready = True
    try:
        return engine.connect()
    except _NotReady:
        # Somebody else was quicker, or it had become too old.
        return None
    finally:
        _here.only_ready = False


class _Fetchers:
    """Threads that may be left behind: one is made when none is idle, and gone when idle long."""

    def __init__(self) -> None:
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """In a forked child: the parent's threads are not here."""
        self._idle: list[queue.SimpleQueue[c.Callable[[], None]]] = []

    def run(self, work: c.Callable[[], None]) -> None:
        """Run *work* on one of them; starting a thread for each would cost more than a query."""
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = queue.SimpleQueue()
            threading.Thread(
                target=self._serve, args=(inbox,), name="ailydian-fetch", daemon=True
            ).start()
        inbox.put(work)

    def _serve(self, inbox: queue.SimpleQueue[c.Callable[[], None]]) -> None:
        while True:
            try:
                work = inbox.get(timeout=KEPT)
            except queue.Empty:
                try:
                    self._idle.remove(inbox)
                except ValueError:
                    # Taken from the idle just now: the work is on its way.
                    work = inbox.get()
                else:
                    return
            work()
            # What it has fetched is not to live as long as the thread.
            del work
            self._idle.append(inbox)


_fetchers = _Fetchers()


class Attempt:
    """One connection being made, on a thread that may be left behind."""

    def __init__(self, connect: c.Callable[[], sa.Connection]) -> None:
        self._connect = connect
        self._made: sa.Connection | None = None
        self._error: Exception | None = None
        self._left = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        _fetchers.run(self._run)

    def _run(self) -> None:
        try:
            made = self._connect()
            with self._lock:
                self._made = made
                unwanted = self._left
            if unwanted:
                made.close()
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()

    @property
    def running(self) -> bool:
        """Whether nothing has come of it yet."""
        return not self._ended.is_set()

    @property
    def over(self) -> bool:
        """Whether it failed: then another attempt is worth making."""
        return self._ended.is_set() and self._made is None

    def result(self, seconds: float) -> sa.Connection:
        """Return the connection once it is there.

        :raises TimeoutError: when it takes longer; a later call may still get it.
        """
        self._ended.wait(max(0.0, seconds))
        if self._error is not None:
            raise self._error
        if self._made is None:
            raise DatabaseUnavailable()
        return self._made

    def leave_behind(self) -> None:
        """Want the connection no more: once it is there it goes back to where it is from."""
        with self._lock:
            self._left = True
            made = self._made
        if made is not None:
            made.close()


def cut(connection: sa.Connection) -> None:
    """Make a call that waits for a server fail now; may be called from another thread."""
    fileno = getattr(connection.connection.dbapi_connection, "fileno", None)
    if fileno is None:
        return
    try:
        with socket.socket(fileno=fileno()) as borrowed:
            try:
                borrowed.shutdown(socket.SHUT_RDWR)
            finally:
                # The descriptor is the driver's; it closes it.
                borrowed.detach()
    except OSError:
        pass
