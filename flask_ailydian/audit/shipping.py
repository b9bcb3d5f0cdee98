"""Brings the spool's rows to the database once it is back, each exactly once."""

from __future__ import annotations

import collections.abc as c
import time

import sqlalchemy as sa

from ..tables import Tables
from .commit import DATA
from .commit import SubjectGone
from .sealing import moved
from .sealing import of_nobody
from .spool import Spool
from .subjects import Subjects
from .writer import Item

#: Rows at a time, and seconds between two looks while the database is away.
CHUNK, PAUSE = 100, 0.5


class Shipping:
    """Reads the spool in order and writes what the database does not have."""

    def __init__(
        self,
        spool: Spool,
        engine: c.Callable[[], sa.Engine],
        tables: Tables,
        subjects: Subjects,
    ) -> None:
        self.spool = spool
        self._engine = engine
        self._events = tables.AuditEvent.__table__
        self._subjects = subjects
        self._next = 0.0

    def ship(self, write: c.Callable[[Item], None]) -> bool:
        """Write what waits; return whether anything still does.

        :param write: Returns once an item is on disk, or raises.
        """
        if time.monotonic() < self._next:
            return True
        for id, item in self.spool.first(CHUNK):
            try:
                if not self._there(id):
                    self._write(item, write)
            except DATA:
                # Another worker was faster, or the row can never be kept.
                if not self._there(id):
                    raise
            except Exception:
                self._next = time.monotonic() + PAUSE
                return True
            self.spool.drop(id)
        return self.spool.waiting() > 0

    def _write(self, item: Item, write: c.Callable[[Item], None]) -> None:
        refs = (item.event.actor_ref, item.event.subject_ref, item.event.sealed_ref)
        for person in self.spool.persons(refs):
            local, known = self._subjects.adopt(person)
            if known.ref != local.ref:
                item = moved(item, local, known)
        try:
            write(item)
        except SubjectGone:
            # Erased while it waited.
            write(self._of_nobody(item))

    def _of_nobody(self, item: Item) -> Item:
        refs = {r for r in (item.event.actor_ref, item.event.subject_ref) if r is not None}
        with self._engine().connect() as connection:
            return of_nobody(item, refs - self._subjects.alive(connection, refs))

    def _there(self, id: str) -> bool:
        query = sa.select(self._events.c.id).where(self._events.c.id == id)
        with self._engine().connect() as connection:
            return connection.execute(query).first() is not None
