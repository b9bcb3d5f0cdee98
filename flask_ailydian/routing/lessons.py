"""Queries from which a router may learn: sealed under the person's key, and for a time only.

Nothing is kept unless the deployment says so, and then only of queries whose backend was left to
chance: others say nothing about what the other backend was worth.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import logging
import typing as t
from datetime import timedelta

import sqlalchemy as sa

from ..audit.keys import KeyUnavailable
from ..audit.subjects import Subject
from ..audit.subjects import Subjects
from ..clock import now
from ..database import Database
from ..settings import Settings
from ..tables import Tables
from .policy import THIRD_PARTY
from .turn import Turn

log = logging.getLogger("flask_ailydian.router")

#: How many queries are kept between two looks for those that are too old.
PRUNE_EVERY = 256


@dataclasses.dataclass(frozen=True)
class Lesson:
    """A query, the backend that chance gave it, how likely that was, what the answer was worth.

    :param value: From 0 to 1.
    """

    text: str
    paid: bool
    propensity: float
    value: float


class Lessons:
    """The rows of ``pytorch_router_lessons``."""

    def __init__(
        self, database: Database, tables: Tables, subjects: Subjects, settings: Settings
    ) -> None:
        self._database = database
        self._rows: sa.Table = tables.RouterLesson.__table__
        self._costs: sa.Table = tables.QueryCost.__table__
        self._feedback: sa.Table = tables.Feedback.__table__
        self._subjects = subjects
        self._on = settings.router_learn == "sealed"
        self._redacts = settings.redact
        self._days = settings.router_learn_days
        self._since_pruned = 0

    def keep(self, turn: Turn) -> None:
        """Seal an answered query, if it is one to learn from; a failure costs the lesson alone."""
        decision, asked = turn.decision, turn.asked
        if not self._on or decision is None or asked is None or turn.cached:
            return
        if not 0 < decision.propensity < 1 or (self._redacts and turn.redacted is None):
            return
        text = turn.redacted.text if turn.redacted else asked.query
        try:
            person = self._subjects.of(turn.user) if turn.user else self._subjects.deployment()
            row = {"id": turn.id, "subject_ref": person.ref, "created_at": turn.moment}
            row["sealed"] = person.seal(text.encode(), _what(turn.id))
            kept = self._rows.insert().values(row)
            self._database.transact(lambda connection: connection.execute(kept))
            self._since_pruned += 1
            if self._since_pruned >= PRUNE_EVERY:
                self._since_pruned = 0
                self.prune()
        except (sa.exc.SQLAlchemyError, OSError, KeyUnavailable) as error:
            log.warning("query %s teaches nothing: %s", turn.id, type(error).__name__)

    def prune(self) -> int:
        """Delete what is older than it may be; return how many rows there were."""
        old = self._rows.c.created_at < now() - timedelta(days=self._days)
        gone = self._rows.delete().where(old)
        return self._database.transact(lambda connection: int(connection.execute(gone).rowcount))

    def erase(self, connection: t.Any, user_id: str, ref: str | None) -> int:
        """Delete what is kept of a person; without their key nobody could read it anyway."""
        mine = self._rows.c.subject_ref == ref
        return int(connection.execute(self._rows.delete().where(mine)).rowcount)

    def export(
        self, connection: t.Any, user_id: str, ref: str | None
    ) -> t.Iterator[dict[str, t.Any]]:
        """Yield what is kept of a person."""
        mine = self._rows.c.subject_ref == ref
        people: dict[str, Subject | None] = {}
        query = self._rows.select().where(mine).order_by(self._rows.c.id)
        for row in connection.execute(query):
            yield {
                "id": row.id,
                "created_at": row.created_at.isoformat() + "Z",
                "query": self._text(row, people),
            }

    def read(self) -> c.Iterator[Lesson]:
        """Yield the lessons of which somebody said what the answer was worth."""
        rows, costs, said = self._rows, self._costs, self._feedback
        query = (
            sa.select(rows, costs.c.decision, costs.c.propensity, said.c.correct, said.c.rating)
            .select_from(
                rows.join(costs, costs.c.id == rows.c.id).join(said, said.c.id == rows.c.id)
            )
            .order_by(rows.c.id)
        )
        people: dict[str, Subject | None] = {}
        with self._database.connect() as connection:
            for row in connection.execute(query):
                value = (row.rating - 1) / 4 if row.correct is None and row.rating else row.correct
                text = None if value is None else self._text(row, people)
                if text is not None:
                    paid = row.decision["backend"] == THIRD_PARTY
                    yield Lesson(text, paid, row.propensity, float(value))

    def _text(self, row: t.Any, people: dict[str, Subject | None]) -> str | None:
        """Return a query in the clear, or ``None`` after the person's erasure."""
        try:
            if row.subject_ref not in people:
                people[row.subject_ref] = None
                people[row.subject_ref] = self._subjects.by_ref(row.subject_ref)
            person = people[row.subject_ref]
            return None if person is None else person.open(row.sealed, _what(row.id)).decode()
        except KeyUnavailable:
            return None


def _what(id: str) -> str:
    return f"lesson {id}"
