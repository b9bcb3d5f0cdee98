"""Transactions that the database took back for another's sake: run again, as it asks for."""

from __future__ import annotations

import collections.abc as c
import random
import sqlite3
import time
import typing as t

import sqlalchemy as sa

T = t.TypeVar("T")

#: ``deadlock_detected`` and ``serialization_failure``, in the SQL standard's states.
TAKEN_BACK = ("40P01", "40001")
#: At most so many seconds before the second attempt, and before a later one.
FIRST_PAUSE, LAST_PAUSE = 0.002, 0.1
#: Seconds that :func:`patiently` goes on for.
UNHURRIED = 10.0


def undone(error: BaseException) -> bool:
    """Whether nothing of a transaction is left, and the same one may succeed the next time.

    That is a deadlock or a serialisation failure on a server; on SQLite a file that is busy, or
    a snapshot that somebody has written after. A connection that broke says nothing of the kind.
    """
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    return sqlstate(error) in TAKEN_BACK


def sqlstate(error: BaseException) -> str | None:
    """Return the five letters with which a server names an error, if it gave any."""
    cause = getattr(error, "orig", None)
    # What psycopg and psycopg2 call it.
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def repeated(attempt: c.Callable[[], T], until: float) -> T:
    """Return what *attempt*, one whole transaction, returns; run it again when it was undone.

    :param until: By ``time.monotonic()``; no attempt begins later.
    """
    longest = FIRST_PAUSE
    while True:
        try:
            return attempt()
        except sa.exc.DBAPIError as error:
            # By chance: two that met once would meet again in step.
            pause = random.uniform(0, longest)
            if not undone(error) or time.monotonic() + pause >= until:
                raise
        time.sleep(pause)
        longest = min(2 * longest, LAST_PAUSE)


def patiently(attempt: c.Callable[[], T]) -> T:
    """Return what *attempt* returns; :func:`repeated` for what no request waits for."""
    return repeated(attempt, time.monotonic() + UNHURRIED)
