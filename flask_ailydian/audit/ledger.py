"""Rows that are on disk before the answer they stand for is given."""

from __future__ import annotations

import dataclasses
import json
import logging
import typing as t
from datetime import timedelta

import sqlalchemy as sa
from flask import current_app

from .. import signals
from ..clock import new_id
from ..clock import now
from ..errors import AuditUnavailable
from ..errors import Conflict
from ..errors import ValidationFailed
from ..tables import Tables

log = logging.getLogger("flask_ailydian.audit")

#: How long an ``Idempotency-Key`` is remembered.
REMEMBERED = timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Claim:
    """The right to answer one ``Idempotency-Key``."""

    key_hash: str
    token: str


@dataclasses.dataclass(frozen=True)
class Reply:
    """A status and the body that went with it."""

    status: int
    body: str


class Ledger:
    """Writes the audit rows of one app.

    Rows are written on a connection of their own, never in the host's session: what the
    host rolls back stays recorded here, and we never commit what is the host's.
    """

    def __init__(self, db: t.Any, tables: Tables, *, stale_after: float) -> None:
        self._db = db
        self._logs: sa.Table = tables.InferenceLog.__table__
        self._keys: sa.Table = tables.IdempotencyKey.__table__
        self._stale_after = timedelta(seconds=stale_after)

    def record(
        self, row: dict[str, t.Any], claim: Claim | None = None, reply: Reply | None = None
    ) -> None:
        """Commit *row*, and with it the reply that a repeated request will get.

        :raises AuditUnavailable: when it is not certain that the row is on disk.
        """
        try:
            with self._db.engine.begin() as connection:
                connection.execute(self._logs.insert(), row)
                if claim is not None:
                    self._settle(connection, claim, reply)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            log.error("audit row %s was not written: %s", row["id"], type(error).__name__)
            signals.audit_failed.send(current_app._get_current_object(), error=error)  # type: ignore[attr-defined]
            raise AuditUnavailable(retry_after=1, id=row["id"]) from error

    def note(
        self,
        kind: str,
        *,
        actor: str | None = None,
        subject: str | None = None,
        detail: dict[str, t.Any] | None = None,
    ) -> None:
        """Commit an event that is no answer of its own: what is about to leave, say.

        :param subject: Whom it is about.
        :raises AuditUnavailable: when it is not certain that the row is on disk.
        """
        row: dict[str, t.Any] = {"id": new_id(), "created_at": now(), "status": "event"}
        row |= dict.fromkeys(("model_id", "input_hash", "inference_time_ms", "confidence"))
        row |= dict.fromkeys(("error", "cost_usd", "ab_test_id"))
        row |= {"backend": kind, "user_id": subject, "result": {"actor": actor, **(detail or {})}}
        self.record(row)

    def _settle(self, connection: t.Any, claim: Claim, reply: Reply | None) -> None:
        mine = sa.and_(self._keys.c.key_hash == claim.key_hash, self._keys.c.claim == claim.token)
        if reply is None:
            connection.execute(self._keys.delete().where(mine))
        else:
            values = {"status": reply.status, "body": reply.body}
            connection.execute(self._keys.update().where(mine).values(values))

    def claim(self, key_hash: str, request_hash: str) -> Claim | Reply:
        """Take the right to answer a key, or return the reply it had within the last day.

        :raises Conflict: while the first request is still being answered.
        :raises ValidationFailed: when the key came with another request before.
        """
        claim = Claim(key_hash, new_id())
        moment = now()
        values = {"request_hash": request_hash, "claim": claim.token, "created_at": moment}
        keys = self._keys.c
        try:
            with self._db.engine.begin() as connection:
                expired = keys.created_at < moment - REMEMBERED
                # A worker that was killed leaves a claim which nobody will settle.
                stale = sa.and_(keys.status.is_(None), keys.created_at < moment - self._stale_after)
                gone = self._keys.delete().where(
                    sa.or_(expired, sa.and_(keys.key_hash == key_hash, stale))
                )
                connection.execute(gone)
                connection.execute(self._keys.insert(), {"key_hash": key_hash, **values})
            return claim
        except sa.exc.IntegrityError:
            pass
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise AuditUnavailable(retry_after=1) from error
        with self._db.engine.connect() as connection:
            found = connection.execute(
                sa.select(keys.request_hash, keys.status, keys.body).where(
                    keys.key_hash == key_hash
                )
            ).first()
        if found is not None and found.request_hash != request_hash:
            message = "This key came with another request before; use a new key."
            raise ValidationFailed(message, fields={"Idempotency-Key": [message]})
        if found is None or found.status is None:
            raise Conflict(
                "The first request with this key is still being answered.", retry_after=1
            )
        return Reply(found.status, found.body)

    def release(self, claim: Claim) -> None:
        """Give up a claim, so that the next request with its key is answered anew."""
        with self._db.engine.begin() as connection:
            self._settle(connection, claim, None)


def encode(body: t.Any) -> str:
    """Return *body* as JSON text, keys in their given order."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
