"""Questions to the host's database that end in time, whatever the database does."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import itertools
import math
import threading
import time
import typing as t

import sqlalchemy as sa
from flask import g
from flask import has_request_context

from .connections import Attempt
from .connections import cut
from .connections import DatabaseUnavailable
from .connections import ready
from .connections import unable
from .engine.forks import restart_in_children
from .transactions import repeated
from .transactions import undone

T = t.TypeVar("T")

#: After somebody waited in vain, for so many seconds others wait no longer than SHORT.
SILENCE, SHORT = 0.2, 0.05
#: How many connections may be on their way at once without an answer.
ON_THEIR_WAY = 4


class HostEngine:
    """The host's engine, also for a thread without an app context once one with it has asked."""

    def __init__(self, db: t.Any) -> None:
        self._db = db
        self._engine: sa.Engine | None = None

    def __call__(self) -> sa.Engine:
        if self._engine is None:
            self._engine = self._db.engine
        return self._engine


class Database:
    """The host's engine with a deadline.

    A server that has stopped takes connections and never answers; what a driver can do about
    that is the host's to set. So one that lies ready in the pool is used as it is, others are
    fetched by a thread that may be left behind, and one that does not answer in time is cut.
    SQLite answers or fails; only its write lock is waited for.

    :param seconds: How long a question may take.
    """

    def __init__(self, engine: c.Callable[[], sa.Engine], seconds: float) -> None:
        self.engine = engine
        self.seconds = seconds
        self._silent_until = 0.0
        self._watch = _Watch()
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """In a forked child: nothing is on its way yet."""
        self._waiting: set[Attempt] = set()

    @contextlib.contextmanager
    def connect(self, seconds: float | None = None) -> t.Iterator[sa.Connection]:
        """Lend a connection for the length of the block.

        :raises DatabaseUnavailable: when it is away or does not answer in time.
        """
        with _told(), self._lent(seconds) as lent:
            yield lent.connection

    @contextlib.contextmanager
    def walk(self) -> t.Iterator[Walk]:
        """Lend a connection for a read that may take long: each step of it is to end in time.

        :raises DatabaseUnavailable: when the database is away or does not answer in time.
        """
        with _told(), self._lent(None) as lent:
            walk = Walk(self, lent)
            try:
                yield walk
            finally:
                walk.hurry()

    @contextlib.contextmanager
    def _lent(self, seconds: float | None) -> t.Iterator[_Watched]:
        engine = self.engine()
        if engine.dialect.name == "sqlite":
            with engine.connect() as connection:
                yield _Watched(connection, math.inf)
            return
        due = time.monotonic() + self.patience(self.seconds if seconds is None else seconds)
        try:
            connection = self._connected(engine, due)
        except TimeoutError:
            self.fell_silent(seconds)
            raise
        except sa.exc.OperationalError as error:
            raise DatabaseUnavailable() from error
        watched = self._watch.begin(connection, due)
        try:
            try:
                yield watched
            finally:
                # The end of a transaction is a question too, and to be answered in time.
                connection.rollback()
            self._silent_until = 0.0
        except sa.exc.DBAPIError as error:
            if not (watched.cut or error.connection_invalidated):
                raise
            if watched.cut:
                self.fell_silent(seconds)
            raise DatabaseUnavailable() from error
        finally:
            self._watch.end(watched)
            if watched.cut:
                connection.invalidate()
            connection.close()

    def transact(self, work: c.Callable[[sa.Connection], T]) -> T:
        """Return what *work* returns; what it does on the connection is one transaction.

        :param work: Does nothing else: it is called again when the database took the
            transaction back because of another one.
        :raises DatabaseUnavailable: also when that goes on until the time is over, and when the
            database is full or broken.
        """
        until = time.monotonic() + self.patience(self.seconds)
        tries = itertools.count()

        def attempt() -> T:
            left = until - time.monotonic() if next(tries) else None
            with self._lent(left) as lent, _lock_wait(lent.connection, until):
                with lent.connection.begin():
                    return work(lent.connection)

        try:
            done = repeated(attempt, until)
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            if not (unable(error) or undone(error)):
                raise
            if time.monotonic() >= until:
                self.fell_silent()
            raise DatabaseUnavailable() from error
        self._silent_until = 0.0
        return done

    def patience(self, seconds: float) -> float:
        """Return how long to wait: not as long when somebody has just waited in vain.

        And never twice in one request, however much work lies between its questions.
        """
        in_vain = has_request_context() and g.get("ailydian_waited_in_vain", False)
        if in_vain or time.monotonic() < self._silent_until:
            return min(seconds, SHORT)
        return seconds

    def fell_silent(self, seconds: float | None = None) -> None:
        """Note that somebody waited in vain; a glance of less than the full time says nothing."""
        if seconds is None or seconds >= self.seconds:
            self._silent_until = time.monotonic() + SILENCE
            if has_request_context():
                g.ailydian_waited_in_vain = True

    def _connected(self, engine: sa.Engine, due: float) -> sa.Connection:
        if (idle := ready(engine)) is not None:
            return idle
        # Those that were left behind and have come to an end give their place back.
        self._waiting = {attempt for attempt in self._waiting if attempt.running}
        if len(self._waiting) >= ON_THEIR_WAY:
            raise DatabaseUnavailable()
        attempt = Attempt(engine.connect)
        try:
            return attempt.result(due - time.monotonic())
        except TimeoutError:
            self._waiting = {*self._waiting, attempt}
            attempt.leave_behind()
            raise


