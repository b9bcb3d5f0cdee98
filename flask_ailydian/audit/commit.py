"""Writes a batch in one transaction, and knows what it may say afterwards."""

from __future__ import annotations

import collections.abc as c
import itertools
import logging
import time
import typing as t

import sqlalchemy as sa

from ..tables import Tables
from ..transactions import repeated
from ..transactions import undone
from .chain import Chains
from .chain import Event
from .line import Line
from .statements import Records
from .subjects import Subjects
from .writer import Item

log = logging.getLogger("flask_ailydian.audit")

#: Errors that one row's content can cause.
DATA = (
    sa.exc.DataError,
    sa.exc.IntegrityError,
    sa.exc.InterfaceError,
    ValueError,
    OverflowError,
)


class SubjectGone(Exception):
    """The person was erased while the row was on its way."""


class WorkFailed(Exception):
    """What was to be committed together with an event went wrong by itself."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.error = error


class Unclear(Exception):
    """The transaction may be on disk and may not be."""


class Committer:
    """Links events into this process's chains and commits them.

    Used by one thread at a time: the writer sees to that.

    :param opening: Returns the event that every chain begins with, given its id.
    :param subjects: Who is not erased.
    """

    def __init__(
        self,
        line: Line,
        tables: Tables,
        opening: c.Callable[[str], Event],
        subjects: Subjects,
    ) -> None:
        self.line = line
        self._tables = tables
        self._records: Records | None = None
        keys = tables.IdempotencyKey.__table__
        mine = sa.and_(
            keys.c.key_hash == sa.bindparam("of_key"), keys.c.claim == sa.bindparam("of_claim")
        )
        self._answer = keys.update().where(mine)
        self._give_up = keys.delete().where(mine)
        self._opening = opening
        self._subjects = subjects
        #: Where this process's chains stand on disk.
        self.chains = Chains()
        #: When the transaction under way must be over, by ``time.monotonic()``.
        self.due: float | None = None

    def commit(self, items: list[Item], due: float) -> None:
        """Write *items*; those that were not written get their ``error``.

        :param due: By ``time.monotonic()``; what takes longer is interrupted.
        """
        self.due = due
        try:
            self._commit(items)
        finally:
            self.due = None

    def _commit(self, items: list[Item]) -> None:
        for alone, group in itertools.groupby(items, lambda item: item.work is not None):
            if alone:
                for item in group:
                    self._bisected([item])
            else:
                self._bisected(list(group))

    def _bisected(self, items: list[Item]) -> None:
        try:
            self._retried(items)
        except DATA as error:
            # The row at fault is found by halving, so that it fails alone.
            if len(items) == 1:
                items[0].error = error
                return
            middle = len(items) // 2
            self._bisected(items[:middle])
            self._bisected(items[middle:])
        except Exception as error:
            for item in items:
                item.error = error

    def _retried(self, items: list[Item]) -> None:
        assert self.due is not None
        repeated(lambda: self._reconnected(items), self.due)

    def _reconnected(self, items: list[Item]) -> None:
        try:
            self._attempt(items)
        except sa.exc.OperationalError as error:
            # A connection that died while it was idle. Should what was sent have been committed
            # after all, its ids are taken, and the second attempt is refused as a whole.
            late = self.due is None or time.monotonic() >= self.due
            if late or self.line.fresh or not error.connection_invalidated:
                raise
            self._attempt(items)

    def _attempt(self, items: list[Item]) -> None:
        assert self.due is not None
        try:
            connection = self.line.begin(self.due)
            try:
                chains = self._write(connection, items)
            except DATA:
                connection.rollback()
                raise
        except DATA:
            raise
        except WorkFailed:
            self.line.rollback()
            raise
        except Exception as error:
            if undone(error):
                self.line.rollback()
                raise
            # The connection is not worth keeping, and of rows that commit by themselves the links
            # may be there: the next ones begin a chain.
            self.chains = Chains()
            self.line.drop()
            raise
        else:
            self._finish(connection, chains)
        finally:
            self.line.release()

    def _finish(self, connection: sa.Connection, chains: Chains) -> None:
        try:
            connection.commit()
        except Exception as error:
            self.line.drop()
            if undone(error):
                raise
            # The links may be there. A chain that went on from either guess might be wrong.
            self.chains = Chains()
            raise Unclear() from error
        self.chains = chains

    def _write(self, connection: sa.Connection, items: list[Item]) -> Chains:
        refs = {r for i in items for r in (i.event.subject_ref, i.event.actor_ref) if r}
        records = self._prepared(connection)
        if records.at_once and not self._subjects.separate and all(map(_alone, items)):
            chains, rows = self._linked(items)
            if records.commit(connection, _logs(items), rows, refs):
                return chains
        gone = refs - self._subjects.alive(connection, refs) if refs else set()
        written = []
        for item in items:
            if gone and gone & {item.event.subject_ref, item.event.actor_ref}:
                item.error = SubjectGone()
            else:
                written.append(item)
        chains, rows = self._linked(written)
        if rows:
            costs = [item.cost for item in written if item.cost is not None]
            records.execute(connection, _logs(written), rows, costs)
        for item in written:
            if item.settle is not None:
                self._settle(connection, *item.settle)
            if item.work is not None:
                self._work(connection, item.work)
        return chains

    def _prepared(self, connection: sa.Connection) -> Records:
        if self._records is None:
            self._records = Records(self._tables, connection.dialect)
        return self._records

    def _linked(self, items: c.Iterable[Item]) -> tuple[Chains, list[dict[str, t.Any]]]:
        return self.chains.link(((item.event, item.content) for item in items), self._opening)

    def _work(self, connection: sa.Connection, work: c.Callable[[t.Any], None]) -> None:
        try:
            work(connection)
        except Exception as error:
            if isinstance(error, sa.exc.OperationalError) or undone(error):
                raise
            raise WorkFailed(error) from error

    def _settle(self, connection: sa.Connection, claim: t.Any, values: t.Any) -> None:
        mine = {"of_key": claim.key_hash, "of_claim": claim.token}
        if values is None:
            connection.execute(self._give_up, mine)
        else:
            connection.execute(self._answer.values(**values), mine)

    def forget(self) -> None:
        """In a forked child: begin anew."""
        self.line.leave()
        self.chains = Chains()
        self.due = None


def _alone(item: Item) -> bool:
    """Whether nothing but the row and its event is to be written."""
    return item.settle is None and item.work is None and item.cost is None


def _logs(items: list[Item]) -> list[dict[str, t.Any]]:
    return [item.log for item in items if item.log is not None]
