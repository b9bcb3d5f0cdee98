"""How a row gets from the thread that made it to the disk, and what is said when it does not."""

from __future__ import annotations

import atexit
import collections.abc as c
import dataclasses
import logging
import sqlite3
import time
import typing as t
import weakref

from flask import current_app

from .. import signals
from ..connections import DatabaseUnavailable
from ..database import Database
from ..engine.forks import restart_in_children
from ..errors import AilydianError
from ..errors import AuditUnavailable
from ..tables import Tables
from .chain import Event
from .checkpoints import Checkpoints
from .claims import Claim
from .claims import Claims
from .commit import Committer
from .commit import DATA
from .commit import SubjectGone
from .commit import Unclear
from .commit import WorkFailed
from .keeper import Keeper
from .keeper import PACE
from .line import Line
from .rows import Unstorable
from .sealing import sealed
from .shipping import Shipping
from .subjects import Subject
from .subjects import Subjects
from .writer import Full
from .writer import Item
from .writer import Late
from .writer import Writer

log = logging.getLogger("flask_ailydian.audit")


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long and how many may wait; *stale_after* is for claims, in seconds."""

    timeout: float = 5.0
    queue: int = 4096
    stale_after: float = 60.0
    refuse_unsafe: bool = True


class Delivery:
    """The writer of one process, its connection, and the thread that looks after them.

    :param started: What the event says that every chain begins with.
    :param shipping: Takes the rows that the database does not; none: they are refused.
    """

    def __init__(
        self,
        database: Database,
        tables: Tables,
        subjects: Subjects,
        claims: Claims,
        limits: Limits,
        started: c.Mapping[str, t.Any],
        checkpoints: Checkpoints,
        shipping: Shipping | None = None,
    ) -> None:
        self._database = database
        self._tables = tables
        self._subjects = subjects
        self._claims = claims
        self._limits = limits
        self._started = started
        self.checkpoints = checkpoints
        self.shipping = shipping
        self._begin_anew()
        _deliveries.add(self)
        restart_in_children(self)

    def _begin_anew(self) -> None:
        self._opener: Subject | None = None
        self._line = Line(
            self._database.engine, self._limits.timeout, refuse=self._limits.refuse_unsafe
        )
        self._committer = Committer(self._line, self._tables, self._opening, self._subjects)
        # Two threads: what looks after deadlines must not wait for the database itself.
        self._watch = Keeper(self._interrupt_late, PACE / 4)
        committed = _watched(self._database, self._committer, self._watch)
        self._writer = Writer(committed, self._limits.queue, self._line.lock)
        self._keeper = Keeper(self._keep)
        self._end = weakref.finalize(self, _close, self._line, self._watch, self._keeper)

    def write(self, made: c.Callable[[], Item], id: str, claim: Claim | None) -> None:
        """Return once what *made* returns is on disk.

        :param made: Called once more when a person was erased in between.
        :raises AuditUnavailable: when that is not certain before the deadline.
        """
        deadline = time.monotonic() + self._database.patience(self._limits.timeout)
        item: Item | None = None
        try:
            item = made()
            self._open()
            try:
                self._writer.write(item, deadline)
            except SubjectGone:
                # Erased while the row was on its way: to the trail they are somebody new.
                self._subjects.forget_all()
                item = made()
                self._open()
                self._writer.write(item, deadline)
        except WorkFailed as failed:
            raise failed.error from None
        except Exception as error:
            if isinstance(error, AilydianError) and not isinstance(error, DatabaseUnavailable):
                raise
            if time.monotonic() >= deadline:
                self._database.fell_silent()
            if not self._spooled(item, error):
                if claim is not None and isinstance(error, Unclear | Late):
                    self._claims.leave_unsettled(claim)
                    self._look_after()
                raise _refused(id, error) from error
        self._look_after()

    def _look_after(self) -> None:
        # A database in memory is one connection, and the host may be in the middle of its own
        # transaction on it: nothing of ours goes there unasked.
        if not self._line.shared:
            self._keeper.touch()

    def _spooled(self, item: Item | None, error: Exception) -> bool:
        """Keep *item* on this machine until the database is back, if that is wanted."""
        if self.shipping is None or item is None or item.work is not None or item.cost is not None:
            return False
        if isinstance(error, (*DATA, Unstorable)):
            return False
        try:
            refs = (item.event.actor_ref, item.event.subject_ref, item.event.sealed_ref)
            self.shipping.spool.put(item, self._subjects.made_here(refs))
        except (Full, OSError, sqlite3.Error) as second:
            log.error("the spool did not take a row: %s", type(second).__name__)
            return False
        log.warning("audit row %s waits in the spool: %s", item.event.id, type(error).__name__)
        return True

    def _open(self) -> None:
        """See that a chain can begin: under a key that the database has."""
        opener = self._opener
        if opener is None or self._subjects.made_here((opener.ref,)):
            self._opener = self._subjects.deployment()

    def _ship(self, item: Item) -> None:
        self._open()
        self._writer.write(item, time.monotonic() + self._limits.timeout)

    def _opening(self, id: str) -> Event:
        assert self._opener is not None
        event = Event(id, "writer_started", time.time_ns() // 1000)
        return sealed(event, self._opener, self._started)

    def _interrupt_late(self) -> bool:
        due = self._committer.due
        if due is not None and time.monotonic() > due:
            self._line.interrupt()
        return due is not None

    def _keep(self) -> bool:
        self._claims.give_up_unsettled()
        if self.checkpoints.behind(self._committer.chains.all) and self.checkpoints.due():
            self.checkpoints.make(self._committer.chains.all)
        more = self.checkpoints.behind(self._committer.chains.all)
        waits = self.shipping is not None and self.shipping.ship(self._ship)
        return self.checkpoints.retry_exports() or more or waits or self._claims.any_unsettled

    def drain(self) -> None:
        """Sign where the chains stand before the process goes."""
        if not self._line.shared and self.checkpoints.behind(self._committer.chains.all):
            self.checkpoints.make(self._committer.chains.all, now=True)

    def close(self) -> None:
        """Close this process's connection; a later row opens another."""
        self._end()
        self._begin_anew()

    def start_anew(self) -> None:
        """In a forked child: begin anew, and leave to the parent what is the parent's."""
        self._end.detach()
        self._committer.forget()
        self._begin_anew()


