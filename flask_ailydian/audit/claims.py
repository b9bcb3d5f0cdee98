"""Idempotency keys: the right to answer one, and the answer that it had."""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import timedelta

import sqlalchemy as sa

from ..clock import new_id
from ..clock import now
from ..database import Database
from ..errors import AuditUnavailable
from ..errors import Conflict
from ..errors import ValidationFailed

#: How long an ``Idempotency-Key`` is remembered.
REMEMBERED = timedelta(days=1)
KEY_TAKEN = "This key came with another request before; use a new key."


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


class Claims:
    """The idempotency keys of one app.

    :param stale_after: Seconds after which a claim that nobody settled is free again.
    """

    def __init__(self, database: Database, table: sa.Table, *, stale_after: float) -> None:
        self._database = database
        self._keys = table
        self._stale_after = timedelta(seconds=stale_after)
        # Claims whose answer may or may not be on record; by token.
        self._unsettled: dict[str, Claim] = {}

    def take(self, key_hash: str, request_hash: str) -> Claim | Reply:
        """Take the right to answer a key, or return the reply it had within the last day.

        :raises Conflict: while the first request is still being answered.
        :raises ValidationFailed: when the key came with another request before.
        """
        self.give_up_unsettled()
        claim = Claim(key_hash, new_id())
        moment = now()
        values = {"request_hash": request_hash, "claim": claim.token, "created_at": moment}
        keys = self._keys.c
        expired = keys.created_at < moment - REMEMBERED
        # A worker that was killed leaves a claim which nobody will settle.
        stale = sa.and_(keys.status.is_(None), keys.created_at < moment - self._stale_after)
        gone = self._keys.delete().where(sa.or_(expired, sa.and_(keys.key_hash == key_hash, stale)))

        def work(connection: sa.Connection) -> None:
            connection.execute(gone)
            connection.execute(self._keys.insert(), {"key_hash": key_hash, **values})

        try:
            self._database.transact(work)
            return claim
        except sa.exc.IntegrityError:
            pass
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise AuditUnavailable(retry_after=1) from error
        found = self._found(key_hash)
        if found is not None and found.request_hash != request_hash:
            raise ValidationFailed(KEY_TAKEN, fields={"Idempotency-Key": [KEY_TAKEN]})
        if found is None or found.status is None:
            raise Conflict(
                "The first request with this key is still being answered.", retry_after=1
            )
        return Reply(found.status, found.body)

    def _found(self, key_hash: str) -> t.Any:
        query = self._keys.select().where(self._keys.c.key_hash == key_hash)
        return self._database.transact(lambda connection: connection.execute(query).first())

    def leave_unsettled(self, claim: Claim) -> None:
        """Note that nobody knows whether a claim's answer is on record."""
        self._unsettled[claim.token] = claim

    @property
    def any_unsettled(self) -> bool:
        """Whether there are such claims."""
        return bool(self._unsettled)

    def give_up_unsettled(self) -> None:
        """Free the keys whose answer turns out not to be on record, so that a retry may come.

        Those whose answer is on record keep it: a retry gets that.
        """
        for claim in list(self._unsettled.values()):
            try:
                self.release(claim)
            except (sa.exc.SQLAlchemyError, OSError):
                return
            self._unsettled.pop(claim.token, None)

    def release(self, claim: Claim) -> None:
        """Give up a claim, so that the next request with its key is answered anew."""
        keys = self._keys.c
        mine = sa.and_(keys.key_hash == claim.key_hash, keys.claim == claim.token)
        freed = self._keys.delete().where(mine, keys.status.is_(None))
        self._database.transact(lambda connection: connection.execute(freed))
