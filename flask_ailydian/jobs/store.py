"""Jobs and items in the database: every method is one transaction, or part of the caller's."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t
from datetime import datetime

import sqlalchemy as sa

from ..database import Database
from ..errors import NotFound
from ..tables import Tables

#: Items that somebody still has to answer.
OPEN = ("waiting", "running")


@dataclasses.dataclass(frozen=True)
class Job:
    """One job, as far as it can be read without a key."""

    id: str
    model_name: str
    subject_ref: str
    asked: bytes
    status: str
    total: int
    created_at: datetime
    expires_at: datetime
    finished_at: datetime | None


class Store:
    """What is known of jobs."""

    def __init__(self, database: Database, tables: Tables) -> None:
        self._database = database
        self._jobs: sa.Table = tables.Job.__table__
        self._items: sa.Table = tables.JobItem.__table__
        self._columns = [self._jobs.c[field.name] for field in dataclasses.fields(Job)]

    def insert(
        self,
        connection: sa.Connection,
        job: dict[str, t.Any],
        items: c.Sequence[dict[str, t.Any]],
    ) -> None:
        """Add a job and its items."""
        connection.execute(self._jobs.insert(), job)
        connection.execute(self._items.insert(), items)

    def get(self, id: str) -> Job:
        """Return a job.

        :raises NotFound: when there is none.
        """
        return self._one(self._jobs.c.id == id)

    def by_key(self, key_hash: str) -> Job | None:
        """Return the job that came with an ``Idempotency-Key``."""
        try:
            return self._one(self._jobs.c.key_hash == key_hash)
        except NotFound:
            return None

    def _one(self, condition: sa.ColumnElement[bool]) -> Job:
        with self._database.connect() as connection:
            row = connection.execute(sa.select(*self._columns).where(condition)).first()
        if row is None:
            raise NotFound("There is no such job.")
        return Job(*row)

    def newest(self, count: int) -> list[Job]:
        """Return the jobs that came last."""
        query = sa.select(*self._columns).order_by(self._jobs.c.id.desc()).limit(count)
        with self._database.connect() as connection:
            return [Job(*row) for row in connection.execute(query)]

    def counts(self, id: str) -> dict[str, int]:
        """Return how many items of a job there are by status."""
        columns = self._items.c
        query = sa.select(columns.status, sa.func.count()).where(columns.job_id == id)
        with self._database.connect() as connection:
            return {status: n for status, n in connection.execute(query.group_by(columns.status))}

    def waiting(self) -> int:
        """Return how many items of all jobs have no answer yet."""
        query = sa.select(sa.func.count()).select_from(self._items.join(self._jobs))
        query = query.where(self._jobs.c.status == "open", self._items.c.status.in_(OPEN))
        with self._database.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def neglected(self, before: datetime) -> list[str]:
        """Return the open jobs that no worker has had in hand since a moment."""
        jobs = self._jobs.c
        query = sa.select(jobs.id).where(jobs.status == "open", jobs.woken_at < before)
        with self._database.connect() as connection:
            return list(connection.execute(query).scalars())

    def touch(self, id: str, now: datetime, *, before: datetime | None = None) -> bool:
        """Note that a job is in hand; with *before*, whether nobody has had it since then."""
        jobs = self._jobs.c
        mine = [jobs.id == id] if before is None else [jobs.id == id, jobs.woken_at < before]
        touched = self._jobs.update().where(*mine).values(woken_at=now)
        return self._database.transact(lambda asked: bool(asked.execute(touched).rowcount == 1))

    def next_due(self, id: str) -> datetime | None:
        """Return when the next open item of a job may be taken, or ``None``: none is open."""
        items = self._items.c
        query = sa.select(sa.func.min(items.due_at))
        query = query.where(items.job_id == id, items.status.in_(OPEN))
        with self._database.connect() as connection:
            found: datetime | None = connection.execute(query).scalar_one()
        return found

    def take(self, id: str, now: datetime, until: datetime) -> t.Any:
        """Take the first item that may be taken, or return ``None``.

        An item that nobody finished until its time is free again: its worker was killed.
        """
        items = self._items.c
        free = sa.and_(items.job_id == id, items.status.in_(OPEN), items.due_at <= now)
        first = sa.select(items.position).where(free).order_by(items.position).limit(1)
        # PostgreSQL's workers pass over what another is just taking; SQLite has one writer.
        first = first.with_for_update(skip_locked=True)
        taken = (
            self._items.update()
            .where(items.job_id == id, items.position == first.scalar_subquery(), free)
            .values(status="running", due_at=until, attempts=items.attempts + 1)
            .returning(items.position, items.subject_ref, items.source, items.attempts)
        )
        return self._database.transact(lambda connection: connection.execute(taken).first())

    def settle(self, id: str, position: int, **values: t.Any) -> None:
        """Note what became of an item that was taken; nothing where it was erased meanwhile."""
        items = self._items.c
        mine = sa.and_(items.job_id == id, items.position == position, items.status == "running")
        settled = self._items.update().where(mine).values(values)
        self._database.transact(lambda connection: connection.execute(settled))

    def put_back(self, id: str, position: int, due: datetime) -> bool:
        """Let an item that was taken wait again; ``False``: its job has ended, and it with it."""
        jobs, items = self._jobs.c, self._items.c
        # Held until the commit, so that no job ends between the look and the change.
        status = sa.select(jobs.status).where(jobs.id == id).with_for_update(read=True)
        mine = sa.and_(items.job_id == id, items.position == position, items.status == "running")
        change = self._items.update().where(mine)

        def work(connection: sa.Connection) -> bool:
            goes_on = connection.execute(status).scalar_one_or_none() == "open"
            given_up = {"status": "cancelled", "source": None}
            then = {"status": "waiting", "due_at": due} if goes_on else given_up
            connection.execute(change.values(then))
            return goes_on

        return self._database.transact(work)

    def close_waiting(self, connection: sa.Connection, id: str, status: str) -> list[int]:
        """Give up the items that nobody has taken; return their positions."""
        items = self._items.c
        return self._closed(connection, id, items.status == "waiting", status)

    def close_stranded(self, id: str, now: datetime) -> list[int]:
        """Give up what a killed worker had in hand when its job ended; return the positions."""
        items = self._items.c
        late = sa.and_(items.status.in_(OPEN), items.due_at <= now)
        return self._database.transact(lambda asked: self._closed(asked, id, late, "cancelled"))

    def _closed(
        self, connection: sa.Connection, id: str, which: sa.ColumnElement[bool], status: str
    ) -> list[int]:
        items = self._items.c
        closed = self._items.update().where(items.job_id == id, which)
        closed = closed.values(status=status, source=None)
        return list(connection.execute(closed.returning(items.position)).scalars())

    def stranded(self, now: datetime) -> list[str]:
        """Return the jobs that have ended, and have items that nobody will finish any more."""
        jobs, items = self._jobs.c, self._items.c
        query = sa.select(items.job_id).distinct().select_from(self._items.join(self._jobs))
        late = sa.and_(items.status.in_(OPEN), items.due_at <= now)
        query = query.where(jobs.status != "open", late)
        with self._database.connect() as connection:
            return list(connection.execute(query).scalars())

    def end(self, connection: sa.Connection, id: str, status: str, now: datetime) -> bool:
        """Set the status of an open job; whether it was open."""
        jobs = self._jobs.c
        mine = sa.and_(jobs.id == id, jobs.status == "open")
        ended = self._jobs.update().where(mine).values(status=status, finished_at=now)
        return bool(connection.execute(ended).rowcount == 1)

    def finished(self, id: str, start: int, count: int) -> list[t.Any]:
        """Return finished items from position *start* on, in their order."""
        items = self._items.c
        query = sa.select(self._items).where(items.job_id == id, items.position >= start)
        query = query.where(items.status.not_in(OPEN)).order_by(items.position).limit(count)
        with self._database.connect() as connection:
            return list(connection.execute(query))

    def old(self, before: datetime) -> list[str]:
        """Return the jobs that ended before a moment."""
        jobs = self._jobs.c
        with self._database.connect() as connection:
            query = sa.select(jobs.id).where(jobs.finished_at < before)
            return list(connection.execute(query).scalars())

    def unanswered(self) -> set[str]:
        """Return the ids of the jobs that have items without an answer."""
        items = self._items.c
        query = sa.select(items.job_id).distinct().where(items.status.in_(OPEN))
        with self._database.connect() as connection:
            return set(connection.execute(query).scalars())

    def overdue(self, now: datetime) -> list[str]:
        """Return the open jobs whose time is over."""
        jobs = self._jobs.c
        query = sa.select(jobs.id).where(jobs.status == "open", jobs.expires_at <= now)
        with self._database.connect() as connection:
            return list(connection.execute(query).scalars())

    def remove(self, id: str) -> None:
        """Remove a job with its items."""

        def work(connection: sa.Connection) -> None:
            connection.execute(self._items.delete().where(self._items.c.job_id == id))
            connection.execute(self._jobs.delete().where(self._jobs.c.id == id))

        self._database.transact(work)

    def of_subject(self, connection: sa.Connection, ref: str) -> list[tuple[str, int]]:
        """Return the items about a person, as job and position."""
        items = self._items.c
        query = sa.select(items.job_id, items.position).where(items.subject_ref == ref)
        return [(id, position) for id, position in connection.execute(query)]

    def forget(self, connection: sa.Connection, ref: str, now: datetime) -> None:
        """Empty what there is about a person."""
        items, jobs = self._items.c, self._jobs.c
        erased = {"status": "erased", "source": None, "result": None, "error": None}
        connection.execute(self._items.update().where(items.subject_ref == ref).values(erased))
        theirs = sa.and_(jobs.subject_ref == ref, jobs.status == "open")
        rest = sa.and_(
            items.status == "waiting", items.job_id.in_(sa.select(jobs.id).where(theirs))
        )
        given_up = self._items.update().where(rest).values(status="cancelled", source=None)
        connection.execute(given_up)
        ended = self._jobs.update().where(theirs).values(status="cancelled", finished_at=now)
        connection.execute(ended)