class Walk:
    """A long read, step by step; whoever gets its pieces may take their time between two."""

    def __init__(self, database: Database, lent: _Watched) -> None:
        self._database = database
        self._lent = lent
        self._rest()

    def _rest(self) -> None:
        self._lent.due = math.inf

    def hurry(self, times: float = 1.0) -> None:
        """Let what comes now end in so many times the usual; a command at a terminal may wait."""
        if has_request_context():
            seconds = self._database.patience(times * self._database.seconds)
            self._lent.due = time.monotonic() + seconds

    def ask(self, question: c.Callable[[sa.Connection], T], times: float = 1.0) -> T:
        """Return the answer to one question, which ends in so many times the usual."""
        self.hurry(times)
        answer = question(self._lent.connection)
        self._rest()
        return answer

    def steps(self, read: c.Callable[[sa.Connection], c.Iterable[T]]) -> t.Iterator[T]:
        """Yield what *read* does, each piece in time."""
        pieces = iter(self.ask(read))
        try:
            while True:
                yield self.ask(lambda _: next(pieces))
        except StopIteration:
            return


@contextlib.contextmanager
def _told() -> t.Iterator[None]:
    """Say of a database that could not do what it was asked that it is unavailable."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.TimeoutError) as error:
        if unable(error):
            raise DatabaseUnavailable() from error
        raise


@contextlib.contextmanager
def _lock_wait(connection: sa.Connection, until: float) -> t.Iterator[None]:
    """Let SQLite wait for its write lock in time; afterwards as long as the host has it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: t.Any = connection.connection.dbapi_connection
    (before,) = raw.execute("PRAGMA busy_timeout").fetchone()
    left = max(0, int(1000 * (until - time.monotonic())))
    raw.execute(f"PRAGMA busy_timeout={min(before, left)}")
    try:
        yield
    finally:
        raw.execute(f"PRAGMA busy_timeout={before}")


@dataclasses.dataclass(eq=False)
class _Watched:
    """One connection in use; *cut* once it took too long."""

    connection: sa.Connection
    due: float
    cut: bool = False


class _Watch:
    """Cuts connections that take too long: one thread, made when needed, gone when idle."""

    def __init__(self) -> None:
        self.start_anew()
        restart_in_children(self)

    def start_anew(self) -> None:
        """In a forked child: nothing is watched."""
        self._change = threading.Condition()
        self._all: set[_Watched] = set()
        self._running = False

    def begin(self, connection: sa.Connection, due: float) -> _Watched:
        """Watch *connection* until :meth:`end`."""
        watched = _Watched(connection, due)
        with self._change:
            self._all.add(watched)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="ailydian-watch", daemon=True).start()
        return watched

    def end(self, watched: _Watched) -> None:
        """Watch it no more; when this returns nobody else touches it."""
        with self._change:
            self._all.discard(watched)

    def _run(self) -> None:
        idle, pause = 0, SHORT
        with self._change:
            while idle < 100:
                # It looks by the clock and is not woken for each question: those are many.
                self._change.wait(pause)
                moment = time.monotonic()
                for watched in [w for w in self._all if w.due <= moment]:
                    watched.cut = True
                    self._all.discard(watched)
                    cut(watched.connection)
                idle = 0 if self._all else idle + 1
                pause = min([SHORT, *(w.due - moment for w in self._all)])
            self._running = False