def _watched(
    database: Database, committer: Committer, watch: Keeper
) -> c.Callable[[list[Item], float], None]:
    """Return the committer's ``commit`` with somebody looking at the clock meanwhile."""

    def commit(items: list[Item], due: float) -> None:
        # The deadline first: a keeper that finds none goes back to sleep.
        committer.due = due
        if database.engine().dialect.name != "sqlite":
            watch.touch()
        committer.commit(items, due)

    return commit


def _refused(id: str, error: Exception) -> AuditUnavailable:
    cause = error.__cause__ if isinstance(error, Unclear) else error
    log.error("audit row %s was not written: %s", id, type(cause).__name__)
    signals.audit_failed.send(current_app._get_current_object(), error=cause)  # type: ignore[attr-defined]
    # What cannot be stored today cannot be tomorrow.
    again = None if isinstance(error, Unstorable) else 1
    return AuditUnavailable(retry_after=again, id=id)


def _close(line: Line, *keepers: Keeper) -> None:
    for keeper in keepers:
        keeper.stop()
    line.drop()


_deliveries: weakref.WeakSet[Delivery] = weakref.WeakSet()


def _sign_off() -> None:
    """When the process ends: sign where the chains stand, as far as the database still answers."""
    for delivery in list(_deliveries):
        try:
            delivery.drain()
        except Exception as error:
            log.warning("the last checkpoint was not made: %s", type(error).__name__)


atexit.register(_sign_off)
