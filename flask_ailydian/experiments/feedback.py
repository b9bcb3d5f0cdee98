"""What people say of earlier answers: the true label, or one to five stars."""

from __future__ import annotations

import collections.abc as c
import functools
import typing as t

import sqlalchemy as sa

from ..audit.claims import Claim
from ..audit.ledger import encode
from ..clock import now
from ..database import Database
from ..errors import NotFound
from ..errors import ValidationFailed
from ..tables import Tables

#: Returns the result that a row of the inference logs holds, or ``None`` where none can be read.
ResultOf = c.Callable[[t.Any], t.Any]


class Feedback:
    """Keeps the last word on every answer, and tells the test that the answer was part of."""

    def __init__(self, database: Database, tables: Tables, result_of: ResultOf) -> None:
        self._database = database
        self._result_of = result_of
        self._logs: sa.Table = tables.InferenceLog.__table__
        self._models: sa.Table = tables.Model.__table__
        self._kept: sa.Table = tables.Feedback.__table__
        self._exposures: sa.Table = tables.ABExposure.__table__
        self._keys: sa.Table = tables.IdempotencyKey.__table__

    def give(
        self,
        id: str,
        *,
        label: str | None = None,
        rating: int | None = None,
        claim: Claim | None = None,
    ) -> dict[str, t.Any]:
        """Keep what somebody says of the answer *id*, and return what is kept of it now.

        :param label: The true class, one of the model's labels: free text is not kept.
        :param claim: The idempotency key that this settles, together with what it writes.
        :raises NotFound: when no answer has this id.
        :raises ValidationFailed: for a label that the model does not know.
        """
        said: dict[str, t.Any] = {}
        if rating is not None:
            said["rating"] = rating
        if label is not None:
            said |= {"label": label, "correct": self._correct(self._answer(id), label)}
        else:
            self._answer(id)
        work = functools.partial(self._said, id, said, claim)
        try:
            return self._database.transact(work)
        except sa.exc.IntegrityError:
            # Somebody else was first by a moment: what is said here goes over theirs.
            return self._database.transact(work)

    def _said(
        self, id: str, said: dict[str, t.Any], claim: Claim | None, connection: sa.Connection
    ) -> dict[str, t.Any]:
        """Do it all in one transaction."""
        change = self._kept.update().where(self._kept.c.id == id).values(**said)
        if not connection.execute(change).rowcount:
            connection.execute(self._kept.insert(), {"id": id, "created_at": now(), **said})
        outcome = {key: said[key] for key in ("correct", "rating") if key in said}
        mine = self._exposures.update().where(self._exposures.c.id == id)
        connection.execute(mine.values(**outcome))
        query = sa.select(self._kept.c.correct, self._kept.c.rating)
        found = connection.execute(query.where(self._kept.c.id == id)).one()
        body = {"success": True, "id": id, "correct": found.correct, "rating": found.rating}
        if claim is not None:
            c = self._keys.c
            own = sa.and_(c.key_hash == claim.key_hash, c.claim == claim.token)
            settled = self._keys.update().where(own).values(status=200, body=encode(body))
            connection.execute(settled)
        return body

    def export(
        self, connection: t.Any, user_id: str, ref: str | None
    ) -> t.Iterator[dict[str, t.Any]]:
        """Yield what was said of a person's answers."""
        kept, logs = self._kept.c, self._logs.c
        query = (
            sa.select(kept.id, kept.label, kept.correct, kept.rating, kept.created_at)
            .select_from(self._kept.join(self._logs, logs.id == kept.id))
            .where(logs.user_id.in_([user_id, ref or user_id]))
            .order_by(kept.id)
        )
        for row in connection.execute(query):
            yield {**row._mapping, "created_at": row.created_at.isoformat() + "Z"}

    def _answer(self, id: str) -> t.Any:
        logs = self._logs.c
        query = (
            sa.select(*logs, self._models.c.labels)
            .select_from(self._logs.outerjoin(self._models, self._models.c.id == logs.model_id))
            .where(logs.id == id, logs.status == "success")
        )
        with self._database.connect() as connection:
            found = connection.execute(query).first()
        if found is None:
            raise NotFound("No answer has this id.")
        return found

    def _correct(self, answer: t.Any, label: str) -> bool | None:
        result = self._result_of(answer)
        predicted = result.get("prediction") if isinstance(result, dict) else None
        known = answer.labels or ([predicted] if predicted is not None else [])
        if label not in known:
            message = "The model of this answer has no such label."
            raise ValidationFailed(message, fields={"label": [message]})
        return None if predicted is None else bool(predicted == label)
